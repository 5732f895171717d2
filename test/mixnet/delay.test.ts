import test from 'ava';
import { delayMsMax, drawDelayMs, dueAfterStop } from '../../src/mixnet/delay.ts';
import { seededRandom } from './seeded-random.ts';

test('delays follow the exponential distribution of their mean', (t) => {
  const random = seededRandom(1);
  const draws = Array.from({ length: 50_000 }, () => drawDelayMs(random, 2000));
  const mean = draws.reduce((sum, delay) => sum + delay, 0) / draws.length;
  t.true(Math.abs(mean - 2000) < 45, `mean ${mean}`); // 2000 / sqrt(50 000) = 9: five of them
  // Kolmogorov and Smirnov: 1.95 / sqrt(n) is passed once in a thousand times.
  const sorted = draws.toSorted((left, right) => left - right);
  const distance = Math.max(
    ...sorted.map((delay, i) => Math.abs(1 - Math.exp(-delay / 2000) - i / sorted.length)),
  );
  t.true(distance < 1.95 / Math.sqrt(draws.length), `distance ${distance}`);
});

test('a draw above twenty means is drawn again', (t) => {
  // -ln(2^-48) = 33.3 means, and -ln(1/2) = 0.69 means.
  const draws = [new Uint8Array(6), new Uint8Array([0x7f, 255, 255, 255, 255, 255])];
  t.is(
    drawDelayMs(() => draws.shift() as Uint8Array, 1000),
    693,
  );
  t.is(draws.length, 0);
});

test('a mix accepts exactly what a sender may draw', (t) => {
  t.is(delayMsMax(2000), 40_000);
  t.is(delayMsMax(0.33), 6);
});

test('a mean of zero is no delay, and a mean below it a bug', (t) => {
  t.is(drawDelayMs(seededRandom(1), 0), 0);
  t.throws(() => drawDelayMs(seededRandom(1), -1), { instanceOf: RangeError });
  t.throws(() => drawDelayMs(seededRandom(1), Number.NaN), { instanceOf: RangeError });
});

test('after a stop what is overdue waits afresh, and what is not keeps its time', (t) => {
  const random = seededRandom(2);
  const due = Array.from({ length: 4000 }, () =>
    dueAfterStop(random, { dueMs: 1000, nowMs: 60_000, meanMs: 500 }),
  );
  t.true(due.every((dueMs) => dueMs >= 60_000));
  const mean = due.reduce((sum, dueMs) => sum + dueMs - 60_000, 0) / due.length;
  t.true(Math.abs(mean - 500) < 40, `${mean}`);
  t.is(dueAfterStop(random, { dueMs: 60_001, nowMs: 60_000, meanMs: 500 }), 60_001);
});
