import test from 'ava';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { areaUnderCurve } from './auc.ts';
import { fitClassifier } from './classifier.ts';
import { fitLogistic } from './logistic.ts';
import { fitStumps } from './stumps.ts';

type Made = { readonly rows: Float64Array[]; readonly labels: boolean[] };

/** Rows of standard normal numbers, which `change` alters where the label is true. */
function made(seed: string, count: number, change: (row: Float64Array) => void): Made {
  const random = seededRandom(seed);
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(drawUnit(random))) * Math.cos(2 * Math.PI * drawUnit(random));
  const labels = Array.from({ length: count }, (_, i) => i % 2 === 0);
  const rows = labels.map((label) => {
    const row = Float64Array.from({ length: 50 }, normal);
    if (label) change(row);
    return row;
  });
  return { rows, labels };
}

/** The area on rows that were not learned from. */
function unseenArea(
  change: (row: Float64Array) => void,
  fit: (rows: readonly Float64Array[], labels: readonly boolean[]) => (row: Float64Array) => number,
): number {
  const learned = made('learned', 2000, change);
  const score = fit(learned.rows, learned.labels);
  const unseen = made('unseen', 2000, change);
  return areaUnderCurve(unseen.rows.map(score), unseen.labels);
}

const shift =
  (by: number) =>
  (row: Float64Array): void => {
    row[7] = (row[7] as number) + by;
  };

function everywhere(row: Float64Array): void {
  for (let c = 0; c < row.length; c++) row[c] = (row[c] as number) + 0.15;
}

function wider(row: Float64Array): void {
  row[3] = 2 * (row[3] as number);
}

// One column shifted by d deviations allows Φ(d / √2): 0.638 for 0.5, 0.760 for 1, 0.921 for 2.
for (const [by, best] of [
  [0.5, 0.638],
  [1, 0.76],
  [2, 0.921],
] as const) {
  test(`a shift by ${by} deviations is learned almost as well as it can be`, (t) => {
    const area = unseenArea(shift(by), fitClassifier);
    t.true(area > best - 0.04 && area < best + 0.03, String(area));
  });
}

test('of equal kinds nothing is learned that holds for others', (t) => {
  const area = unseenArea(() => undefined, fitClassifier);
  t.true(Math.abs(area - 0.5) < 0.04, String(area));
});

test('what is spread over many columns is found by the regression', (t) => {
  const area = unseenArea(everywhere, (rows, labels) => fitLogistic(rows, labels, 300));
  t.true(area > 0.72, String(area));
});

test('what is no matter of more or less is found by the stumps alone', (t) => {
  const byStumps = unseenArea(wider, fitStumps);
  const byRegression = unseenArea(wider, (rows, labels) => fitLogistic(rows, labels, 300));
  t.true(byStumps > 0.62, String(byStumps));
  t.true(byRegression < 0.56, String(byRegression));
  t.true(unseenArea(wider, fitClassifier) > 0.6);
});

test('a column that never changed while learning does not rule the score', (t) => {
  const learned = made('learned', 400, (row) => shift(1)(row));
  for (const row of learned.rows) row[0] = 5;
  const score = fitClassifier(learned.rows, learned.labels);
  const row = made('unseen', 2, () => undefined).rows[0] as Float64Array;
  row[0] = 5;
  const before = score(row);
  row[0] = 1e12;
  t.true(Math.abs(score(row) - before) < 1e-6);
});
