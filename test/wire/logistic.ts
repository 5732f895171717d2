/**
 * Logistic regression with a ridge penalty, fitted by Newton's method (Hastie, Tibshirani and Friedman,
 * The Elements of Statistical Learning, §4.4 and §3.4.1): adds up many weak signs that point one way.
 */

/** Gives the log-odds that a window has mail. */
export type Score = (features: ArrayLike<number>) => number;

const NEWTON_STEPS = 6;

/**
 * Fits on standardised features.
 * @param ridge how strongly coefficients are held near 0: the prior's variance is 1 / ridge
 */
export function fitLogistic(
  rows: readonly ArrayLike<number>[],
  labels: readonly boolean[],
  ridge: number,
): Score {
  const width = (rows[0]?.length ?? 0) + 1;
  const beta = new Float64Array(width);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const gradient = beta.map((value, c) => (c === 0 ? 0 : -ridge * value));
    const curvature = new Float64Array(width * width);
    for (let c = 0; c < width; c++) curvature[c * width + c] = c === 0 ? 1e-6 : ridge;
    const row = new Float64Array(width);
    for (const [i, features] of rows.entries()) {
      row[0] = 1;
      row.set(features, 1);
      const chance = 1 / (1 + Math.exp(-dot(beta, row)));
      const off = (labels[i] === true ? 1 : 0) - chance;
      const weight = Math.max(chance * (1 - chance), 1e-6);
      for (let c = 0; c < width; c++) {
        const value = row[c] as number;
        gradient[c] = (gradient[c] as number) + off * value;
        const start = c * width;
        for (let d = 0; d <= c; d++) {
          curvature[start + d] =
            (curvature[start + d] as number) + weight * value * (row[d] as number);
        }
      }
    }
    solveInPlace(curvature, gradient);
    for (let c = 0; c < width; c++) beta[c] = (beta[c] as number) + (gradient[c] as number);
  }
  const row = new Float64Array(width);
  return (features) => {
    row[0] = 1;
    row.set(features, 1);
    return dot(beta, row);
  };
}

function dot(left: Float64Array, right: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += (left[i] as number) * (right[i] as number);
  return sum;
}

/** Solves M x = v for a positive definite M of which the lower half is given; x replaces v (Cholesky). */
function solveInPlace(matrix: Float64Array, vector: Float64Array): void {
  const size = vector.length;
  const at = (i: number, j: number): number => matrix[i * size + j] as number;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = at(i, j);
      for (let k = 0; k < j; k++) sum -= at(i, k) * at(j, k);
      matrix[i * size + j] = i === j ? Math.sqrt(sum) : sum / at(j, j);
    }
  }
  for (let i = 0; i < size; i++) {
    let sum = vector[i] as number;
    for (let k = 0; k < i; k++) sum -= at(i, k) * (vector[k] as number);
    vector[i] = sum / at(i, i);
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = vector[i] as number;
    for (let k = i + 1; k < size; k++) sum -= at(k, i) * (vector[k] as number);
    vector[i] = sum / at(i, i);
  }
}
