/**
 * Stores for tests, each on a data directory of its own: opened, found, killed and cleaned away.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ExecutionContext } from 'ava';

import { silentLog } from '../../src/log.ts';
import { createProbe } from '../../src/redis/clients.ts';
import { parseInfo } from '../../src/redis/durability.ts';
import { openStore } from '../../src/redis/embedded.ts';
import type { Store, StoreOptions } from '../../src/redis/embedded.ts';

/** A data directory that disappears with the test, and its server with it. */
export async function temporaryDataDir(t: ExecutionContext): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'panoramix-test-'));
  t.teardown(async () => {
    await endServer(dataDir);
    await rm(dataDir, { recursive: true, force: true });
  });
  return dataDir;
}

/** A store that closes with the test. */
export async function temporaryStore(
  t: ExecutionContext,
  options: Partial<StoreOptions> = {},
): Promise<Store> {
  const dataDir = options.dataDir ?? (await temporaryDataDir(t));
  const store = await openStore({ log: silentLog, name: 'test', ...options, dataDir });
  t.teardown(async () => await store.close());
  return store;
}

/** Process id of the server that is noted in a data directory; null where none answers. */
export async function serverPid(dataDir: string): Promise<number | null> {
  const socket = await readFile(join(dataDir, 'redis.socket'), 'utf8').catch(() => '');
  if (socket === '') return null;
  const probe = createProbe({ socket: socket.trim() });
  try {
    await probe.connect();
    return Number(parseInfo(await probe.info('server')).get('process_id'));
  } catch {
    return null;
  } finally {
    probe.disconnect();
  }
}

/** Kills the server, as the kernel would. */
export async function killServer(dataDir: string): Promise<number> {
  const pid = await serverPid(dataDir);
  if (pid === null) throw new Error('there is no server to kill');
  process.kill(pid, 'SIGKILL');
  await until(() => !isAlive(pid));
  return pid;
}

/** Whether a process exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until something holds; throws when it does not within the time. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`did not happen within ${withinMs} ms`);
    await sleep(20);
  }
}

async function endServer(dataDir: string): Promise<void> {
  const pid = await serverPid(dataDir);
  if (pid === null) return;
  process.kill(pid, 'SIGKILL');
  await until(() => !isAlive(pid));
}
