import test from 'ava';
import { sharedStore } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { ME, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);

test('a queue that takes long to walk through left an exit without cover: ticks were missed', async (t) => {
  const { exit, outbound, ...parts } = await outboundParts(store());
  const { promise, resolve } = Promise.withResolvers<null>();
  outbound.take = async () => await promise;
  const ready = parts.ready();
  const fills: Promise<void>[] = [];
  for (let tick = 0; tick < 20; tick++) {
    fills.push(ready.fill(exit));
    await until(() => {
      const cover = ready.take(exit, 'cover');
      return cover !== null;
    }, 3_000);
  }
  t.false(ready.isWaiting(exit));
  resolve(null);
  await Promise.all(fills);
  await ready.close();
});

test('at a start, mail that waits for one exit left all others without cover', async (t) => {
  const { exit, outbound, ...parts } = await outboundParts(store());
  const { promise, resolve } = Promise.withResolvers<null>();
  outbound.take = async () => await promise;
  const ready = parts.ready();
  const filling = ready.fillAll();
  for (const one of [ME, exit]) await until(() => ready.take(one, 'cover') !== null, 3_000);
  resolve(null);
  await filling;
  await ready.close();
  t.pass();
});
