/**
 * The wire test's judgement over many runs: a classifier learns from half of them and is tried on the
 * other half, and two permutation tests over whole runs ask whether there is anything to learn at all.
 */
import type { Random } from '../../src/crypto/primitives.ts';
import { areaUnderCurve, rocCurve } from './auc.ts';
import { fitClassifier } from './classifier.ts';
import { permutationTest, type DescribedRun } from './permutation.ts';

/** The classifier may be right for so large a share of pairs of windows, and no more. */
export const AUC_MAX = 0.55;
/** Of fewer windows the area says too little: of equal runs its deviation is 0.013 at 2000, 0.04 at 200. */
export const WINDOWS_MIN = 2000;
/** A p-value at or below this is an alarm: one run of the test in a thousand, where nothing leaks. */
export const P_ALARM = 0.001;
/** Enough that 0.05 % can be told from 0.1 %, in a second for hundreds of runs. */
export const PERMUTATIONS = 9999;

/** Points of the curve: for a plot. */
const CURVE_STEPS = 50;

/** A run as its windows' features. */
export interface WindowedRun {
  readonly hasMail: boolean;
  readonly windows: readonly ArrayLike<number>[];
}

/** What the wire test says of a set of runs. */
export interface Verdict {
  readonly runs: number;
  /** Windows of the runs that the classifier had not seen. */
  readonly windowsTested: number;
  /** Over these windows. */
  readonly auc: number;
  /** Its curve: the share of windows with mail that is found, by the share of idle ones mistaken. */
  readonly curve: readonly number[];
  /** Of both permutation tests together, corrected for there being two. */
  readonly pValue: number;
  /** Of the classifier's mean score of each unseen run. */
  readonly pScore: number;
  /** Of means and deviations of all features, over all runs. */
  readonly pColumns: number;
  /** What differs most between the runs, and its correlation with mail. */
  readonly strongest: { readonly column: string; readonly correlation: number };
  /** Whether the wire test fails: the p-value alarms, or the area over enough windows is too large. */
  readonly isCaught: boolean;
}

export interface JudgeOptions {
  /** Names of the features, in order. */
  readonly names: readonly string[];
  readonly random: Random;
  readonly permutations?: number;
}

/** Judges runs of both kinds, at least four of each, each with at least one window. */
export function judge(runs: readonly WindowedRun[], options: JudgeOptions): Verdict {
  const { names, random, permutations = PERMUTATIONS } = options;
  const { learned, unseen } = halves(runs);
  const score = fitClassifier(
    learned.flatMap(({ windows }) => windows),
    learned.flatMap(({ windows, hasMail }) => windows.map(() => hasMail)),
  );
  const scored = unseen.map(({ hasMail, windows }) => ({ hasMail, scores: windows.map(score) }));
  const scores = scored.flatMap((run) => run.scores);
  const labels = scored.flatMap((run) => run.scores.map(() => run.hasMail));
  const auc = areaUnderCurve(scores, labels);
  const byScore = permutationTest(
    scored.map((run) => ({ hasMail: run.hasMail, columns: [mean(run.scores)] })),
    { random, permutations },
  );
  const byColumn = permutationTest(runs.map(summary), { random, permutations });
  const pValue = Math.min(1, 2 * Math.min(byScore.pValue, byColumn.pValue));
  const { length } = names;
  const windowsTested = scores.length;
  return {
    runs: runs.length,
    windowsTested,
    auc,
    curve: rocCurve(scores, labels, CURVE_STEPS),
    pValue,
    pScore: byScore.pValue,
    pColumns: byColumn.pValue,
    strongest: {
      column: `${byColumn.column < length ? 'mean' : 'deviation'} of ${names[byColumn.column % length]}`,
      correlation: byColumn.statistic,
    },
    isCaught: pValue <= P_ALARM || (windowsTested >= WINDOWS_MIN && auc > AUC_MAX),
  };
}

/** Every other run of each kind. */
function halves(runs: readonly WindowedRun[]): {
  readonly learned: readonly WindowedRun[];
  readonly unseen: readonly WindowedRun[];
} {
  const kinds = [true, false].map((kind) => runs.filter(({ hasMail }) => hasMail === kind));
  return {
    learned: kinds.flatMap((kind) => kind.filter((_, i) => i % 2 === 0)),
    unseen: kinds.flatMap((kind) => kind.filter((_, i) => i % 2 === 1)),
  };
}

/** A run in one row: each feature's mean over its windows, then each one's standard deviation. */
function summary({ hasMail, windows }: WindowedRun): DescribedRun {
  const width = windows[0]?.length ?? 0;
  const columns = new Float64Array(2 * width);
  for (let c = 0; c < width; c++) {
    const values = windows.map((window) => window[c] as number);
    const middle = mean(values);
    columns[c] = middle;
    columns[width + c] = Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
  }
  return { hasMail, columns };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The figures of a verdict in one line. */
export function verdictLine({ runs, windowsTested, auc, pValue, strongest }: Verdict): string {
  const correlation = strongest.correlation.toFixed(2);
  return (
    `${runs} runs, ${windowsTested} unseen windows: AUC ${auc.toFixed(3)}, p ${pValue.toFixed(4)}; ` +
    `most telling: ${strongest.column} (${correlation})`
  );
}
