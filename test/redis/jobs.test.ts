import test from 'ava';

import { ATTEMPTS, QUEUES, backoffMs, queueKind } from '../../src/redis/jobs.ts';
import type { QueueName } from '../../src/redis/jobs.ts';
import {
  jobId,
  jobOptions,
  openQueue,
  queueOptions,
  workerOptions,
} from '../../src/redis/queues.ts';
import { temporaryStore } from './private-redis.ts';

const NAMES: QueueName[] = ['mail', 'mixing', 'delivery', 'outbound-0a', 'exit-survey-2'];

for (const name of NAMES) {
  test(`${name} pauses longer after each failure, within its limits, never twice alike`, (t) => {
    const { backoffMs: first, backoffMsMax } = QUEUES[queueKind(name)];
    t.is(backoffMs(name, 1, 0), first / 2);
    t.is(backoffMs(name, 1, 1), first);
    t.is(backoffMs(name, 2, 1), Math.min(first * 2, backoffMsMax));
    t.is(backoffMs(name, 1_000_000, 1), backoffMsMax);
    t.not(backoffMs(name, 9, 0.1), backoffMs(name, 9, 0.9));
  });

  test(`no failure, stall or end of a job in ${name} can lose it or keep its story`, async (t) => {
    const store = await temporaryStore(t);
    t.like(jobOptions(name), {
      attempts: ATTEMPTS,
      removeOnComplete: true,
      removeOnFail: false,
      stackTraceLimit: 0,
    });
    t.like(workerOptions(store, name), {
      maxStalledCount: ATTEMPTS,
      lockDuration: 10_000,
      stalledInterval: 5_000,
      prefix: '{panoramix}',
    });
    t.deepEqual(queueOptions(store, name).streams, { events: { maxLen: 0 } });
    await (await openQueue(store, name)).add('id', Date.now() + 60_000);
    const stored = JSON.parse((await store.redis.hget(`{panoramix}:${name}:jid`, 'opts')) ?? '{}');
    t.like(stored, { attempts: ATTEMPTS, removeOnComplete: true, removeOnFail: false });
    t.is(await store.redis.hget(`{panoramix}:${name}:meta`, 'opts.maxLenEvents'), '0');
  });
}

for (const name of [
  '',
  'post',
  'mail-2',
  'outbound',
  'outbound-',
  'exit-a:b',
  'toString',
  'exit-ä',
]) {
  test(`${JSON.stringify(name)} is no queue`, (t) => {
    t.throws(() => queueKind(name as QueueName), { instanceOf: RangeError });
  });
}

test('ids of digits only are possible, and none can leave the queue’s own keys', async (t) => {
  const queue = await openQueue(await temporaryStore(t), 'mixing');
  await queue.add('12345678901234567890123456789012');
  t.true(await queue.has('12345678901234567890123456789012'));
  for (const id of ['', 'a:b', 'a b', 'ä', 'x'.repeat(201)]) {
    t.throws(() => jobId(id), { instanceOf: RangeError });
  }
});

test('a queue that another program made keep events is refused, with the fix', async (t) => {
  const store = await temporaryStore(t);
  await store.redis.hset('{panoramix}:mixing:meta', 'opts.maxLenEvents', '10000');
  await t.throwsAsync(openQueue(store, 'mixing'), { code: 'redis-unsafe', message: /HSET/ });
});
