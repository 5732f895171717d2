import { randomBytes } from 'node:crypto';

import test from 'ava';

import { native } from '../../src/crypto/native.ts';
import { Journal } from '../../src/redis/journal.ts';
import { pressureOf, restsOf, roomBytesOf } from '../../src/redis/pressure.ts';
import type { Fullness, Pressure } from '../../src/redis/pressure.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { Records } from '../../src/redis/records.ts';
import { temporaryStore, until } from './private-redis.ts';

const MEBIBYTE = 1024 * 1024;

const TABLE: [string, Fullness, Pressure][] = [
  ['nothing known', { memory: null, disk: null }, 'open'],
  ['no memory limit', { memory: { usedBytes: 9e9, maxBytes: 0 }, disk: null }, 'open'],
  ['just below 60 %', { memory: { usedBytes: 599, maxBytes: 1_000 }, disk: null }, 'open'],
  ['60 %', { memory: { usedBytes: 600, maxBytes: 1_000 }, disk: null }, 'entry-closed'],
  ['80 %', { memory: { usedBytes: 800, maxBytes: 1_000 }, disk: null }, 'settle-only'],
  ['a large empty disk', disk(1, 500_000), 'open'],
  ['a disk that others fill, with 2 GB left', disk(10, 2_000), 'open'],
  ['170 MB left', disk(0, 170), 'entry-closed'],
  ['64 MB left', disk(0, 64), 'settle-only'],
  ['a file twice as large as what is left', disk(4_000, 2_000), 'entry-closed'],
  ['a full disk', disk(100, 0), 'settle-only'],
];
for (const [name, fullness, pressure] of TABLE) {
  test(`with ${name}, the pressure is ${pressure}`, (t) => t.is(pressureOf(fullness), pressure));
}

test('the room is what may be added before entry closes', (t) => {
  t.is(roomBytesOf({ memory: null, disk: null }), null);
  t.is(roomBytesOf({ memory: { usedBytes: 9e9, maxBytes: 0 }, disk: null }), null);
  t.is(roomBytesOf({ memory: { usedBytes: 100, maxBytes: 1_000 }, disk: null }), 500);
  t.is(roomBytesOf({ memory: { usedBytes: 700, maxBytes: 1_000 }, disk: null }), 0);
  for (const [own, free] of [
    [10, 2_000],
    [300, 700],
  ] as const) {
    const before = disk(own, free);
    const room = Math.floor(roomBytesOf(before) ?? 0);
    t.true(room > 0);
    const at = (more: number): Fullness => disk(own + more / MEBIBYTE, free - more / MEBIBYTE);
    t.is(pressureOf(at(room - MEBIBYTE)), 'open');
    t.is(pressureOf(at(room + MEBIBYTE)), 'entry-closed', `${own} MB, ${free} MB free`);
  }
});

function memory(usedBytes: number): Fullness {
  return { memory: { usedBytes, maxBytes: 1_000 }, disk: null };
}

test('for the rest of messages there is a tenth of all, or what is left of it, and a value takes a quarter more', (t) => {
  t.deepEqual(restsOf({ memory: null, disk: null }, 9e9), { only: false, bytesMax: null });
  t.deepEqual(restsOf(memory(600), 0), { only: false, bytesMax: 80 });
  t.deepEqual(restsOf(memory(700), 0), { only: true, bytesMax: 80 });
  t.deepEqual(restsOf(memory(750), 0), { only: true, bytesMax: 40 });
  t.deepEqual(restsOf(memory(900), 0), { only: true, bytesMax: 0 });
  const both = { memory: { usedBytes: 0, maxBytes: 1e12 }, disk: disk(44, 700).disk };
  t.is(restsOf(both, 0).bytesMax, 80 * MEBIBYTE);
});

test('what was added since a measurement counts as held, with a quarter more', (t) => {
  t.deepEqual(restsOf(memory(600), 79), { only: false, bytesMax: 80 });
  t.deepEqual(restsOf(memory(600), 120), { only: true, bytesMax: 40 });
});

test('a filling store closes its entry, then all but settling, before Redis is full; then it drains', async (t) => {
  const store = await temporaryStore(t, { maxMemoryBytes: 24 * MEBIBYTE });
  const key = new Uint8Array(randomBytes(32));
  const records = new Records(store, { primitives: native, storageKeys: () => key });
  const journal = new Journal(store, { records });
  const queue = await openQueue(store, 'mixing');
  const fill = async (): Promise<void> => {
    const tag = new Uint8Array(randomBytes(16));
    const packet = new Uint8Array(randomBytes(32_768));
    const outcome = { kind: 'forward', packet, next: tag, dueMs: Date.now() } as const;
    await journal.commit([{ endpointId: 'one', tag, outcome }]);
    await queue.add(records.recordId('one', tag), Date.now());
  };
  const seen: string[] = [];
  const note = (): boolean => {
    if (seen.at(-1) !== store.pressure()) seen.push(store.pressure());
    return seen.at(-1) === 'settle-only';
  };
  // As a program that looks at the pressure would, but slowly enough for each sample to be seen.
  await until(async () => {
    if (!note()) await Promise.all([fill(), fill(), fill()]);
    return note();
  });
  t.deepEqual(seen, ['open', 'entry-closed', 'settle-only']);
  const held = (await queueStats(store, 'mixing')).delayed;
  t.true(held > 300, `${held} packets`);

  await openWorker(store, 'mixing', async ({ id }) => {
    await records.remove(id);
  });
  await until(async () => (await Array.fromAsync(records.pending())).length === 0);
  await until(() => store.pressure() === 'open');
  t.like(await queueStats(store, 'mixing'), { waiting: 0, delayed: 0, failed: 0 });
});

test('in a Redis that is full all the same, workers wait instead of spinning, and go on after', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'mixing');
  for (let i = 0; i < 20; i++) await queue.add(`job${i}`, Date.now());
  await store.redis.config('SET', 'maxmemory', '1');
  await t.throwsAsync(queue.add('refused', Date.now()), { code: 'storage-pressure' });
  const done: string[] = [];
  await openWorker(store, 'mixing', async ({ id }) => void done.push(id));
  const before = await commandsSoFar();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const perSecond = ((await commandsSoFar()) - before) / 3;
  t.log(`${perSecond} commands a second`);
  t.true(perSecond < 150, `${perSecond} commands a second`);
  await store.redis.config('SET', 'maxmemory', '0');
  await until(() => new Set(done).size === 20);

  async function commandsSoFar(): Promise<number> {
    const info = await store.redis.info('stats');
    return Number(/total_commands_processed:(\d+)/.exec(info)?.[1]);
  }
});

function disk(ownMebibytes: number, freeMebibytes: number): Fullness {
  return {
    memory: null,
    disk: { ownBytes: ownMebibytes * MEBIBYTE, freeBytes: freeMebibytes * MEBIBYTE },
  };
}
