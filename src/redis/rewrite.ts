/**
 * Rewrites the append-only file of the private server often. Until then it holds, in their order and
 * with times, all that came and went: a log of the mixing, which a rewrite ends. What is left is what is
 * stored at that moment, and settings stay as they are: every write goes on being fsynced.
 */
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Redis } from 'ioredis';

import type { Log } from '../log.ts';
import { parseInfo } from './durability.ts';
import { trimEvents } from './events.ts';

const CHECK_MS = 5_000;
/** The longest that a trace stays in the file of a store that is small, as most are. */
const PAUSE_MS_MIN = 60_000;
/** And in the file of one that is full of waiting mail. */
const PAUSE_MS_MAX = 600_000;
/** A rewrite writes all that is stored: on average no more than 0.5 MB a second, 43 GB a day. */
const BYTES_PER_MS = 500;
const POLL_MS = 20;

/** The append-only file at one moment. */
export interface AppendOnlyState {
  /** Of the last rewrite: about all that is stored. */
  readonly baseBytes: number;
  /** The whole file now. */
  readonly currentBytes: number;
  /** Since the last rewrite. */
  readonly sinceMs: number;
  /** A rewrite needs as much again as is stored, for a moment. */
  readonly diskFreeBytes: number;
}

/** Whether to rewrite now. */
export function shouldRewrite(state: AppendOnlyState): boolean {
  const { baseBytes, currentBytes, sinceMs, diskFreeBytes } = state;
  const pauseMs = Math.min(Math.max(baseBytes / BYTES_PER_MS, PAUSE_MS_MIN), PAUSE_MS_MAX);
  return currentBytes > baseBytes && sinceMs >= pauseMs && diskFreeBytes > currentBytes;
}

/** What `startRewriting` works with. */
export interface Rewriting {
  readonly redis: Redis;
  /** Of our keys. */
  readonly prefix: string;
  /** The server's own directory. */
  readonly dir: string;
  readonly log: Log;
  /** Default 5 s. */
  readonly checkMs?: number;
  /** Ms, of any origin, never set back. */
  readonly now?: () => number;
}

/**
 * Looks every few seconds whether it is time. Several programs on one server may do so: each sees what
 * the others have done.
 * @returns a function that stops it
 */
export function startRewriting(rewriting: Rewriting): () => void {
  const { redis, prefix, dir, log, now = () => performance.now() } = rewriting;
  let lastMs = -Infinity;
  let lastBaseBytes = -1;
  let isFailing = false;
  const check = async (): Promise<void> => {
    const { baseBytes, currentBytes, isBusy, hasFailed } = await readState(redis);
    // By another program, or by Redis itself at twice the size.
    if (lastBaseBytes !== -1 && baseBytes !== lastBaseBytes) lastMs = now();
    lastBaseBytes = baseBytes;
    if (hasFailed !== isFailing) {
      isFailing = hasFailed;
      if (isFailing)
        log.warn({ dir }, 'The append-only file could not be rewritten; see redis.log');
    }
    const state = {
      baseBytes,
      currentBytes,
      sinceMs: now() - lastMs,
      diskFreeBytes: await freeBytes(dir),
    };
    if (isBusy || !shouldRewrite(state)) return;
    lastMs = now();
    await trimEvents(redis, prefix);
    await redis.bgrewriteaof();
  };
  // While Redis is away there is nothing to do, and what does not work now is tried again.
  const timer = setInterval(
    () => void check().catch(() => undefined),
    rewriting.checkMs ?? CHECK_MS,
  ).unref();
  return () => clearInterval(timer);
}

/**
 * Rewrites now, for a server that is to end: the disk of a node that is off tells what it had stored, not
 * what has passed. Gives up after the time; the file is as good then, only longer.
 */
export async function rewriteNow(redis: Redis, prefix: string, waitMsMax: number): Promise<void> {
  const before = await readState(redis);
  if (before.currentBytes === before.baseBytes) return;
  const deadline = performance.now() + waitMsMax;
  await trimEvents(redis, prefix);
  // A rewrite that is under way began too early: it does not count.
  for (let asked = false; performance.now() < deadline; await sleep(POLL_MS)) {
    const { isBusy } = await readState(redis);
    if (isBusy) continue;
    if (asked) return;
    // Redis may have begun one of its own since; then it is asked again after that.
    asked = await redis.bgrewriteaof().then(
      () => true,
      () => false,
    );
  }
}

async function readState(redis: Redis): Promise<{
  readonly baseBytes: number;
  readonly currentBytes: number;
  readonly isBusy: boolean;
  readonly hasFailed: boolean;
}> {
  const info = parseInfo(await redis.info('persistence'));
  const number = (name: string): number => Number(info.get(name) ?? 0);
  return {
    baseBytes: number('aof_base_size'),
    currentBytes: number('aof_current_size'),
    isBusy: number('aof_rewrite_in_progress') + number('aof_rewrite_scheduled') > 0,
    hasFailed: info.get('aof_last_bgrewrite_status') === 'err',
  };
}

async function freeBytes(dir: string): Promise<number> {
  const disk = await statfs(dir);
  return disk.bavail * disk.bsize;
}
