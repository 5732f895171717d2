import test from 'ava';

import { openQueue } from '../../src/redis/queues.ts';
import { openTaker } from '../../src/redis/taker.ts';
import type { TakenJob } from '../../src/redis/taker.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

test('a job that could not be settled, as Redis went away, was held until a restart', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  await (await openQueue(store, 'outbound-abc')).add('one');
  const taker = await openTaker(store, 'outbound-abc');
  const first = await taker.take();
  await killServer(dataDir);
  await t.throwsAsync(first?.settle() ?? Promise.resolve(), { code: 'redis-unavailable' });
  await until(() => store.redis.status === 'ready');
  let again: TakenJob | null = null;
  await until(async () => (again = await taker.take()) !== null, 25_000);
  await (again as TakenJob | null)?.settle();
  t.is(await taker.take(), null);
});

test('a job that was put off is taken when its time has come, and not before, also after a crash', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const queue = await openQueue(store, 'outbound-abc');
  await queue.addMany([{ id: 'first' }, { id: 'second' }]);
  const taker = await openTaker(store, 'outbound-abc');
  const atMs = Date.now() + 2_000;
  await (await taker.take())?.again(atMs + 0.5);
  t.is((await taker.take())?.id, 'second');
  t.is(await taker.take(), null);
  t.true(await queue.has('first'));
  await killServer(dataDir);
  await until(() => store.redis.status === 'ready');
  let again: TakenJob | null = null;
  await until(async () => (again = await taker.take()) !== null);
  t.is((again as TakenJob | null)?.id, 'first');
  t.true(Date.now() >= atMs);
  await (again as TakenJob | null)?.settle();
  t.false(await queue.has('first'));
});

test('a job is removed unless somebody has it, and removing it twice is harmless', async (t) => {
  const store = await temporaryStore(t);
  const queue = await openQueue(store, 'outbound-abc');
  const taker = await openTaker(store, 'outbound-abc');
  await queue.addMany([{ id: 'put-off' }, { id: 'taken' }, { id: 'waiting' }]);
  await (await taker.take())?.again(Date.now() + 60_000);
  const taken = await taker.take();
  for (const id of ['put-off', 'waiting']) {
    t.true(await queue.remove(id), id);
    t.false(await queue.has(id), id);
    t.true(await queue.remove(id), id);
  }
  t.false(await queue.remove('taken'));
  t.true(await queue.has('taken'));
  await taken?.settle();
  t.false(await queue.has('taken'));
  t.is(await taker.take(), null);
});
