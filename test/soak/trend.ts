/**
 * Whether a series of sizes stays level: a line through its medians that no outlier bends (Theil, Sen), how
 * sure its slope is, and how far the series strays from it by itself. A verdict that says too little is
 * worth nothing, so each says the smallest growth that it would have noticed.
 */

/** A size at a time. */
export interface Point {
  readonly seconds: number;
  readonly bytes: number;
}

/** What a series does over the time that is judged. */
export interface Trend {
  readonly verdict: 'level' | 'grows' | 'too-few-points';
  /** Middle of the series. */
  readonly medianBytes: number;
  readonly bytesPerMinute: number;
  /** Between these the slope lies in 99 of 100 cases. */
  readonly lowBytesPerMinute: number;
  readonly highBytesPerMinute: number;
  /** By the slope, from the middle of the first part to that of the last. */
  readonly grownBytes: number;
  /** How far medians stray from the line: a standard deviation, if they are normal. */
  readonly noiseBytes: number;
  /** Growth up to this over the time judged counts as level: the smallest that is noticed. */
  readonly noticedBytes: number;
}

/** How a series is judged. */
export interface TrendOptions {
  /** Into so many equal parts of time the series is cut, each with its median. */
  readonly blocks?: number;
  /** Growth that nobody would mind, as a share of the median; noise alone may excuse more. */
  readonly shareMax?: number;
  /** And in bytes, where that is more: what a growing page table or a compiled function takes. */
  readonly bytesMax?: number;
}

/** Blocks of a minute in a run of half an hour with ten minutes of warm-up. */
const BLOCKS = 20;
const BLOCKS_MIN = 6;
/** 3 % of a program of 100 MB are 3 MB: in 20 minutes of 20 mails a second 125 bytes for each mail. */
const SHARE_MAX = 0.03;
const BYTES_MAX = 2 * 1024 * 1024;
/** A sawtooth of collections gives medians that stray; a line through 20 such ends two of them apart by chance. */
const NOISE_TIMES = 4;
/** Of the normal distribution, both sides together 1 %. */
const Z_99 = 2.576;
/** A median absolute deviation of a normal distribution is so much of its standard deviation. */
const MAD_TO_DEVIATION = 1.4826;
const SECONDS_PER_MINUTE = 60;

/** The trend of a series, whose points are in the order of time. */
export function trendOf(points: readonly Point[], options: TrendOptions = {}): Trend {
  const { blocks = BLOCKS, shareMax = SHARE_MAX, bytesMax = BYTES_MAX } = options;
  const medians = blockMedians(points, blocks);
  const medianBytes = median(medians.map(({ bytes }) => bytes));
  const slopes = pairSlopes(medians);
  const slope = median(slopes);
  const { low, high } = slopeBounds(slopes, medians.length);
  const seconds = (medians.at(-1)?.seconds ?? 0) - (medians[0]?.seconds ?? 0);
  const noiseBytes = strayOf(medians, slope);
  const noticedBytes = Math.max(bytesMax, shareMax * medianBytes, NOISE_TIMES * noiseBytes);
  const grownBytes = slope * seconds;
  const grows = low > 0 && grownBytes > noticedBytes;
  return {
    verdict: medians.length < BLOCKS_MIN ? 'too-few-points' : grows ? 'grows' : 'level',
    medianBytes,
    bytesPerMinute: slope * SECONDS_PER_MINUTE,
    lowBytesPerMinute: low * SECONDS_PER_MINUTE,
    highBytesPerMinute: high * SECONDS_PER_MINUTE,
    grownBytes,
    noiseBytes,
    noticedBytes,
  };
}

/** The middle of some numbers, 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Equal parts of time, those without a point left out; fewer points than blocks stay as they are. */
function blockMedians(points: readonly Point[], blocks: number): Point[] {
  if (points.length <= blocks) return [...points];
  const from = points[0]?.seconds ?? 0;
  const length = ((points.at(-1)?.seconds ?? 0) - from) / blocks;
  const parts = Map.groupBy(points, ({ seconds }) =>
    Math.min(blocks - 1, Math.floor((seconds - from) / length)),
  );
  return [...parts.values()].map((part) => ({
    seconds: median(part.map(({ seconds }) => seconds)),
    bytes: median(part.map(({ bytes }) => bytes)),
  }));
}

/** Of every two points, sorted. */
function pairSlopes(points: readonly Point[]): number[] {
  return points
    .flatMap((one, i) =>
      points.slice(i + 1).map((other) => (other.bytes - one.bytes) / (other.seconds - one.seconds)),
    )
    .toSorted((left, right) => left - right);
}

/** Between which of the sorted slopes the true one lies (Sen 1968, by Kendall's variance). */
function slopeBounds(
  slopes: readonly number[],
  points: number,
): { readonly low: number; readonly high: number } {
  const spread = Z_99 * Math.sqrt((points * (points - 1) * (2 * points + 5)) / 18);
  const last = slopes.length - 1;
  const at = (place: number): number => slopes[Math.min(last, Math.max(0, Math.round(place)))] ?? 0;
  return {
    low: at((slopes.length - spread) / 2 - 1),
    high: at((slopes.length + spread) / 2),
  };
}

function strayOf(points: readonly Point[], slope: number): number {
  const heights = points.map(({ seconds, bytes }) => bytes - slope * seconds);
  const middle = median(heights);
  return MAD_TO_DEVIATION * median(heights.map((height) => Math.abs(height - middle)));
}
