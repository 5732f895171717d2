import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { ReadyPackets } from '../../src/mixer/ready.ts';
import { Ticker } from '../../src/mixer/ticks.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { openQueue } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { openTaker } from '../../src/redis/taker.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from '../mixnet/made-directory.ts';
import { until } from '../redis/private-redis.ts';

const store = sharedStore(test);
const sphinx = createSphinx({ group: 'X25519', headerLen: 320, bodyLen: 2048 }, native);

test('ticks stopped for an hour where the clock was set back by an hour', async (t) => {
  const clock = { aheadMs: 3_600_000 };
  const now = (): number => NOW_MS + performance.now() + clock.aheadMs;
  const directory = madeDirectory([madeNode(9, { roles: ['gateway'] })]);
  const traffic = { ...directory.traffic, ticksPerSecond: 50, loopsPerSecond: 0.5, mixesPerRoute: 0 };
  const view = () => ({
    sphinx,
    geometry: geometryOf(sphinx),
    directory: { ...directory, traffic },
    isMix: false,
    isExit: true,
  });
  const taker = await openTaker(store(), 'outbound-x');
  const ready = new ReadyPackets({
    random: native.random,
    now,
    me: peerIdOf(8),
    view,
    takerFor: async () => await Promise.resolve(taker),
    load: async () => await Promise.resolve(null),
    discard: async (job) => await job.settle(),
  });
  const storageKey = native.random(32);
  const counters = new Counters();
  const ticker = new Ticker({
    random: native.random,
    now,
    view,
    ready,
    records: new Records(store(), { primitives: native, storageKeys: () => storageKey }),
    mixing: await openQueue(store(), 'mixing'),
    isBackedUp: () => false,
    counters,
    log: silentLog,
  });
  ticker.start();
  const sentMore = async (): Promise<void> => {
    const before = counters.of('sent-cover');
    await until(() => counters.of('sent-cover') > before + 5, 5_000);
  };
  await sentMore();
  clock.aheadMs = 0;
  await t.notThrowsAsync(sentMore());
  await ticker.stop();
});
