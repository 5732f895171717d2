/**
 * How fast the nodes agree, all of it in shares of a snapshot's life: a mixnet whose snapshots live for half a
 * minute goes through the same steps as one whose snapshots live for nine hours.
 */

/** Times of the agreements, ms. */
export interface Pace {
  /** A snapshot is due after so much of its predecessor's life. */
  readonly dueMs: number;
  /** How long a composed text may be signed: an attempt that takes longer is given up. */
  readonly textMs: number;
  /** How long nodes that are still starting are waited for. */
  readonly patienceMs: number;
  /**
   * A node may ask for a snapshot out of turn, but not in a loop. Who heeds it must come before the patience of
   * those who ask is over: they would go on without him, and leave him out.
   */
  readonly askedMs: number;
  /** Between two looks while all is well. */
  readonly watchMs: number;
  /** Between two looks while something is being agreed on. */
  readonly pollMs: number;
}

/** Three epochs to a life: an attempt may fail, and the next has twice its time, before mail waits. */
const EPOCHS_PER_LIFE = 3;
/** The negotiation that follows is kept for seven days, opened with the one before. */
const DUE_MS_MAX = 3 * 86_400_000;
/** Time for clocks that differ by five minutes, and for the slowest start. */
const TEXT_MS = { min: 5_000, max: 10 * 60_000 } as const;
/** No node composes a text that may be signed for longer, however many attempts have failed. */
export const TEXT_MS_MAX = TEXT_MS.max;
/** Longer than a reboot is too long. */
const PATIENCE_MS_MAX = 60_000;
const ASKED_MS_MAX = 20_000;
const WATCH_MS_MAX = 10_000;
const POLL_MS = { min: 200, max: 1_000 } as const;

/** The pace of a mixnet whose snapshots live so long. */
export function paceOf(lifetimeMs: number): Pace {
  return {
    dueMs: Math.min(lifetimeMs / EPOCHS_PER_LIFE, DUE_MS_MAX),
    textMs: Math.max(TEXT_MS.min, Math.min(lifetimeMs / 6, TEXT_MS.max)),
    patienceMs: Math.min(lifetimeMs / 12, PATIENCE_MS_MAX),
    askedMs: Math.min(lifetimeMs / 40, ASKED_MS_MAX),
    watchMs: Math.min(lifetimeMs / 30, WATCH_MS_MAX),
    pollMs: Math.max(POLL_MS.min, Math.min(lifetimeMs / 60, POLL_MS.max)),
  };
}

/** Attempts in a row after which nothing gets slower any more. */
const SLOWER_MAX = 5;

/**
 * The pace after attempts that came to no end: each gives more time to who composes and to who signs, or nodes on
 * busy machines would miss each other for ever. All nodes know the same number of them, by the snapshot's.
 */
export function slowerPace(pace: Pace, failedAttempts: number): Pace {
  const factor = 2 ** Math.min(Math.max(failedAttempts, 0), SLOWER_MAX);
  return {
    ...pace,
    textMs: Math.max(pace.textMs, Math.min(factor * pace.textMs, TEXT_MS.max)),
    patienceMs: Math.max(pace.patienceMs, Math.min(factor * pace.patienceMs, PATIENCE_MS_MAX)),
  };
}

/** Before the first snapshot everybody is waited for, and nothing is in a hurry. */
export const PACE_AT_FIRST: Pace = {
  ...paceOf(9 * 3_600_000),
  watchMs: POLL_MS.max,
};
