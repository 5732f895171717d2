/**
 * Whether the program that works on a store runs, for `status`, which is another process: a killed program leaves
 * its store, its directory and its reports as they were, and all of them would look well. A program says that it
 * is up by writing its connection's name; the server knows whether that connection is there.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { PROGRAM } from './end-server.ts';

/** Between two tries to say so, where Redis is just restarted. */
const AGAIN_MS = 1_000;

/**
 * - `running`: it has come up and has the store open
 * - `starting`: it has the store open, and waits for something, such as its controller
 * - `away`: no program has the store open
 * - `unknown`: the server does not tell this user who is connected
 */
export type ProgramState = 'running' | 'starting' | 'away' | 'unknown';

/** Called by a program once, when it has come up. Said again after each reconnection, for a server that lost it. */
export function announceRunning(store: Store): void {
  const closing = new AbortController();
  const say = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await store.redis.set(keyOf(store), nameOf(store));
        return;
      } catch {
        await sleep(AGAIN_MS, undefined, { ref: false });
      }
    }
  };
  const again = (): void => void say();
  store.redis.on('ready', again);
  store.beforeClose(async () => {
    closing.abort();
    store.redis.off('ready', again);
    await Promise.resolve();
  });
  again();
}

/** Asks the server; throws `redis-unavailable` where there is none. */
export async function readProgramState(store: Store): Promise<ProgramState> {
  return await guarded('look for the program of a store', async () => {
    const announced = await store.redis.get(keyOf(store));
    const list = await listClients(store);
    if (list === null) return 'unknown';
    const names = programsIn(list, store.redis.options.db ?? 0);
    if (names.length === 0) return 'away';
    return announced !== null && names.includes(announced) ? 'running' : 'starting';
  });
}

/** Null where the server forbids it. */
async function listClients(store: Store): Promise<string | null> {
  try {
    return String(await store.redis.client('LIST'));
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.startsWith('NOPERM')) return null;
    throw thrown;
  }
}

/** A server at `REDIS_URL` may serve others beside us: one program, one database. */
function programsIn(list: string, database: number): string[] {
  return list
    .split('\n')
    .filter((line) => line.includes(` db=${database} `))
    .map((line) => / name=(\S*)/.exec(line)?.[1] ?? '')
    .filter((name) => name.startsWith(`${PROGRAM}:`));
}

function nameOf(store: Store): string {
  return store.redis.options.connectionName ?? '';
}

function keyOf(store: Store): string {
  return `${store.prefix}:running`;
}
