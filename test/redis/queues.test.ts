import { setTimeout as sleep } from 'node:timers/promises';

import test from 'ava';

import { PanoramixError } from '../../src/errors.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
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
