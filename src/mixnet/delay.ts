/**
 * Exponential times: how long a mix holds a packet, how far apart ticks lie, how long an exit waits.
 * Memoryless, so that when a packet came says nothing about when it leaves (Loopix §4.1).
 */
import type { Random } from '../crypto/primitives.ts';
import { drawUnit } from './draw.ts';

/**
 * Draws above this many means are drawn again, and a mix drops what asks for more (design: the
 * packet). P(above 20 means) = e^-20 = 2.1e-9: one draw in 485 million changes, far too few for
 * anyone to see, while no header can make a mix hold a packet for days. At a mean of 2 s the cap is
 * 40 s.
 */
export const DELAY_MEANS_MAX = 20;

/** The longest delay in ms that a header may ask for where the mean is `meanMs`. */
export function delayMsMax(meanMs: number): number {
  return Math.floor(DELAY_MEANS_MAX * meanMs);
}

/**
 * A whole number of ms from the exponential distribution of mean `meanMs`, at most `delayMsMax`: what a
 * header can carry.
 * @param meanMs 0 or more; 0 always gives 0
 */
export function drawDelayMs(random: Random, meanMs: number): number {
  for (;;) {
    const delayMs = Math.round(drawExponentialMs(random, meanMs));
    if (delayMs <= delayMsMax(meanMs)) return delayMs;
  }
}

/**
 * From the same distribution, not rounded: for means of a few ms, whose sum over many draws matters.
 * Rounded draws of a mean of 0.1 ms would come to 0.007.
 */
export function drawExponentialMs(random: Random, meanMs: number): number {
  if (!Number.isFinite(meanMs) || meanMs < 0) throw new RangeError(`a mean of ${meanMs} ms`);
  return -Math.log(drawUnit(random)) * meanMs;
}

/**
 * When to send a packet on after the node itself was stopped: at its time if that is still to come,
 * else after a fresh delay. What is overdue would otherwise leave all at once, in a burst that shows
 * which packets were here together.
 */
export function dueAfterStop(
  random: Random,
  packet: { readonly dueMs: number; readonly nowMs: number; readonly meanMs: number },
): number {
  if (packet.dueMs > packet.nowMs) return packet.dueMs;
  return packet.nowMs + drawDelayMs(random, packet.meanMs);
}
