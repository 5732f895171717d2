/**
 * Whether two kinds of runs differ, asked without any model: the labels of whole runs are permuted, and
 * the p-value is the share of permutations that look as different as the truth. Windows of one run
 * share its mails and its noise, so they never count as if they were independent.
 */
import type { Random } from '../../src/crypto/primitives.ts';

/** One row a run: its label, and numbers that describe it (equally many in each row). */
export interface DescribedRun {
  readonly hasMail: boolean;
  readonly columns: ArrayLike<number>;
}

/** What a permutation test found. */
export interface Permuted {
  /** (1 + permutations at least as extreme) / (1 + permutations): never 0 (Phipson and Smyth 2010). */
  readonly pValue: number;
  /** The largest correlation of a column with the labels, and which column has it. */
  readonly statistic: number;
  readonly column: number;
}

export interface PermutationOptions {
  readonly random: Random;
  readonly permutations: number;
}

/**
 * The statistic is the largest absolute correlation of any column with the labels: it grows with
 * Student's t, has no infinities, and asks for no correction for many columns, since each permutation
 * takes its own largest (Westfall and Young 1993). One leak in one column is enough.
 */
export function permutationTest(
  runs: readonly DescribedRun[],
  { random, permutations }: PermutationOptions,
): Permuted {
  const ones = runs.filter(({ hasMail }) => hasMail).length;
  if (ones === 0 || ones === runs.length) throw new RangeError('runs of one kind only');
  const rows = standardised(runs);
  const scale = Math.sqrt(runs.length / (ones * (runs.length - ones)));
  const labels = runs.flatMap(({ hasMail }, i) => (hasMail ? [i] : []));
  const sums = new Float64Array(rows[0]?.length ?? 0);
  const { largest, column } = strongest(rows, labels, sums);
  const order = Uint32Array.from(runs, (_, i) => i);
  const draw = wordsOf(random);
  let extreme = 0;
  for (let i = 0; i < permutations; i++) {
    shuffleFirst(order, ones, draw);
    // A hair less than equal, for sums that were added up in another order.
    if (strongest(rows, order.subarray(0, ones), sums).largest >= largest - 1e-9) extreme++;
  }
  return {
    pValue: (1 + extreme) / (1 + permutations),
    statistic: largest * scale,
    column,
  };
}

/** Columns with mean 0 and length 1; those that never change are 0 and say nothing. */
function standardised(runs: readonly DescribedRun[]): Float64Array[] {
  const rows = runs.map(({ columns }) => Float64Array.from(columns));
  for (let c = 0; c < (rows[0]?.length ?? 0); c++) {
    const mean = rows.reduce((sum, row) => sum + (row[c] as number), 0) / rows.length;
    const length = Math.sqrt(rows.reduce((sum, row) => sum + ((row[c] as number) - mean) ** 2, 0));
    const scale = length > 1e-9 * Math.max(1, Math.abs(mean)) ? 1 / length : 0;
    for (const row of rows) row[c] = ((row[c] as number) - mean) * scale;
  }
  return rows;
}

/** Since columns have mean 0, the sum over one kind alone gives the correlation, up to a factor. */
function strongest(
  rows: readonly Float64Array[],
  chosen: ArrayLike<number>,
  sums: Float64Array,
): { readonly largest: number; readonly column: number } {
  sums.fill(0);
  for (let i = 0; i < chosen.length; i++) {
    const row = rows[chosen[i] as number] as Float64Array;
    for (let c = 0; c < row.length; c++) sums[c] = (sums[c] as number) + (row[c] as number);
  }
  let [largest, column] = [0, 0];
  for (let c = 0; c < sums.length; c++) {
    const size = Math.abs(sums[c] as number);
    if (size > largest) [largest, column] = [size, c];
  }
  return { largest, column };
}

/** Fisher and Yates, as far as the first `count` places. */
function shuffleFirst(order: Uint32Array, count: number, draw: () => number): void {
  for (let i = 0; i < count; i++) {
    const j = i + (draw() % (order.length - i));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
}

/** 32-bit words, drawn many at a time. With hundreds of runs the remainder's bias is below 1e-6. */
function wordsOf(random: Random): () => number {
  let words = new Uint32Array(0);
  let next = 0;
  return () => {
    if (next === words.length) [words, next] = [new Uint32Array(random(4096).slice().buffer), 0];
    return words[next++] as number;
  };
}
