/**
 * How long a node keeps packets of others while too few of its own come back (loops.ts): whoever has let one
 * packet through alone is to find others leaving with it. Holding is contagious, for what one node
 * holds comes late at all others, and so it must end by itself: without that a mixnet in
 * which every node has once been alarmed stays so for ever. Pure.
 */
import type { Random } from '../crypto/primitives.ts';
import { drawDelayMs } from './delay.ts';

/**
 * Each packet once, for so many more mean delays. At a mean of 2 s it is 20 s, the time in which a mix
 * of the smallest mixnet sees 80 packets.
 */
export const HELD_MEANS = 10;
/**
 * Only while the alarm is that young, 60 s at a mean of 2 s. When all nodes of a simulated mixnet (2 gateways
 * and 3 mixes, or 4 and 6) heard nothing for a minute or five, no alarm was left two minutes
 * later; where holding had no end, all were alarmed for the 35 minutes that were simulated.
 */
export const HOLDING_MEANS = 30;
/** A new alarm so soon after the last holding began is not held for: what is late may be late by that. */
export const RESTING_MEANS = 4 * HOLDING_MEANS;

/** The alarm for which packets were last held, by its number, and since when. */
export interface Holding {
  readonly alarm: number;
  readonly sinceMs: number;
}

/** Before the first alarm. */
export const NEVER_HELD: Holding = { alarm: 0, sinceMs: -Infinity };

/**
 * The holding after a look at the alarm.
 * @param alarm number of the one that is on, from 1
 */
export function nextHolding(
  last: Holding,
  now: { readonly alarm: number; readonly nowMs: number; readonly delayMeanMs: number },
): Holding {
  const { alarm, nowMs, delayMeanMs } = now;
  if (alarm === last.alarm) return last;
  const isRested = nowMs - last.sinceMs >= RESTING_MEANS * delayMeanMs;
  return { alarm, sinceMs: isRested ? nowMs : last.sinceMs };
}

/** How much longer to keep a packet that is due, in ms; null where it may leave. */
export function drawHoldMs(
  random: Random,
  { sinceMs }: Holding,
  now: { readonly nowMs: number; readonly delayMeanMs: number },
): number | null {
  const { nowMs, delayMeanMs } = now;
  if (nowMs - sinceMs >= HOLDING_MEANS * delayMeanMs) return null;
  return drawDelayMs(random, HELD_MEANS * delayMeanMs);
}
