/**
 * Watches the private server from every program that uses it: where it has died (killed, disk full),
 * the first to notice starts it again on the same files and the same path; the others adopt it.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import type { Log } from '../log.ts';
import { ensureServer } from './private-server.ts';
import type { PrivatePaths } from './private-server.ts';

/** Between two attempts: doubling, because a full disk ends the server at once, again and again. */
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 30_000;
/** A server that lived that long starts with the shortest pause again. */
const STABLE_MS = 60_000;

/** What to watch. */
export interface Watched {
  /** Its `close` event is how a death is noticed, at once. */
  readonly redis: Redis;
  readonly paths: PrivatePaths;
  readonly socket: string;
  readonly maxMemoryBytes: number;
  readonly log: Log;
}

/**
 * Starts watching.
 * @returns a function that stops it, and waits for an attempt that is under way
 */
export function watchServer(watched: Watched): () => Promise<void> {
  const stop = new AbortController();
  let pauseMs = PAUSE_MS_MIN;
  let aliveSinceMs = performance.now();
  let restoring: Promise<void> | null = null;

  const restore = async (): Promise<void> => {
    if (performance.now() - aliveSinceMs > STABLE_MS) pauseMs = PAUSE_MS_MIN;
    while (!stop.signal.aborted && watched.redis.status !== 'ready') {
      await sleep(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
      if (await attempt(watched)) {
        aliveSinceMs = performance.now();
        await ready(watched.redis, stop.signal);
      }
    }
  };
  const onClose = (): void => {
    restoring ??= restore().finally(() => {
      restoring = null;
      if (!stop.signal.aborted && watched.redis.status !== 'ready') onClose();
    });
  };
  watched.redis.on('close', onClose);
  return async () => {
    watched.redis.off('close', onClose);
    stop.abort();
    await restoring;
  };
}

async function attempt(watched: Watched): Promise<boolean> {
  try {
    const { socket, started } = await ensureServer(watched.paths, watched.maxMemoryBytes);
    if (socket !== watched.socket) {
      watched.log.error({}, 'Redis has moved, since its folder was taken: restart this program');
      return false;
    }
    watched.log.warn({ started }, started ? 'Redis had died: started again' : 'Redis is back');
    return true;
  } catch (thrown) {
    watched.log.error({ error: String(thrown) }, 'Redis cannot be started; trying again');
    return false;
  }
}

/** Waits until the client has found the server, for a few seconds at most. */
async function ready(redis: Redis, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (redis.status !== 'ready' && performance.now() < deadline && !signal.aborted)
    await sleep(20);
}
