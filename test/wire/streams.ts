/**
 * Numbers about one stream of times (all that enters a node, all that leaves it) and about two streams
 * together. A Poisson stream, which cover makes of every link, has known values for each; what hangs on
 * mail moves at least one.
 */

/** Names beside their values, in the order of `streamFeatures`. */
export const STREAM_FEATURES = [
  'count',
  'gap-cv',
  'gap-lag1',
  'gap-short',
  'gap-tiny',
  'fano8',
  'fano32',
];

/**
 * Gaps below these shares of the mean gap are short, or tiny: 9.5 % and 1 % of a Poisson stream's. What a
 * busy process has held up leaves in clumps.
 */
const SHORT_GAP = 0.1;
const TINY_GAP = 0.01;

/** @param times ms from the start of the window, ascending */
export function streamFeatures(times: readonly number[], windowMs: number): number[] {
  const gaps = times.slice(1).map((time, i) => time - (times[i] as number));
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / Math.max(1, gaps.length);
  let [square, lagged, short, tiny] = [0, 0, 0, 0];
  for (const [i, gap] of gaps.entries()) {
    square += (gap - mean) ** 2;
    if (i > 0) lagged += (gap - mean) * ((gaps[i - 1] as number) - mean);
    if (gap < SHORT_GAP * mean) short++;
    if (gap < TINY_GAP * mean) tiny++;
  }
  return [
    times.length,
    mean > 0 ? Math.sqrt(square / gaps.length) / mean : 1,
    square > 0 ? lagged / square : 0,
    gaps.length > 0 ? short / gaps.length : 0,
    gaps.length > 0 ? tiny / gaps.length : 0,
    fano(times, windowMs / 8, 8),
    fano(times, windowMs / 32, 32),
  ];
}

/** Counts of a stream in bins of equal width. */
export function binned(times: readonly number[], binMs: number, bins: number): Float64Array {
  const counts = new Float64Array(bins);
  for (const time of times) {
    const bin = Math.min(bins - 1, Math.floor(time / binMs));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts;
}

/** Variance over mean of the counts in bins: 1 for Poisson, more in bursts, less for a metronome. */
function fano(times: readonly number[], binMs: number, bins: number): number {
  if (times.length === 0) return 1;
  const mean = times.length / bins;
  const counts = binned(times, binMs, bins);
  return counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (bins - 1) / mean;
}

/** Edges of the lags at which pairs are counted, in means of the delay: fine where answers would be. */
export const LAG_EDGES = [0, 1 / 16, 1 / 4, 1 / 2, 1, 2, 4, 8];

/**
 * How often something in `later` follows something in `earlier` at each lag, against what two streams
 * of these rates have that know nothing of each other: 1 then, more where one causes the other.
 */
export function lagFeatures(
  earlier: readonly number[],
  later: readonly number[],
  delayMeanMs: number,
  windowMs: number,
): number[] {
  const edges = LAG_EDGES.map((edge) => edge * delayMeanMs);
  const pairs = new Float64Array(edges.length - 1);
  const lagMax = edges.at(-1) as number;
  let first = 0;
  for (const cause of earlier) {
    // Later only: where a stream is held against itself, nothing follows itself.
    while ((later[first] ?? Infinity) <= cause) first++;
    for (let i = first; (later[i] ?? Infinity) < cause + lagMax; i++) {
      const lag = (later[i] as number) - cause;
      let bin = 0;
      while (lag >= (edges[bin + 1] as number)) bin++;
      pairs[bin] = (pairs[bin] as number) + 1;
    }
  }
  const density = (earlier.length * later.length) / windowMs;
  return Array.from(pairs, (count, bin) => {
    const expected = density * ((edges[bin + 1] as number) - (edges[bin] as number));
    return expected > 0 ? count / expected : 1;
  });
}

/** Lags of `crossFeatures`, in bins of one mean delay. */
export const CROSS_LAGS = [0, 1, 2, 3, 4, 6];

/** Correlation of the counts of two streams, the second so many bins later. */
export function crossFeatures(earlier: Float64Array, later: Float64Array): number[] {
  const [left, right] = [centred(earlier), centred(later)];
  const scale = Math.sqrt(power(left) * power(right));
  return CROSS_LAGS.map((lag) => {
    let sum = 0;
    for (let i = 0; i + lag < right.length; i++) {
      sum += (left[i] as number) * (right[i + lag] as number);
    }
    return scale > 0 ? sum / scale : 0;
  });
}

function centred(counts: Float64Array): Float64Array {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.map((count) => count - mean);
}

function power(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
