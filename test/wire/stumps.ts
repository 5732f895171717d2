/**
 * Gradient-boosted stumps (Friedman 2001): trees of one question each, so that a sign counts which is
 * neither linear nor monotone, such as "more than so many short gaps".
 */
import type { Score } from './logistic.ts';

const ROUNDS = 100;
const STEP = 0.1;
const BINS = 16;
/** Added to each leaf's curvature: leaves of a few windows say little. */
const LEAF_RIDGE = 10;

interface Stump {
  readonly column: number;
  readonly threshold: number;
  readonly below: number;
  readonly above: number;
}

/** Fits log-odds; equal input gives equal output, for nothing is drawn. */
export function fitStumps(rows: readonly ArrayLike<number>[], labels: readonly boolean[]): Score {
  const columns = rows[0]?.length ?? 0;
  const cuts = Array.from({ length: columns }, (_, c) => quantiles(rows, c));
  const places = cuts.map((edges, c) =>
    Uint8Array.from(rows, (row) => placeOf(edges, row[c] as number)),
  );
  const odds = new Float64Array(rows.length);
  const stumps: Stump[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const slope = new Float64Array(rows.length);
    const bend = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const chance = 1 / (1 + Math.exp(-(odds[i] as number)));
      slope[i] = (labels[i] === true ? 1 : 0) - chance;
      bend[i] = chance * (1 - chance);
    }
    const best = bestStump(places, cuts, slope, bend);
    if (best === null) break;
    stumps.push(best.stump);
    const place = places[best.stump.column] as Uint8Array;
    for (let i = 0; i < rows.length; i++) {
      const isBelow = (place[i] as number) <= best.bin;
      odds[i] = (odds[i] as number) + (isBelow ? best.stump.below : best.stump.above);
    }
  }
  return (features) => {
    let sum = 0;
    for (const { column, threshold, below, above } of stumps) {
      sum += (features[column] as number) < threshold ? below : above;
    }
    return sum;
  };
}

/** Where a column is cut: at most 15 values, each with about a sixteenth of the windows between. */
function quantiles(rows: readonly ArrayLike<number>[], column: number): number[] {
  const values = Float64Array.from(rows, (row) => row[column] as number).toSorted();
  const edges = Array.from(
    { length: BINS - 1 },
    (_, i) => values[Math.floor(((i + 1) * values.length) / BINS)] as number,
  );
  const least = values[0] as number;
  return [...new Set(edges)].filter((edge) => edge > least);
}

/** How many cuts a value has reached. */
function placeOf(edges: readonly number[], value: number): number {
  let place = 0;
  while (place < edges.length && value >= (edges[place] as number)) place++;
  return place;
}

function bestStump(
  places: readonly Uint8Array[],
  cuts: readonly (readonly number[])[],
  slope: Float64Array,
  bend: Float64Array,
): { readonly stump: Stump; readonly bin: number } | null {
  const slopes = new Float64Array(BINS);
  const bends = new Float64Array(BINS);
  const [slopeAll, bendAll] = [total(slope), total(bend)];
  let best: { readonly stump: Stump; readonly bin: number } | null = null;
  let most = worth(slopeAll, bendAll) + 1e-9;
  for (const [column, place] of places.entries()) {
    slopes.fill(0);
    bends.fill(0);
    for (let i = 0; i < place.length; i++) {
      const bin = place[i] as number;
      slopes[bin] = (slopes[bin] as number) + (slope[i] as number);
      bends[bin] = (bends[bin] as number) + (bend[i] as number);
    }
    let [s, b] = [0, 0];
    for (const [bin, threshold] of (cuts[column] as readonly number[]).entries()) {
      s += slopes[bin] as number;
      b += bends[bin] as number;
      const gain = worth(s, b) + worth(slopeAll - s, bendAll - b);
      if (gain <= most) continue;
      most = gain;
      const below = (STEP * s) / (b + LEAF_RIDGE);
      const above = (STEP * (slopeAll - s)) / (bendAll - b + LEAF_RIDGE);
      best = { stump: { column, threshold, below, above }, bin };
    }
  }
  return best;
}

/** How much a leaf improves the fit. */
function worth(slope: number, bend: number): number {
  return (slope * slope) / (bend + LEAF_RIDGE);
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
