import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { OwnPacket } from '../../src/mixer/emission.ts';
import { LoopSender, type LoopSenderOptions } from '../../src/mixer/loops.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { peerIdOf } from '../mixnet/made-directory.ts';
import { until } from '../redis/private-redis.ts';
import { ME, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);

/** Loops of a node, 40 a second; `sent` has what left. */
async function create(t: ExecutionContext, over: Partial<LoopSenderOptions> = {}) {
  const parts = await outboundParts(store());
  const { held, counters } = parts;
  const view = held.view;
  if (view === null) throw new Error('no view');
  const { directory } = view;
  const traffic = { ...directory.traffic, loopsPerSecond: 40, ticksPerSecond: 1 };
  held.view = { ...view, directory: { ...directory, traffic } };
  const sent: OwnPacket[] = [];
  const loops = new LoopSender({
    random: native.random,
    now: Date.now,
    me: ME,
    view: () => held.view,
    emission: {
      send: async (own, by) => {
        sent.push(own);
        return await parts.emission.send(own, by);
      },
    },
    isBackedUp: () => false,
    counters,
    ...over,
  });
  t.teardown(async () => await loops.stop());
  return { ...parts, loops, sent };
}

test('loops leave at the rate of the snapshot, each on a way of its own through other mixes', async (t) => {
  const { loops, sent, counters } = await create(t);
  const startMs = performance.now();
  loops.start();
  await until(() => sent.length >= 40);
  const perSecond = (1000 * sent.length) / (performance.now() - startMs);
  // 40 draws: five standard deviations, and what a busy computer misses.
  t.true(perSecond > 8 && perSecond < 80, `${perSecond} a second`);
  await loops.stop();
  t.is(counters.of('sent-loop'), sent.length);
  for (const { kind, fragment, packet } of sent) {
    t.is(kind, 'loop');
    t.is(fragment, null);
    t.is(new Set(packet.trip.nodes).size, 3);
    t.false(packet.trip.nodes.includes(ME));
  }
  const ways = new Set(sent.map(({ packet }) => packet.trip.nodes.join()));
  t.true(ways.size >= 5, `${ways.size} ways of 6`);
  t.is(new Set(sent.map(({ recordId }) => recordId)).size, sent.length);
});

test('a loop that could not be stored leaves later, the same', async (t) => {
  const tried: string[] = [];
  const { loops, counters } = await create(t, {
    emission: {
      send: async ({ recordId }) => {
        tried.push(recordId);
        if (tried.length < 3) throw new PanoramixError('redis-unavailable', 'a test');
        return await Promise.resolve(0);
      },
    },
  });
  loops.start();
  await until(() => tried.length > 6);
  t.is(counters.of('loop-failed'), 2);
  t.true(new Set(tried).size <= tried.length - 2);
});

test('where the first hop takes nothing, or there is no other mix, a tick is missed', async (t) => {
  const blocked = await create(t, { isBackedUp: () => true });
  blocked.loops.start();
  await until(() => blocked.counters.of('loop-held') > 5);
  t.is(blocked.sent.length, 0);
  const { held, ...alone } = await create(t);
  const view = held.view;
  if (view === null) throw new Error('no view');
  const nodes = view.directory.nodes.filter(
    ({ peerId }) => ![1, 2, 3].map(peerIdOf).includes(peerId),
  );
  held.view = { ...view, directory: { ...view.directory, nodes } };
  alone.loops.start();
  await until(() => alone.counters.of('loop-unready') > 5);
  t.is(alone.sent.length, 0);
});

test('after a new snapshot no loop takes a way of the old one', async (t) => {
  const { loops, sent, held, counters } = await create(t);
  loops.start();
  await until(() => sent.length > 3);
  const view = held.view;
  if (view === null) throw new Error('no view');
  const { directory } = view;
  const nodes = directory.nodes.filter(({ peerId }) => peerId !== peerIdOf(2));
  const traffic = { ...directory.traffic, mixesPerRoute: 2 };
  held.view = {
    ...view,
    directory: { ...directory, nodes, traffic, snapshotHash: 'd'.repeat(64) },
  };
  const before = sent.length;
  await until(() => sent.length > before + 5);
  const after = sent.slice(before);
  t.true(after.every(({ packet }) => !packet.trip.nodes.includes(peerIdOf(2))));
  // Ticks that fall between the new snapshot and the end of the first filling miss theirs.
  t.true(counters.of('loop-unready') <= 10, `${counters.of('loop-unready')} ticks missed`);
});
