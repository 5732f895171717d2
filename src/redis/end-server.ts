/**
 * The last program out ends the private server. With NOSAVE, because the append-only file already holds
 * every acknowledged write, fsynced, and a snapshot would only be a second copy to keep and to delete.
 */
import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { Redis } from 'ioredis';

import type { Log } from '../log.ts';
import { createProbe } from './clients.ts';
import { findServer } from './private-server.ts';
import type { PrivatePaths } from './private-server.ts';
import { rewriteNow } from './rewrite.ts';

/** How the connections of programs are named, so that they know each other; a visitor's are not. */
export const PROGRAM = 'panoramix:program';

/** For the last rewrite; a full store of a gigabyte may need longer, and then goes without. */
const REWRITE_MS_MAX = 5_000;

/**
 * Ends the server where no other program uses it; one that comes at this very moment sees its server
 * leave and starts it again.
 * @param prefix of our keys
 * @param ownName of this program's connections
 */
export async function endServerIfLast(
  paths: PrivatePaths,
  prefix: string,
  ownName: string,
  log: Log,
): Promise<void> {
  // Not through our client: where the server has just been started again, that has yet to find it.
  const socket = await findServer(paths);
  if (socket === null) return;
  const probe = createProbe({ socket });
  try {
    await probe.connect();
    if (await isUsed(probe, ownName)) return;
    await rewriteNow(probe, prefix, REWRITE_MS_MAX);
    if (await isUsed(probe, ownName)) return;
    await probe.shutdown('NOSAVE').catch(() => undefined);
    // It removes its socket itself; the folder goes where nobody has started another server by now.
    await rmdir(dirname(socket)).catch(() => undefined);
  } catch (thrown) {
    log.warn({ error: String(thrown) }, 'Redis was left running; the next start adopts it');
  } finally {
    probe.disconnect();
  }
}

async function isUsed(probe: Redis, ownName: string): Promise<boolean> {
  return String(await probe.client('LIST'))
    .split('\n')
    .map((line) => / name=(\S*)/.exec(line)?.[1] ?? '')
    .some((name) => name.startsWith(`${PROGRAM}:`) && name !== ownName);
}
