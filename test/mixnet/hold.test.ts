import test from 'ava';
import {
  drawHoldMs,
  HELD_MEANS,
  HOLDING_MEANS,
  NEVER_HELD,
  nextHolding,
  RESTING_MEANS,
} from '../../src/mixnet/hold.ts';
import { seededRandom } from './seeded-random.ts';

const MEAN_MS = 2_000;
const NOW_MS = 1_000_000;
const BEGUN = { alarm: 1, sinceMs: NOW_MS };
const at = (nowMs: number, delayMeanMs = MEAN_MS) => ({ nowMs, delayMeanMs });

test('a packet is held for an exponential time of ten mean delays', (t) => {
  const random = seededRandom(1);
  const holds = Array.from(
    { length: 1_000 },
    () => drawHoldMs(random, BEGUN, at(NOW_MS)) ?? Number.NaN,
  );
  const mean = holds.reduce((sum, hold) => sum + hold, 0) / holds.length;
  // Of 1000 draws, five standard deviations.
  t.true(Math.abs(mean - HELD_MEANS * MEAN_MS) < (5 / Math.sqrt(1_000)) * 20_000, `${mean} ms`);
  t.true(holds.filter((hold) => hold < 20_000 * Math.LN2).length > 420, 'half of them below ln 2');
});

test('an alarm that stays on holds nothing any more, to the ms', (t) => {
  const random = seededRandom(2);
  const endMs = NOW_MS + HOLDING_MEANS * MEAN_MS;
  t.not(drawHoldMs(random, BEGUN, at(endMs - 1)), null);
  t.is(drawHoldMs(random, BEGUN, at(endMs)), null);
});

test('without delays nothing is held', (t) => {
  t.is(drawHoldMs(seededRandom(3), BEGUN, at(NOW_MS, 0)), null);
});

test('holding begins with the first alarm, and with a later one only after a rest', (t) => {
  t.deepEqual(nextHolding(NEVER_HELD, { alarm: 1, ...at(NOW_MS) }), BEGUN);
  t.is(nextHolding(BEGUN, { alarm: 1, ...at(NOW_MS + 1e9) }), BEGUN, 'one alarm is one holding');
  const restedMs = NOW_MS + RESTING_MEANS * MEAN_MS;
  t.is(nextHolding(BEGUN, { alarm: 2, ...at(restedMs - 1) }).sinceMs, NOW_MS);
  t.is(nextHolding(BEGUN, { alarm: 2, ...at(restedMs) }).sinceMs, restedMs);
});
