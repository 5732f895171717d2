/** For tests of proxies and steps: a real redis-server with a proxy before it, and a program's store beyond that. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { silentLog } from '../../src/log.ts';
import { createProbe } from '../../src/redis/clients.ts';
import { openStore, type Store } from '../../src/redis/embedded.ts';
import { openProxy, Watcher } from './proxies.ts';
import { RedisServer } from './redis-server.ts';
import type { Hit, Link, Moment, Step } from './step.ts';
import { STEPS } from './steps.ts';

export interface ProxiedStore {
  readonly server: RedisServer;
  readonly watch: Watcher;
  /** Of the proxy. */
  readonly url: string;
  /** Opened by way of the proxy; closes with the test. */
  readonly store: Store;
  /** Holds a step when it next comes by. */
  readonly arm: (name: string, moment: Moment) => Promise<Hit>;
  /** How many keys the server has whose name matches a pattern; asked of it directly. */
  readonly keys: (pattern: string) => Promise<number>;
}

const WAIT_MS = 20_000;

/** @param program who uses the store, such as `alpha` or `mix-1` */
export async function openProxiedStore(
  t: ExecutionContext,
  program: string,
): Promise<ProxiedStore> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-crash-'));
  const [listenPort, serverPort] = (await freePorts(2)) as [number, number];
  const server = new RedisServer(join(folder, 'redis'), serverPort);
  t.teardown(async () => {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  });
  server.start();
  await server.answers();
  const watch = new Watcher();
  const name = `${program}.redis`;
  const link: Link = {
    name,
    protocol: 'redis',
    client: program,
    server: name,
    listenPort,
    serverPort,
  };
  const proxy = await openProxy(link, watch);
  t.teardown(async () => await proxy.close());
  const url = `redis://127.0.0.1:${listenPort}`;
  const store = await openStore({ url, dataDir: folder, log: silentLog, name: 'test' });
  t.teardown(async () => await store.close());
  return {
    server,
    watch,
    url,
    store,
    arm: async (step, moment) => {
      const hit = await watch.arm({ step: stepOf(step), moment }, AbortSignal.timeout(WAIT_MS));
      if (hit === null) throw new Error(`${step} never came by, ${moment}`);
      return hit;
    },
    keys: async (pattern) => await countKeys(serverPort, pattern),
  };
}

export function stepOf(name: string): Step {
  const found = STEPS.find((step) => step.name === name);
  if (found === undefined) throw new Error(`no step is called ${name}`);
  return found;
}

async function countKeys(port: number, pattern: string): Promise<number> {
  const probe = createProbe({ url: `redis://127.0.0.1:${port}` });
  try {
    await probe.connect();
    return (await probe.keys(pattern)).length;
  } finally {
    probe.disconnect();
  }
}
