import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { allQueueStats, queueStats } from '../../src/redis/queue-stats.ts';
import { openTaker } from '../../src/redis/taker.ts';
import type { TakenJob } from '../../src/redis/taker.ts';
import { silentLog } from '../../src/log.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

const HOLDER = fileURLToPath(new URL('job-holder.ts', import.meta.url));

test('jobs of a killed program come back within seconds, worked on and taken ones alike', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  await (await openQueue(store, 'mixing')).add('worked-on', Date.now());
  await (await openQueue(store, 'outbound-abc')).add('taken');
  const holder = fork(HOLDER, [dataDir]);
  await once(holder, 'message');
  t.like(await queueStats(store, 'mixing'), { active: 1, delayed: 0 });
  t.like(await queueStats(store, 'outbound-abc'), { active: 1, waiting: 0 });
  holder.kill('SIGKILL');
  await once(holder, 'exit');

  const killedMs = Date.now();
  const backMs: Record<string, number> = {};
  await openWorker(store, 'mixing', async ({ id }) => {
    backMs[id] = Date.now() - killedMs;
  });
  const taker = await openTaker(store, 'outbound-abc');
  let job: TakenJob | null = null;
  await until(async () => (job ??= await taker.take()) !== null, 25_000);
  backMs['taken'] = Date.now() - killedMs;
  await until(() => backMs['worked-on'] !== undefined, 25_000);
  t.log(backMs);
  t.true(Object.values(backMs).every((ms) => ms < 20_000));
});

test('a queue and its worker go on after the server was killed and started again', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const queue = await openQueue(store, 'mixing');
  const taker = await openTaker(store, 'outbound-abc');
  const outbound = await openQueue(store, 'outbound-abc');
  const done: string[] = [];
  await openWorker(store, 'mixing', async ({ id }) => void done.push(id));
  await outbound.add('kept');
  await queue.add('before', Date.now());
  await until(() => done.includes('before'));
  await queue.add('held', Date.now() + 1_500);
  for (let kill = 0; kill < 2; kill++) {
    await killServer(dataDir);
    await t.throwsAsync(queue.add('refused', Date.now()), { code: 'redis-unavailable' });
    await until(() => store.redis.status === 'ready');
    await queue.add(`after${kill}`, Date.now());
    await queue.addMany([{ id: `many${kill}a` }, { id: `many${kill}b`, dueMs: Date.now() + 5 }]);
  }
  const all = ['before', 'held', 'after0', 'after1', 'many0a', 'many0b', 'many1a', 'many1b'];
  await until(() => all.every((id) => done.includes(id)));
  t.is(done.length, all.length);
  t.is((await taker.take())?.id, 'kept');
});

test('a queue opened while Redis is away works when it is back', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  await killServer(dataDir);
  await t.throwsAsync(openQueue(store, 'delivery'), { code: 'redis-unavailable' });
  await until(() => store.redis.status === 'ready');
  const queue = await openQueue(store, 'delivery');
  await queue.add('one');
  t.true(await queue.has('one'));
});

test('a handler that gives a time is called again then, and that is no failure', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'mixing');
  const calls: { atMs: number; failures: number }[] = [];
  await openWorker(store, 'mixing', async ({ failures }) => {
    calls.push({ atMs: Date.now(), failures });
    return calls.length < 3 ? { againAtMs: Date.now() + 300 } : undefined;
  });
  await queue.add('again', Date.now());
  await until(() => calls.length === 3);
  t.deepEqual(
    calls.map(({ failures }) => failures),
    [0, 0, 0],
  );
  t.true((calls[2]?.atMs ?? 0) - (calls[0]?.atMs ?? 0) >= 600);
  await until(async () => !(await queue.has('again')));
});

test('a failing job is tried again after growing pauses and never given up', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'mixing');
  const atMs: number[] = [];
  await openWorker(store, 'mixing', async ({ failures }) => {
    t.is(failures, atMs.length);
    atMs.push(Date.now());
    if (atMs.length < 4) throw new Error('not yet');
  });
  await queue.add('stubborn', Date.now());
  await until(() => atMs.length === 4);
  const pauses = atMs.slice(1).map((at, i) => at - (atMs[i] ?? 0));
  t.true((pauses[0] ?? 0) >= 250 && (pauses[2] ?? 0) >= 1_000, pauses.join(', '));
  t.is((await queueStats(store, 'mixing')).failed, 0);
});

test('status sees every queue from another process, and how old its oldest job is', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const mail = await openQueue(store, 'mail');
  const mixing = await openQueue(store, 'mixing');
  await mail.addMany([{ id: 'first' }, { id: 'second' }]);
  await mixing.addMany([
    { id: 'overdue', dueMs: Date.now() - 5_000 },
    { id: 'later', dueMs: Date.now() + 60_000 },
  ]);
  await sleep(300);
  const visitor = await connectStore({ dataDir, log: silentLog });
  t.teardown(async () => await visitor.close());
  const stats = await allQueueStats(visitor);
  t.deepEqual([...stats.keys()], ['mail', 'mixing']);
  t.like(stats.get('mail'), { waiting: 2, active: 0, delayed: 0, failed: 0 });
  const mailAge = stats.get('mail')?.oldestAgeMs ?? 0;
  const mixingAge = stats.get('mixing')?.oldestAgeMs ?? 0;
  t.true(mailAge >= 300 && mailAge < 5_000, `mail ${mailAge}`);
  t.is(stats.get('mixing')?.delayed, 2);
  t.true(mixingAge >= 5_000 && mixingAge < 10_000, `mixing ${mixingAge}`);
});
