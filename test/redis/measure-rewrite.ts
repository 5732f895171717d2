/**
 * Measures what rewriting the append-only file costs, on this machine's real private server:
 * `node test/redis/measure-rewrite.ts`. One packet after the other is committed, each fsynced, with
 * rewrites back to back and without; the README quotes the figures with the machine.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { parseInfo } from '../../src/redis/durability.ts';
import { openStore } from '../../src/redis/embedded.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';

const PACKET_BYTES = 32_768 + 400;
const MEASURED_MS = 20_000;
const STORAGE_KEY = bytes(32);

const dataDir = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'panoramix-measure-'));
const store = await openStore({ dataDir, log: silentLog, maxMemoryBytes: 4 * 1024 ** 3 });
const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
const journal = new Journal(store, { records });
try {
  for (const storedMegabytes of [5, 500]) {
    await fill(storedMegabytes);
    await commitFor('no rewrite', storedMegabytes);
    const over = new AbortController();
    const rewriting = rewriteUntil(over.signal);
    await commitFor('rewrites back to back', storedMegabytes);
    over.abort();
    const { count, eachMs, forkMs } = await rewriting;
    print(storedMegabytes, `${count} rewrites of ${eachMs} ms, the fork ${forkMs} ms`);
  }
} finally {
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}

/** Packets that stay, up to so many bytes in all. */
async function fill(megabytes: number): Promise<void> {
  const packets = Math.round((megabytes * 1e6) / PACKET_BYTES) - (await records.count('kept'));
  const packet = bytes(PACKET_BYTES);
  for (let left = packets; left > 0; left -= 128) {
    await journal.commit(times(Math.min(left, 128), () => entry('kept', packet)));
  }
  // Redis may be at one of its own.
  await idle();
  await store.redis.bgrewriteaof();
  await idle();
}

async function commitFor(what: string, megabytes: number): Promise<void> {
  const packet = bytes(PACKET_BYTES);
  const tookMs: number[] = [];
  const endMs = performance.now() + MEASURED_MS;
  while (performance.now() < endMs) {
    const one = entry('passing', packet);
    const startedMs = performance.now();
    await journal.commit([one]);
    tookMs.push(performance.now() - startedMs);
    await records.remove(records.recordId('passing', one.tag));
  }
  const sorted = tookMs.toSorted((left, right) => left - right);
  const at = (share: number): string =>
    (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  print(
    megabytes,
    `${what}: ${sorted.length} commits, p50 ${at(0.5)} p99 ${at(0.99)} p99.9 ${at(0.999)} max ${at(1)} ms`,
  );
}

async function rewriteUntil(
  over: AbortSignal,
): Promise<{ count: number; eachMs: number; forkMs: number }> {
  let count = 0;
  let allMs = 0;
  while (!over.aborted) {
    await idle();
    const startedMs = performance.now();
    await store.redis.bgrewriteaof().catch(() => undefined);
    await idle();
    allMs += performance.now() - startedMs;
    count++;
  }
  const info = parseInfo(await store.redis.info('stats'));
  const forkMs = Math.round(Number(info.get('latest_fork_usec')) / 100) / 10;
  return { count, eachMs: Math.round(allMs / count), forkMs };
}

async function idle(): Promise<void> {
  while (await isBusy()) await sleep(10);
}

async function isBusy(): Promise<boolean> {
  const info = parseInfo(await store.redis.info('persistence'));
  return info.get('aof_rewrite_in_progress') !== '0' || info.get('aof_rewrite_scheduled') !== '0';
}

function entry(endpointId: string, packet: Uint8Array): CommitEntry {
  const outcome = { kind: 'forward', packet, next: bytes(16), dueMs: 1 } as const;
  return { endpointId, tag: bytes(16), outcome };
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function print(megabytes: number, text: string): void {
  process.stdout.write(`${String(megabytes).padStart(4)} MB stored, ${text}\n`);
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
