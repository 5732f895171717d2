import { setTimeout as sleep } from 'node:timers/promises';

import test from 'ava';

import { PanoramixError } from '../../src/errors.ts';
import { hastenJobs, openQueue, openWorker } from '../../src/redis/queues.ts';
import { openTaker } from '../../src/redis/taker.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { temporaryStore, until } from './private-redis.ts';

test('a mixing job leaves when it is due, once, and stores no other time', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'mixing');
  const dueMs = Date.now() + 600;
  await queue.add('0123456789', dueMs);
  await queue.add('0123456789', dueMs + 5_000);
  const stored = await store.redis.hgetall(queueKey('mixing', 'j0123456789'));
  t.is(stored['timestamp'], '1');
  t.is(stored['delay'], String(dueMs - 1));
  t.is(stored['data'], '{}');

  const seen: { id: string; dueMs: number; lateMs: number }[] = [];
  await openWorker(store, 'mixing', async (job) => {
    seen.push({ id: job.id, dueMs: job.dueMs, lateMs: Date.now() - dueMs });
  });
  await until(() => seen.length > 0);
  await sleep(200);
  t.is(seen.length, 1);
  t.is(seen[0]?.id, '0123456789');
  t.is(seen[0]?.dueMs, dueMs);
  t.true((seen[0]?.lateMs ?? -1) >= 0 && (seen[0]?.lateMs ?? 999) < 300, `late ${seen[0]?.lateMs}`);
  t.false(await queue.has('0123456789'));
});

test('jobs that wait for longer than they may are found, whoever added them', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'delivery');
  const nowMs = Date.now();
  await queue.addMany([
    { id: 'now' },
    { id: 'soon', dueMs: nowMs + 1_000 },
    { id: 'bound', dueMs: nowMs + 2_000 },
    { id: 'late', dueMs: nowMs + 2_001 },
    { id: 'days', dueMs: nowMs + 600_000_000 },
  ]);
  t.deepEqual(await queue.dueAfter(nowMs + 2_000), ['late', 'days']);
});

const DAY_MS = 86_400_000;

test('jobs added and put off by a clock that was days ahead stayed due in days when it was set back', async (t) => {
  const store = await temporaryStore(t);
  const mixing = await openQueue(store, 'mixing');
  const resends = await openQueue(store, 'outbound-abc-again');
  const nowMs = Date.now();
  await mixing.addMany([
    { id: 'held', dueMs: nowMs + 7 * DAY_MS },
    { id: 'soon', dueMs: nowMs + 60_000 },
  ]);
  await resends.add('unanswered', nowMs + 7 * DAY_MS);
  const taker = await openTaker(store, 'outbound-abc-again');
  t.is(await taker.take(), null);

  t.is(await hastenJobs(store, ['mixing', 'outbound-abc-again'], nowMs + 3_600_000), 2);
  t.is((await taker.take())?.id, 'unanswered');
  const worked: string[] = [];
  await openWorker(store, 'mixing', async ({ id }) => void worked.push(id));
  await until(() => worked.length > 0);
  t.deepEqual(worked, ['held']);
  t.true(await mixing.has('soon'));
});

test('while the machine’s clock is wrong, pauses are as long as they were meant to be', async (t) => {
  for (const aheadMs of [7 * DAY_MS, -7 * DAY_MS]) {
    // BullMQ goes by the machine's clock; handlers by this one.
    const now = (): number => Date.now() - aheadMs;
    const store = await temporaryStore(t, { aheadMs: () => aheadMs });
    const queue = await openQueue(store, 'mixing');
    const pauses: number[] = [];
    let wantedMs = now() + 500;
    await queue.add('packet', wantedMs);
    await openWorker(store, 'mixing', async () => {
      pauses.push(now() - wantedMs);
      wantedMs = now() + 500;
      return pauses.length < 3 ? { againAtMs: wantedMs } : undefined;
    });
    await until(async () => !(await queue.has('packet')));
    t.is(pauses.length, 3);
    for (const lateMs of pauses) t.true(lateMs >= -1 && lateMs < 400, `late ${lateMs}`);
    t.deepEqual(await queue.dueAfter(now()), []);
  }
});

test('finished and failing jobs leave neither events nor texts behind', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'delivery');
  let calls = 0;
  await openWorker(store, 'delivery', async (job) => {
    calls++;
    if (job.id === 'fails') throw new PanoramixError('controller-unreachable', 'user@example.org');
  });
  await queue.addMany(Array.from({ length: 120 }, (_, i) => ({ id: `job${i}` })));
  await queue.add('fails');
  await until(() => calls >= 121);
  await until(async () => (await store.redis.keys('*:jjob*')).length === 0);
  const failed = await store.redis.hgetall(queueKey('delivery', 'jfails'));
  t.is(failed['failedReason'], 'controller-unreachable');
  t.notRegex(JSON.stringify(failed), /example\.org/);
  await until(async () => (await store.redis.xlen(queueKey('delivery', 'events'))) === 0, 7_000);
  t.is((await queueStats(store, 'delivery')).delayed, 1);
});

test('a taken job is settled, given back, or renewed for as long as it is held', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'outbound-abc');
  await queue.addMany([{ id: 'first' }, { id: 'second' }]);
  const taker = await openTaker(store, 'outbound-abc');
  const first = await taker.take();
  t.is(first?.id, 'first');
  await first?.giveBack();
  const again = await taker.take();
  t.is(again?.id, 'first');
  await again?.settle();
  const second = await taker.take();
  t.is(second?.id, 'second');
  t.is(await taker.take(), null);
  await sleep(12_000);
  t.like(await queueStats(store, 'outbound-abc'), { waiting: 0, active: 1 });
  await second?.settle();
  t.like(await queueStats(store, 'outbound-abc'), { waiting: 0, active: 0, oldestAgeMs: null });
});

function queueKey(queue: string, key: string): string {
  return `{panoramix}:${queue}:${key}`;
}
