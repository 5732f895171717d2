/**
 * What the programs of a mixnet take of their machine, as its kernel says: memory that is resident, and
 * processor time. Each node and each controller is a process with a redis-server beside it.
 */
import { readFileSync } from 'node:fs';
import type { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';

/** Which program a process is. */
export type ProgramKind =
  'controller' | 'mix' | 'gateway' | "controller's Redis" | "mix's Redis" | "gateway's Redis";

/** One process of a mixnet. */
export interface WatchedProcess {
  /** `mix-1`, `alpha.controller`, `alpha.redis`, `alpha.controller.redis`. */
  readonly name: string;
  readonly kind: ProgramKind;
  readonly pid: number;
}

/** Linux on every machine that Node runs on. */
const PAGE_BYTES = 4096;
/** The unit of times in `/proc`, USER_HZ, is 1/100 s on every Linux. */
const TICK_MS = 10;

/** All processes of a running mixnet. */
export async function processesOf(mixnet: DemoMixnet): Promise<WatchedProcess[]> {
  const lists = await Promise.all(
    mixnet.peers.map(async (peer, i): Promise<WatchedProcess[]> => {
      const [controller, node] = [mixnet.controllers[i], mixnet.nodes[i]];
      const servers = await Promise.all([
        redisPid(peer.nodeDataDir),
        redisPid(peer.controllerDataDir),
      ]);
      return [
        { name: peer.name, kind: peer.role, pid: node?.pid ?? 0 },
        { name: `${peer.name}.redis`, kind: `${peer.role}'s Redis`, pid: servers[0] },
        { name: `${peer.name}.controller`, kind: 'controller', pid: controller?.pid ?? 0 },
        { name: `${peer.name}.controller.redis`, kind: "controller's Redis", pid: servers[1] },
      ];
    }),
  );
  return lists.flat();
}

/** Bytes of memory that a process has now, shared pages included. Throws where it is gone. */
export function residentBytes(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return Number(pages) * PAGE_BYTES;
}

/** Processor time that a process has taken since its start, all threads, in ms. Throws where it is gone. */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of a program, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function redisPid(dataDir: string): Promise<number> {
  const store = await connectStore({ dataDir, log: silentLog, name: 'soak' });
  try {
    return Number(/process_id:(\d+)/.exec(await store.redis.info('server'))?.[1]);
  } finally {
    await store.close();
  }
}
