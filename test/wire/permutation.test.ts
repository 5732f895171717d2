import test from 'ava';
import type { Random } from '../../src/crypto/primitives.ts';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { permutationTest, type DescribedRun } from './permutation.ts';

/** A standard normal number, by Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(drawUnit(random))) * Math.cos(2 * Math.PI * drawUnit(random));
}

/** Runs of noise; with mail, one column of them is shifted by so many standard deviations. */
function noise(random: Random, count: number, columns: number, shift = 0): DescribedRun[] {
  return Array.from({ length: count }, (_, i) => ({
    hasMail: i % 2 === 0,
    columns: Float64Array.from({ length: columns }, (_value, c) => {
      return normal(random) + (c === 3 && i % 2 === 0 ? shift : 0);
    }),
  }));
}

test('of equal kinds it gives each p-value as often as it says', (t) => {
  const random = seededRandom('calibration');
  const repetitions = 1000;
  const pValues = Array.from(
    { length: repetitions },
    () => permutationTest(noise(random, 24, 40), { random, permutations: 199 }).pValue,
  );
  for (const level of [0.01, 0.05, 0.25, 0.5]) {
    const share = pValues.filter((pValue) => pValue <= level + 1e-9).length / repetitions;
    const deviation = Math.sqrt((level * (1 - level)) / repetitions);
    t.true(Math.abs(share - level) < 4 * deviation, `${level}: ${share}`);
  }
});

test('one shifted column among three hundred is found and named', (t) => {
  const random = seededRandom('power');
  const found = permutationTest(noise(random, 60, 300, 2), { random, permutations: 1999 });
  t.true(found.pValue <= 0.001, String(found.pValue));
  t.is(found.column, 3);
  t.true(found.statistic > 0.5 && found.statistic < 0.9);
});

test('with few runs the p-value is the share of all ways to label them', (t) => {
  const runs = [1, 2, 3, 10, 11, 12].map((value, i) => ({ hasMail: i > 2, columns: [value] }));
  const { pValue, statistic } = permutationTest(runs, {
    random: seededRandom('few'),
    permutations: 20_000,
  });
  // 20 ways to choose three of six: the truth and its mirror image are as extreme as it.
  t.true(Math.abs(pValue - 0.1) < 0.01, String(pValue));
  t.true(statistic > 0.98 && statistic <= 1);
});

test('columns that never change say nothing, and an exact difference has correlation 1', (t) => {
  const random = seededRandom('constant');
  const same = Array.from({ length: 20 }, (_, i) => ({ hasMail: i < 10, columns: [5, 1e9] }));
  t.is(permutationTest(same, { random, permutations: 99 }).pValue, 1);
  const exact = same.map((run) => ({ ...run, columns: [5, run.hasMail ? 1e9 + 1 : 1e9] }));
  const { pValue, statistic } = permutationTest(exact, { random, permutations: 999 });
  t.is(pValue, 1 / 1000);
  t.true(Math.abs(statistic - 1) < 1e-9);
});

test('runs of one kind only are refused', (t) => {
  const runs = [1, 2].map((value) => ({ hasMail: true, columns: [value] }));
  const options = { random: seededRandom('one'), permutations: 9 };
  t.throws(() => permutationTest(runs, options), { instanceOf: RangeError });
});
