import test from 'ava';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { trendOf, type Point } from './trend.ts';

const MB = 1024 * 1024;
const MINUTES = 20;

/** A program of 100 MB whose heap fills and is collected, every 40 to 90 s, sampled every second. */
function sawtooth(seed: number, leakBytesPerMinute: number): Point[] {
  const random = seededRandom(String(seed));
  const unit = (): number => (random(4).reduce((sum, byte) => sum * 256 + byte, 0) + 0.5) / 2 ** 32;
  let collectAt = 0;
  let collectedAt = 0;
  return Array.from({ length: MINUTES * 60 }, (_, seconds) => {
    if (seconds >= collectAt) {
      collectedAt = seconds;
      collectAt = seconds + 40 + 50 * unit();
    }
    const garbage = (seconds - collectedAt) * 0.15 * MB * (0.9 + 0.2 * unit());
    return { seconds, bytes: 100 * MB + garbage + (leakBytesPerMinute * seconds) / 60 };
  });
}

test('a heap that is collected now and then is level', (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const trend = trendOf(sawtooth(seed, 0));
    t.is(trend.verdict, 'level', `seed ${seed}: ${JSON.stringify(trend)}`);
  }
});

test('a leak of 1 kB for each of 20 mails a second is found below the same sawtooth', (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const trend = trendOf(sawtooth(seed, 20 * 60 * 1024));
    t.is(trend.verdict, 'grows', `seed ${seed}: ${JSON.stringify(trend)}`);
    t.true(Math.abs(trend.bytesPerMinute - 20 * 60 * 1024) < 0.3 * 20 * 60 * 1024);
  }
});

test('what a verdict says it would have noticed is noticed', (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const { noticedBytes } = trendOf(sawtooth(seed, 0));
    // The line through the same noise may lie a little lower.
    const leak = (1.5 * noticedBytes) / (MINUTES - 1);
    t.is(trendOf(sawtooth(seed, leak)).verdict, 'grows', `seed ${seed}`);
  }
});

test('one step up that stays is not a leak, and neither is one high sample', (t) => {
  const stepped = sawtooth(1, 0).map(({ seconds, bytes }) => ({
    seconds,
    bytes: seconds < 120 ? bytes : bytes + 4 * MB,
  }));
  t.is(trendOf(stepped).verdict, 'level');
  const high = sawtooth(2, 0).map((point, i) =>
    i === 1100 ? { ...point, bytes: 900 * MB } : point,
  );
  t.is(trendOf(high).verdict, 'level');
});

test('a shrinking program is level, and few points are no verdict', (t) => {
  t.is(trendOf(sawtooth(1, -20 * 60 * 1024)).verdict, 'level');
  t.is(trendOf(sawtooth(1, 0).slice(0, 4)).verdict, 'too-few-points');
  t.is(trendOf([]).verdict, 'too-few-points');
});
