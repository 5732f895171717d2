/**
 * Measures the store on this machine, on its real private server with every write fsynced:
 * `node test/redis/measure.ts`. Prints one line a figure; the README quotes them with the machine.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry } from '../../src/redis/journal.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';

const PACKET_BYTES = 32_768 + 400;
const COMMITS = 2_000;
const TAGS = 1_000_000;
const STORAGE_KEY = new Uint8Array(randomBytes(32));

const dataDir = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'panoramix-measure-'));
const store = await openStore({ dataDir, log: silentLog, maxMemoryBytes: 4 * 1024 ** 3 });
const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
const journal = new Journal(store, { records });
try {
  for (const group of [1, 8, 32, 128]) await measureCommits(group);
  await measureMail(store);
  await measureDelays(store);
  await measureTags(store);
} finally {
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}

async function measureCommits(group: number): Promise<void> {
  const packet = new Uint8Array(randomBytes(PACKET_BYTES));
  const entries = Array.from({ length: COMMITS }, (): CommitEntry => {
    const outcome = { kind: 'forward', packet, next: bytes(16), dueMs: 1 } as const;
    return { endpointId: `group${group}`, tag: bytes(16), outcome };
  });
  const startedMs = performance.now();
  for (let at = 0; at < COMMITS; at += group) await journal.commit(entries.slice(at, at + group));
  const seconds = (performance.now() - startedMs) / 1_000;
  print(`commits of 32 KB, ${group} together`, `${Math.round(COMMITS / seconds)} /s`);
  await journal.destroy(`group${group}`);
}

async function measureMail(on: Store): Promise<void> {
  const mails = await MailStore.open(on, { primitives: native, storageKey: STORAGE_KEY });
  for (const [size, count] of [
    [4_000, 500],
    [10_000_000, 5],
  ] as const) {
    const data = new Uint8Array(randomBytes(size));
    const ids = Array.from({ length: count }, () => randomBytes(16).toString('hex'));
    const startedMs = performance.now();
    for (const messageId of ids) await mails.accept({ messageId, envelope: bytes(300), data });
    const eachMs = (performance.now() - startedMs) / count;
    print(`accept a mail of ${size} bytes, one after the other`, `${eachMs.toFixed(1)} ms each`);
    for (const messageId of ids) await mails.remove(messageId);
  }
}

async function measureDelays(on: Store): Promise<void> {
  const queue = await openQueue(on, 'mixing');
  const lateMs: number[] = [];
  await openWorker(on, 'mixing', async ({ dueMs }) => void lateMs.push(Date.now() - dueMs));
  for (let i = 0; i < 300; i++)
    await queue.add(`job${i}`, Date.now() + 200 + Math.random() * 3_000);
  while (lateMs.length < 300) await new Promise((resolve) => setTimeout(resolve, 50));
  const sorted = lateMs.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.floor(share * 299)] ?? Number.NaN;
  print('held jobs leave late by, p50 p95 max', `${at(0.5)} ${at(0.95)} ${at(1)} ms`);
}

async function measureTags(on: Store): Promise<void> {
  const used = async (): Promise<number> => {
    return Number(/used_memory:(\d+)/.exec(await on.redis.info('memory'))?.[1]);
  };
  const before = await used();
  const startedMs = performance.now();
  for (let done = 0; done < TAGS; done += 4_096) {
    const entries = Array.from({ length: Math.min(4_096, TAGS - done) }, (): CommitEntry => {
      return { endpointId: 'tags', tag: bytes(16), outcome: { kind: 'none' } };
    });
    await journal.commit(entries);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const perTag = ((await used()) - before) / TAGS;
  print(`tags without bytes, 128 together`, `${Math.round(TAGS / seconds)} /s`);
  print(`memory of ${TAGS} tags`, `${perTag.toFixed(1)} bytes each`);
  const destroyMs = performance.now();
  await journal.destroy('tags');
  print(`destroying them`, `${Math.round(performance.now() - destroyMs)} ms`);
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(52)} ${value}\n`);
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
