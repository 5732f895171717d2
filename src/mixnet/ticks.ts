/**
 * What a gateway does at a tick of its Poisson clock (Loopix §4.1): draw the exit first, by the
 * snapshot's public weights, then take a waiting fragment for that exit or, if none, cover. So the
 * rate of no link depends on mail. Pure: the mix server and the in-process network both run this.
 */
import type { Random } from '../crypto/primitives.ts';
import { drawExponentialMs } from './delay.ts';
import { openEndpoint, type Directory } from './directory.ts';
import { drawWeighted } from './draw.ts';

/**
 * A tick this late is missed. Timers of a busy process come a few ms late, and such ticks must not
 * fall out, or load would show as a lower rate; after a stop of seconds, making up for what was
 * missed would show as a burst.
 */
export const TICK_LATE_MS_MAX = 250;

/** Where the clock stands: the tick to come (a fraction of a ms counts), and how many were skipped. */
export interface TickClock {
  readonly dueMs: number;
  readonly skipped: number;
}

/** A clock that starts now; the first tick comes after an exponential time, like all others. */
export function startTicks(random: Random, nowMs: number, ticksPerSecond: number): TickClock {
  return { dueMs: nowMs + drawExponentialMs(random, 1000 / ticksPerSecond), skipped: 0 };
}

/**
 * Moves the clock past the tick that was due. Times are added to the last due time, not to now, so
 * that the rate is exact; ticks that are more than `TICK_LATE_MS_MAX` late are skipped.
 */
export function advanceTicks(
  random: Random,
  clock: TickClock,
  nowMs: number,
  ticksPerSecond: number,
): TickClock {
  let { dueMs, skipped } = clock;
  dueMs += drawExponentialMs(random, 1000 / ticksPerSecond);
  // Memoryless: after a long stop, starting over from now is the same clock without the long walk.
  const far = nowMs - TICK_LATE_MS_MAX - dueMs;
  if (far > 60_000) {
    skipped += Math.round((far / 1000) * ticksPerSecond);
    dueMs = nowMs - TICK_LATE_MS_MAX;
  }
  while (dueMs < nowMs - TICK_LATE_MS_MAX) {
    dueMs += drawExponentialMs(random, 1000 / ticksPerSecond);
    skipped += 1;
  }
  return { dueMs, skipped };
}

/** What a tick sends, and to which exit gateway. */
export interface TickChoice {
  /** Peer id of the exit. */
  readonly exit: string;
  readonly take: 'fragment' | 'cover';
}

/**
 * Decides a tick. Null where no gateway can be drawn: no packet leaves, whatever waits.
 * @param isWaiting whether a fragment for that exit is ready; asked once, after the draw
 */
export function decideTick(
  random: Random,
  directory: Directory,
  nowMs: number,
  isWaiting: (exit: string) => boolean,
): TickChoice | null {
  const exit = drawExit(random, directory, nowMs);
  if (exit === null) return null;
  return { exit, take: isWaiting(exit) ? 'fragment' : 'cover' };
}

/** Peer id of an exit by the public weights, among all gateways, one's own included. */
export function drawExit(random: Random, directory: Directory, nowMs: number): string | null {
  const exits = directory.nodes.filter(
    (node) => node.roles.includes('gateway') && openEndpoint(node, nowMs) !== null,
  );
  return drawWeighted(random, exits, (node) => node.weight)?.peerId ?? null;
}
