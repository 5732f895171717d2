import test from 'ava';
import { STALE_MS } from '../../src/api/signed.ts';
import { TrustedClock } from '../../src/mixer/trusted-clock.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.parse('2026-01-01T00:00:00Z');

/** A machine whose clock a test sets, and its trusted time. */
function machine() {
  const at = { machineMs: START_MS, monotonicMs: 5_000 };
  const time = new TrustedClock({ now: () => at.machineMs, monotonic: () => at.monotonicMs });
  const pass = (ms: number): void => {
    at.machineMs += ms;
    at.monotonicMs += ms;
  };
  return { at, time, pass };
}

test('a clock that only runs on is gone by, as it is', (t) => {
  const { at, time, pass } = machine();
  for (const ms of [0, 1, HOUR_MS, 100 * HOUR_MS]) {
    pass(ms);
    t.is(time.now(), at.machineMs);
    t.is(time.aheadMs(), 0);
  }
});

test('a clock that is put right by minutes is followed at once', (t) => {
  for (const ms of [STALE_MS, -STALE_MS]) {
    const { at, time } = machine();
    at.machineMs += ms;
    t.is(time.now(), at.machineMs);
    t.is(time.aheadMs(), 0);
  }
});

test('one that is set by more is not: the time that was before runs on', (t) => {
  for (const setMs of [STALE_MS + 1, -STALE_MS - 1, 7 * 24 * HOUR_MS, -START_MS]) {
    const { at, time, pass } = machine();
    at.machineMs += setMs;
    t.is(time.now(), START_MS);
    t.is(time.aheadMs(), setMs);
    pass(HOUR_MS);
    t.is(time.now(), START_MS + HOUR_MS);
    t.is(time.aheadMs(), setMs);
    at.machineMs -= setMs;
    t.is(time.now(), at.machineMs, 'set back, it is gone by again');
    t.is(time.aheadMs(), 0);
  }
});

test('where controllers say that it is right, it is gone by: the computer had slept', (t) => {
  const { at, time, pass } = machine();
  at.machineMs += 9 * HOUR_MS;
  time.judged({ isOwnWrong: false, aheadMs: 200 });
  t.is(time.now(), START_MS + 9 * HOUR_MS);
  pass(HOUR_MS);
  t.is(time.now(), at.machineMs);
});

test('where they say that it is wrong, theirs is gone by, until it is set to that', (t) => {
  const { at, time, pass } = machine();
  t.false(time.isKnown());
  time.judged({ isOwnWrong: true, aheadMs: 72 * HOUR_MS });
  t.true(time.isKnown());
  pass(HOUR_MS);
  t.is(time.now(), at.machineMs - 72 * HOUR_MS);
  t.is(time.aheadMs(), 72 * HOUR_MS);
  at.machineMs -= 72 * HOUR_MS;
  t.is(time.aheadMs(), 0);
  t.is(time.now(), at.machineMs);
});
