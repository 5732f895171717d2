import test from 'ava';
import { paceOf, slowerPace } from '../../src/mixer/pace.ts';

const HOUR_MS = 3_600_000;

test('a snapshot of nine hours is due after three, and texts live for ten minutes', (t) => {
  const pace = paceOf(9 * HOUR_MS);
  t.is(pace.dueMs, 3 * HOUR_MS);
  t.is(pace.textMs, 10 * 60_000);
  t.is(pace.patienceMs, 60_000);
  t.true(pace.watchMs <= 10_000);
});

test('whatever the life is, an attempt that fails leaves time for another of twice its time', (t) => {
  for (let lifeMs = 30_000; lifeMs < 400 * 24 * HOUR_MS; lifeMs *= 2) {
    const { dueMs, textMs, patienceMs } = paceOf(lifeMs);
    const leftMs = lifeMs - dueMs;
    const firstMs = textMs + patienceMs;
    const second = slowerPace(paceOf(lifeMs), 1);
    t.true(firstMs + second.textMs < leftMs, `${lifeMs}`);
    t.true(dueMs <= 3 * 24 * HOUR_MS, 'the negotiation that follows is still kept');
  }
});

test('whatever the life is, who is asked out of turn comes before those who ask go on without him', (t) => {
  for (let lifeMs = 30_000; lifeMs < 400 * 24 * HOUR_MS; lifeMs *= 2) {
    const { askedMs, watchMs, pollMs, patienceMs } = paceOf(lifeMs);
    t.true(askedMs + watchMs + pollMs < patienceMs, `${lifeMs}`);
  }
});

test('each attempt that fails gives the next more time, up to what a long-lived one has', (t) => {
  const pace = paceOf(60_000);
  t.deepEqual(slowerPace(pace, 0), pace);
  const texts = [0, 1, 2, 3, 50].map((failed) => slowerPace(pace, failed).textMs);
  t.deepEqual(texts, [10_000, 20_000, 40_000, 80_000, 320_000]);
  t.is(slowerPace(pace, 50).patienceMs, 60_000);
  t.is(slowerPace(paceOf(9 * HOUR_MS), 50).textMs, 10 * 60_000);
  t.deepEqual(slowerPace(pace, -1), pace);
});
