/**
 * How well scores tell two kinds apart: the area under the ROC curve, which is the chance that one of
 * the first kind scores above one of the second (Hanley and McNeil 1982); a tie counts one half.
 */

/**
 * 0.5 where the scores say nothing, 1 where they say all.
 * Throws RangeError where one of the kinds is missing or a score is not a number.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: readonly boolean[]): number {
  const order = labels.map((_, i) => i).toSorted((i, j) => at(scores, i) - at(scores, j));
  let [positives, rankSum] = [0, 0];
  for (let first = 0; first < order.length;) {
    let last = first;
    while (last + 1 < order.length && score(order, last + 1) === score(order, first)) last++;
    // Ranks count from 1; those that tie share the mean of theirs.
    const rank = (first + last) / 2 + 1;
    for (let i = first; i <= last; i++) {
      if (labels[order[i] as number] !== true) continue;
      positives++;
      rankSum += rank;
    }
    first = last + 1;
  }
  const negatives = labels.length - positives;
  if (positives === 0 || negatives === 0) throw new RangeError('scores of one kind only');
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);

  function score(places: readonly number[], place: number): number {
    return at(scores, places[place] as number);
  }
}

/**
 * The ROC curve at so many equal steps of the false positive rate, from 0 to 1: the share of true ones
 * that a threshold finds which mistakes so many of the others.
 */
export function rocCurve(
  scores: ArrayLike<number>,
  labels: readonly boolean[],
  steps: number,
): number[] {
  const of = (kind: boolean): Float64Array =>
    Float64Array.from(
      labels.flatMap((label, i) => (label === kind ? [at(scores, i)] : [])),
    ).toSorted();
  const [positives, negatives] = [of(true), of(false)];
  return Array.from({ length: steps + 1 }, (_, step) => {
    const rank = negatives.length - Math.round((step / steps) * negatives.length);
    const threshold = rank > 0 ? (negatives[rank - 1] as number) : -Infinity;
    return positives.filter((score) => score > threshold).length / positives.length;
  });
}

function at(scores: ArrayLike<number>, index: number): number {
  const score = scores[index];
  if (score === undefined || Number.isNaN(score)) throw new RangeError(`score ${index} is missing`);
  return score;
}
