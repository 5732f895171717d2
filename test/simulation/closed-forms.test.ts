import test from 'ava';
import {
  erlangCdf,
  hostileWayChance,
  mixEntropyBits,
  onceAmong,
} from '../../src/simulation/closed-forms.ts';

function near(value: number, expected: number, within: number): boolean {
  return Math.abs(value - expected) <= within;
}

test('one stage is the exponential distribution, and more stages take longer', (t) => {
  t.true(near(erlangCdf(1, 2000, 2000), 1 - Math.exp(-1), 1e-12));
  t.is(erlangCdf(3, 2000, 0), 0);
  t.true(erlangCdf(3, 2000, 6000) < erlangCdf(2, 2000, 6000));
});

test('it is the integral of its density', (t) => {
  const [meanMs, atMs, steps] = [2000, 7000, 100_000];
  let integral = 0;
  for (let i = 0; i < steps; i++) {
    const x = ((i + 0.5) * atMs) / steps / meanMs;
    integral += ((x * x) / 2) * Math.exp(-x) * (atMs / steps / meanMs);
  }
  t.true(near(erlangCdf(3, meanMs, atMs), integral, 1e-6));
});

test('hostile ways are counted among all ways', (t) => {
  // 3 of 6 mixes: 20 ways to choose three, one of them is theirs.
  t.true(near(hostileWayChance(6, 3, 3), 1 / 20, 1e-12));
  t.true(near(hostileWayChance(10, 4, 3), 4 / 120, 1e-12));
  t.is(hostileWayChance(3, 3, 3), 1);
  t.is(hostileWayChance(6, 2, 3), 0);
  t.is(hostileWayChance(5, 1, 1), 0.2);
});

test('many ways are many chances', (t) => {
  t.is(onceAmong(0, 1000), 0);
  t.is(onceAmong(1, 1), 1);
  t.true(near(onceAmong(0.05, 30), 1 - 0.95 ** 30, 1e-12));
  t.true(near(onceAmong(1e-12, 1000), 1e-9, 1e-15), 'and small ones are not rounded away');
});

test('the doubt at a mix doubles its packets for each bit', (t) => {
  t.true(near(mixEntropyBits(32) - mixEntropyBits(16), 1, 1e-12));
  t.true(near(mixEntropyBits(1), Math.LOG2E, 1e-12));
});
