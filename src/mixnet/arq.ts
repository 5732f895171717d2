/**
 * Sending again what was not acked: a pure state machine, one history of sends per fragment. Its clock
 * is an argument. A resend only joins the queue from which ticks take, so the wire never shows it;
 * when it joins is random all the same, for the exit and the mixes it passes may be hostile.
 */
import { concat, readUint, writeUint } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { drawExponentialMs } from './delay.ts';

/** Routes that one fragment takes within a day: each is one more chance to meet only hostile mixes. */
export const SENDS_PER_DAY_MAX = 8;
const DAY_MS = 86_400_000;

/** Links beside their delays: posting, polling and commits at each hop, the busy ones too. */
const SLACK_MS = 5_000;
/** The exit draws the delay of its ack itself; four means hold 98 % of the draws. */
const ACK_DELAY_MEANS = 4;
/** The first two waits are what a lost packet asks for; later ones bridge a node that is down. */
const PATIENT_FROM = 2;
const GROWTH = 3;
const WAIT_MS_MAX = 4 * 3_600_000;

const TIME_BYTES = 6;
const VERSION = 1;

/** When a fragment was sent, oldest first, and when it may be sent again. */
export interface Sends {
  /** Ms since 1970; those of the last day, at most `SENDS_PER_DAY_MAX`. */
  readonly atMs: readonly number[];
  /** How often it was sent in all. */
  readonly count: number;
  /** Ms since 1970; 0 for what was never sent. */
  readonly againAtMs: number;
}

/** The history of a fragment that waits for its first tick. */
export const NEVER_SENT: Sends = { atMs: [], count: 0, againAtMs: 0 };

/** Whether a fragment may be sent now. */
export type SendDecision =
  | { readonly kind: 'send' }
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'expired' };

/**
 * What to do with a fragment that has no ack.
 * @param expiryMs when its exit may forget it: only then it is given up
 */
export function decideSend(sends: Sends, nowMs: number, expiryMs: number): SendDecision {
  if (expiryMs <= nowMs) return { kind: 'expired' };
  // A clock that was set back must not make anything wait for longer than any wait is.
  const untilMs = Math.min(sends.againAtMs, nowMs + DAY_MS);
  return untilMs <= nowMs ? { kind: 'send' } : { kind: 'wait', untilMs };
}

/**
 * The history after one more send, with the time from which the fragment counts as lost: what its way
 * there and back takes, then an exponential time. Later waits grow, so that eight sends span hours;
 * after the eighth of a day the next one waits until the first of them is a day old.
 * @param tripDelayMs the delays at mixes, both ways, which its sender has drawn
 * @param delayMeanMs mean of the delay that the exit draws for its ack
 */
export function afterSend(
  random: Random,
  sends: Sends,
  sent: { readonly nowMs: number; readonly tripDelayMs: number; readonly delayMeanMs: number },
): Sends {
  const { nowMs, tripDelayMs, delayMeanMs } = sent;
  const atMs = [...sends.atMs.filter((at) => at > nowMs - DAY_MS), nowMs].slice(-SENDS_PER_DAY_MAX);
  const tripMs = tripDelayMs + ACK_DELAY_MEANS * delayMeanMs + SLACK_MS;
  const growth = GROWTH ** Math.max(0, Math.min(sends.count + 1 - PATIENT_FROM, 20));
  const waitMs = Math.min(tripMs * growth, WAIT_MS_MAX);
  const jitterMs = drawExponentialMs(random, waitMs / 2);
  const dayOverMs = atMs.length < SENDS_PER_DAY_MAX ? 0 : (atMs[0] as number) + DAY_MS;
  const againAtMs = Math.ceil(Math.max(nowMs + waitMs, dayOverMs) + jitterMs);
  return { atMs, count: sends.count + 1, againAtMs };
}

/** A history as bytes, all of one length: version 1, count 4, again at 6, times 8 × 6 (0 for none). */
export function encodeSends(sends: Sends): Uint8Array<ArrayBuffer> {
  const times = Array.from({ length: SENDS_PER_DAY_MAX }, (_, i) =>
    writeUint(sends.atMs[i] ?? 0, TIME_BYTES),
  );
  return concat(
    writeUint(VERSION, 1),
    writeUint(sends.count, 4),
    writeUint(sends.againAtMs, TIME_BYTES),
    ...times,
  );
}

/** The inverse of `encodeSends`, or null where the bytes are of another version or length. */
export function decodeSends(bytes: Uint8Array): Sends | null {
  const headBytes = 1 + 4 + TIME_BYTES;
  if (bytes.length !== headBytes + SENDS_PER_DAY_MAX * TIME_BYTES || bytes[0] !== VERSION) {
    return null;
  }
  const times = Array.from({ length: SENDS_PER_DAY_MAX }, (_, i) =>
    readUint(bytes, headBytes + i * TIME_BYTES, TIME_BYTES),
  );
  return {
    atMs: times.filter((at) => at > 0),
    count: readUint(bytes, 1, 4),
    againAtMs: readUint(bytes, 5, TIME_BYTES),
  };
}
