import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { prepareCover, prepareLoop } from '../../src/mixnet/prepare.ts';
import { drawLoop, drawTrip } from '../../src/simulation/packet.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from '../mixnet/made-directory.ts';

const sphinx = createSphinx({ group: 'X25519', headerLen: 320, bodyLen: 2048 }, native);
const directory = madeDirectory([
  madeNode(1, { roles: ['gateway'] }),
  madeNode(2, { roles: ['gateway', 'mix'] }),
  ...[3, 4, 5, 6, 7].map((number) => madeNode(number)),
]);

test('a trip takes the ways that the product would build a packet for, drawn alike', (t) => {
  const query = { directory, entry: peerIdOf(1), exit: peerIdOf(2), nowMs: NOW_MS };
  for (let seed = 0; seed < 50; seed++) {
    const trip = drawTrip(seededRandom(`${seed}`), query);
    const built = prepareCover(sphinx, geometryOf(sphinx), seededRandom(`${seed}`), query);
    if (trip.kind === 'none' || built.kind === 'none') return t.fail();
    t.deepEqual(trip.nodes, built.trip.nodes);
    t.deepEqual([...trip.out.nodes, ...trip.back.nodes], [...trip.nodes, peerIdOf(1)]);
    t.is(trip.out.nodes.at(-1), peerIdOf(2));
    const delays = [...trip.out.delaysMs, ...trip.back.delaysMs];
    t.is(delays.length, 6);
    t.is(
      delays.reduce((sum, delay) => sum + delay, 0),
      trip.delayMs,
    );
  }
  return t.pass();
});

test('and so does a loop, with the delays, too', (t) => {
  const query = { directory, me: peerIdOf(4), nowMs: NOW_MS };
  for (let seed = 0; seed < 50; seed++) {
    const loop = drawLoop(seededRandom(`${seed}`), query);
    const built = prepareLoop(sphinx, seededRandom(`${seed}`), query);
    if (loop === null || built.kind === 'none') return t.fail();
    t.deepEqual(loop.nodes, [...built.trip.nodes, peerIdOf(4)]);
    t.is(loop.delayMs, built.trip.delayMs);
  }
  return t.pass();
});

test('without a way there is no trip, and its reason is the product’s', (t) => {
  const few = madeDirectory([madeNode(1, { roles: ['gateway'] }), madeNode(2), madeNode(3)]);
  const ends = { entry: peerIdOf(1), exit: peerIdOf(1), nowMs: NOW_MS };
  t.deepEqual(drawTrip(seededRandom(''), { directory: few, ...ends }), {
    kind: 'none',
    reason: 'mixes-too-few',
  });
  const alone = madeDirectory([madeNode(3)]);
  t.is(drawLoop(seededRandom(''), { directory: alone, me: peerIdOf(3), nowMs: NOW_MS }), null);
});
