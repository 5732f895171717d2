import test from 'ava';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { describeWindows, featureNames } from './features.ts';
import { poissonRun, WATCHED, type Difference } from './poisson-runs.ts';
import { AUC_MAX, judge, P_ALARM, type Verdict } from './verdict.ts';

function judged(seed: string, runs: number, difference: Difference, permutations = 1999): Verdict {
  const random = seededRandom(seed);
  const made = Array.from({ length: runs }, (_, i) => {
    const run = poissonRun(random, i % 2 === 0, 4, difference);
    return { hasMail: run.hasMail, windows: describeWindows(WATCHED, run) };
  });
  return judge(made, { names: featureNames(WATCHED), random, permutations });
}

test('of equal runs nothing is caught, and p-values are no smaller than they may be', (t) => {
  const repetitions = 60;
  const verdicts = Array.from({ length: repetitions }, (_, i) => judged(`equal ${i}`, 16, {}, 99));
  const tenths = verdicts.filter(({ pValue }) => pValue <= 0.1).length;
  // At most 6 are expected, and 13 or more come once in two hundred times.
  t.true(tenths < 13, String(tenths));
  const area = verdicts.reduce((sum, { auc }) => sum + auc, 0) / repetitions;
  t.true(Math.abs(area - 0.5) < 0.02, String(area));
});

test('enough equal windows stay below the area that is allowed', (t) => {
  const verdict = judged('many equal', 300, {});
  t.true(verdict.windowsTested >= 600);
  t.true(verdict.auc <= AUC_MAX, String(verdict.auc));
  t.true(verdict.pValue > P_ALARM);
  t.false(verdict.isCaught);
});

for (const [what, difference, column] of [
  ['a rate 5 % higher', { rateOut: 1.05 }, /mean of .*a/],
  ['one answer in twenty at once', { echo: 0.05 }, /b/],
  ['one packet in a hundred that is a byte longer', { longer: 0.01 }, /bytes|lengths/],
  ['bursts of the same rate', { bursts: true }, /a/],
] as const) {
  test(`${what} is caught`, (t) => {
    const verdict = judged(what, 300, difference);
    t.true(verdict.isCaught);
    t.true(verdict.pValue <= P_ALARM, JSON.stringify(verdict));
    t.regex(verdict.strongest.column, column);
  });
}

test('a verdict of the same runs and seed is the same', (t) => {
  t.deepEqual(judged('again', 12, {}, 99), judged('again', 12, {}, 99));
});
