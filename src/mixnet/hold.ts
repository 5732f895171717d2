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

/**
 * How much longer to keep a packet that is due, in ms; null where it may leave.
 * @param alarmedForMs since when the alarm has been on
 */
export function drawHoldMs(
  random: Random,
  alarmedForMs: number,
  delayMeanMs: number,
): number | null {
  if (alarmedForMs >= HOLDING_MEANS * delayMeanMs) return null;
  return drawDelayMs(random, HELD_MEANS * delayMeanMs);
}
