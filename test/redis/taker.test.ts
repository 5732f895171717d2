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
