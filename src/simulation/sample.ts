/**
 * Numbers that were measured: their mean, and what share of them lies below what.
 */

export class Sample {
  readonly #values: number[] = [];
  #sorted = true;

  add(value: number): void {
    this.#values.push(value);
    this.#sorted = false;
  }

  get count(): number {
    return this.#values.length;
  }

  /** Null where nothing was measured. */
  get mean(): number | null {
    if (this.#values.length === 0) return null;
    return this.#values.reduce((sum, value) => sum + value, 0) / this.#values.length;
  }

  /**
   * The value that a share of all are not above, the nearest rank; null where nothing was measured.
   * @param share 0 to 1
   */
  quantile(share: number): number | null {
    const sorted = this.sorted();
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  }

  /** From the smallest to the largest. */
  sorted(): readonly number[] {
    if (!this.#sorted) this.#values.sort((left, right) => left - right);
    this.#sorted = true;
    return this.#values;
  }
}

/** What a report says of a sample; all null where nothing was measured. */
export interface Spread {
  readonly count: number;
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** The usual shares of a sample. */
export function spreadOf(sample: Sample): Spread {
  const { count, mean } = sample;
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => sample.quantile(share));
  return { count, mean, p50: p50 ?? null, p95: p95 ?? null, p99: p99 ?? null };
}
