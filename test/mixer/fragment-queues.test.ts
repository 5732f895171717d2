import test from 'ava';
import { FragmentQueues } from '../../src/mixer/fragment-queues.ts';
import { sharedStore } from '../controller/private-controller.ts';

const store = sharedStore(test);

test('each exit has a queue for first sends and one for resends, opened once', async (t) => {
  const queues = new FragmentQueues(store());
  t.teardown(async () => await queues.close());
  const first = await queues.queue('x', 'first');
  t.is(await queues.queue('x', 'first'), first);
  t.is(first.name, 'outbound-x');
  t.is((await queues.queue('x', 'resend')).name, 'outbound-x-again');
  t.is((await queues.queue('y', 'first')).name, 'outbound-y');
  const taker = await queues.taker('x', 'resend');
  await (await queues.queue('x', 'resend')).add('one');
  t.is((await taker.take())?.id, 'one');
  t.is(await (await queues.taker('x', 'first')).take(), null);
});

test('a queue that could not be opened, as Redis was away, is opened by the next who asks', async (t) => {
  let isAway = true;
  const away = { hget: async () => await Promise.reject(new Error('Connection is closed.')) };
  const own = new Proxy(store(), {
    get: (target, name) => {
      if (name === 'redis' && isAway) return away;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const queues = new FragmentQueues(own);
  await t.throwsAsync(queues.queue('z', 'first'), { message: /redis-unavailable/ });
  await t.throwsAsync(queues.taker('z', 'first'), { message: /redis-unavailable/ });
  isAway = false;
  t.is((await queues.queue('z', 'first')).name, 'outbound-z');
  t.truthy(await queues.taker('z', 'first'));
  await queues.close();
});
