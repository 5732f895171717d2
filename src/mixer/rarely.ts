/**
 * A log line for what may happen to every packet: the first is said, and then none of its kind for a
 * while, for a log that says something of each packet is a log of the mixing. Counters have the number.
 */

/** Said once within this time. */
const SAY_MS = 600_000;

export class Rarely {
  readonly #saidMs = new Map<string, number>();

  /**
   * Says it, or not.
   * @param kind a name from a closed union: what was said of it counts for it alone
   */
  say(kind: string, say: () => void): void {
    const nowMs = performance.now();
    if (nowMs - (this.#saidMs.get(kind) ?? -Infinity) < SAY_MS) return;
    this.#saidMs.set(kind, nowMs);
    say();
  }
}
