/**
 * The observer's classifier: logistic regression and boosted stumps on features standardised by the runs
 * that it learns from. Their log-odds are averaged: each alone misses what the other sees.
 */
import { fitLogistic, type Score } from './logistic.ts';
import { fitStumps } from './stumps.ts';

/**
 * With some 200 features and a few thousand windows of noise a weak prior fits the noise: at 0.05
 * standard deviations of effect each, 300 windows' worth of doubt is about right.
 */
const RIDGE = 300;

/** Learns from described windows; the score it gives is higher where it believes in mail. */
export function fitClassifier(
  rows: readonly ArrayLike<number>[],
  labels: readonly boolean[],
): Score {
  const scale = scaleOf(rows);
  const scaled = rows.map(scale);
  const logistic = fitLogistic(scaled, labels, RIDGE);
  const stumps = fitStumps(scaled, labels);
  return (features) => {
    const row = scale(features);
    return (logistic(row) + stumps(row)) / 2;
  };
}

/** Means and deviations are those of the training windows; what never changed there counts as it is. */
function scaleOf(
  rows: readonly ArrayLike<number>[],
): (features: ArrayLike<number>) => Float64Array {
  const width = rows[0]?.length ?? 0;
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width);
  for (const row of rows) {
    for (let c = 0; c < width; c++) {
      mean[c] = (mean[c] as number) + (row[c] as number) / rows.length;
    }
  }
  for (const row of rows) {
    for (let c = 0; c < width; c++) {
      const off = (row[c] as number) - (mean[c] as number);
      deviation[c] = (deviation[c] as number) + (off * off) / rows.length;
    }
  }
  return (features) =>
    Float64Array.from(features, (value, c) => {
      const spread = Math.sqrt(deviation[c] as number);
      const off = value - (mean[c] as number);
      // Nobody's score shall hang on one absurd value.
      return Math.max(-8, Math.min(8, spread > 1e-12 ? off / spread : off));
    });
}
