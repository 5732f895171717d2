/**
 * Redis shows in clear when a key ends, also in its files: an exact end would tell when it was written,
 * when a mail came or went. What ends, ends together with all others of some hours or days.
 */

/** Ends of what is remembered for days. */
export const DAY_MS = 24 * 3_600_000;

/**
 * A multiple of the step, Unix ms, at least the lifetime away.
 * @param lifetimeMs how long it must stay at least
 */
export function coarseEnd(nowMs: number, lifetimeMs: number, stepMs = DAY_MS): number {
  return Math.ceil((nowMs + lifetimeMs) / stepMs) * stepMs;
}
