import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { OwnPacket } from '../../src/mixer/emission.ts';
import { Ticker, type TickerOptions } from '../../src/mixer/ticks.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { fragmentOf, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);
const later = (): number => Date.now() + 3_600_000;

/** A gateway's clock over a real store, 40 ticks a second between two exits. */
async function create(t: ExecutionContext, over: Partial<TickerOptions> = {}) {
  const parts = await outboundParts(store());
  const { held, emission, outbound, counters } = parts;
  const view = held.view;
  if (view === null) throw new Error('no view');
  const { directory } = view;
  const traffic = { ...directory.traffic, ticksPerSecond: 40 };
  held.view = { ...view, directory: { ...directory, traffic } };
  const ready = parts.ready();
  const sent: OwnPacket[] = [];
  const ticker = new Ticker({
    random: native.random,
    now: Date.now,
    view: () => held.view,
    ready,
    emission: {
      send: async (own, by) => {
        sent.push(own);
        return await emission.send(own, by);
      },
    },
    outbound,
    isBackedUp: () => false,
    counters,
    log: silentLog,
    ...over,
  });
  t.teardown(async () => {
    await ticker.stop();
    await ready.close();
  });
  return { ...parts, ready, ticker, sent };
}

test('fragments leave in ticks, then cover, and each fragment waits for its ack or its next time', async (t) => {
  const { ticker, queue, counters, exit, sent } = await create(t);
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push(await queue(fragmentOf(later())));
  ticker.start();
  await until(() => counters.of('sent-fragment') === 3 && counters.of('sent-cover') > 20);
  await ticker.stop();
  t.deepEqual(
    sent.flatMap(({ fragment }) => fragment?.id ?? []),
    ids,
    'oldest first',
  );
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 0, active: 0 });
  t.like(await queueStats(store(), `outbound-${exit}-again`), { delayed: 3 });
});

test('a packet that could not be stored leaves at a later tick, the same and once', async (t) => {
  let failures = 0;
  const sent: string[] = [];
  const mixer = await create(t, {
    emission: {
      send: async ({ recordId, kind }) => {
        if (kind === 'fragment' && failures++ < 2) {
          sent.push(recordId);
          throw new PanoramixError('redis-unavailable', 'a test');
        }
        if (kind === 'fragment') sent.push(recordId);
        return await Promise.resolve(later());
      },
    },
  });
  await mixer.queue(fragmentOf(later()));
  mixer.ticker.start();
  await until(() => sent.length === 3);
  t.is(new Set(sent).size, 1);
  t.is(mixer.counters.of('tick-failed'), 2);
});

test('where a first hop takes nothing, the tick is missed whatever it would have taken', async (t) => {
  const { ticker, queue, counters, sent } = await create(t, { isBackedUp: () => true });
  for (let i = 0; i < 3; i++) await queue(fragmentOf(later()));
  ticker.start();
  await until(() => counters.of('tick-held') > 10);
  t.is(sent.length, 0);
});

test('what differs after a tick waits until the packet is gone', async (t) => {
  const times: { kind: string; ms: number }[] = [];
  const { ticker, queue, counters } = await create(t, {
    emission: {
      send: async ({ kind }) => {
        times.push({ kind, ms: performance.now() });
        return await Promise.resolve(later());
      },
    },
    outbound: {
      putOff: async () => {
        times.push({ kind: 'put off', ms: performance.now() });
        await Promise.resolve();
      },
    },
  });
  await queue(fragmentOf(later()));
  ticker.start();
  await until(() => times.some(({ kind }) => kind === 'put off'));
  const at = (wanted: string): number => times.find(({ kind }) => kind === wanted)?.ms ?? 0;
  t.true(at('put off') - at('fragment') >= 24);
  t.is(counters.of('tick-failed'), 0);
});
