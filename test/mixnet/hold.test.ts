import test from 'ava';
import { drawHoldMs, HELD_MEANS, HOLDING_MEANS } from '../../src/mixnet/hold.ts';
import { seededRandom } from './seeded-random.ts';

const MEAN_MS = 2_000;

test('a packet is held for an exponential time of ten mean delays', (t) => {
  const random = seededRandom(1);
  const holds = Array.from({ length: 1_000 }, () => drawHoldMs(random, 0, MEAN_MS) ?? Number.NaN);
  const mean = holds.reduce((sum, hold) => sum + hold, 0) / holds.length;
  // Of 1000 draws, five standard deviations.
  t.true(Math.abs(mean - HELD_MEANS * MEAN_MS) < (5 / Math.sqrt(1_000)) * 20_000, `${mean} ms`);
  t.true(holds.filter((hold) => hold < 20_000 * Math.LN2).length > 420, 'half of them below ln 2');
});

test('an alarm that stays on holds nothing any more, to the ms', (t) => {
  const random = seededRandom(2);
  const endMs = HOLDING_MEANS * MEAN_MS;
  t.not(drawHoldMs(random, endMs - 1, MEAN_MS), null);
  t.is(drawHoldMs(random, endMs, MEAN_MS), null);
});

test('without delays nothing is held', (t) => {
  t.is(drawHoldMs(seededRandom(3), 0, 0), null);
});
