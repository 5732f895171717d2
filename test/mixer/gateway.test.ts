import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { Gateway } from '../../src/mixer/gateway.ts';
import { Journal } from '../../src/redis/journal.ts';
import { openQueue } from '../../src/redis/queues.ts';
import { temporaryStore } from '../redis/private-redis.ts';
import { gatewayHost } from './gateway-host.ts';
import { fragmentOf } from './outbound-parts.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const deliver = async () => await Promise.resolve({ accepted: [], refused: [] });

test('mail that arrived while the clock was days ahead is delivered when it is right, and not when it has expired', async (t) => {
  const store = await temporaryStore(t);
  const clock = { aheadMs: 6 * DAY_MS };
  const now = (): number => Date.now() + clock.aheadMs;
  const { host, records } = await gatewayHost(store, now);
  const gateway = await Gateway.open(host, { deliver, exitDelayMeanMs: 1_000 });
  const { fragments } = gateway;
  const outcome = {
    kind: 'fragment',
    fragment: fragmentOf(Date.now() + DAY_MS),
    ack: null,
  } as const;
  const entry = { endpointId: 'e', tag: native.random(16), outcome };
  await new Journal(store, { records, fragments }).commit([entry]);
  const [id] = await fragments.complete();
  const delivery = await openQueue(store, 'delivery');
  await gateway.queueDeliveries('all');
  t.deepEqual(await delivery.dueAfter(Date.now() + 5 * DAY_MS), [id]);

  clock.aheadMs = 0;
  await gateway.queueDeliveries('new');
  await gateway.queueDeliveries('all');
  t.deepEqual(await delivery.dueAfter(Date.now() + HOUR_MS), []);
  t.true(await delivery.has(id ?? ''));
  const due = async () =>
    await store.redis.zrange('{panoramix}:delivery:delayed', '0', '-1', 'WITHSCORES');
  const before = await due();
  t.is(before.length, 2);
  await gateway.queueDeliveries('all');
  t.deepEqual(await due(), before, 'a job that waits no longer than it may keeps its time');
});
