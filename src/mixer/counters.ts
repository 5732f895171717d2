/**
 * How often each thing happened, by name: `forward`, `cover`, `delivered`, or the reason of a drop.
 * In memory and coarse: one number per name since start, never per packet, message, peer or second,
 * for a fine count on a mix is a record of what passed through it.
 */

/** Names come from closed unions; this only stops a bug from filling memory. */
const NAMES_MAX = 200;

export class Counters {
  readonly #counts = new Map<string, number>();

  /** One more of `name`. */
  count(name: string, times = 1): void {
    const known = this.#counts.get(name);
    if (known === undefined && this.#counts.size >= NAMES_MAX) return;
    this.#counts.set(name, (known ?? 0) + times);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** All of them, sorted by name. */
  all(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.#counts].toSorted(([left], [right]) => (left < right ? -1 : 1)),
    );
  }
}
