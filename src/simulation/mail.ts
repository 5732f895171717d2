/**
 * Mail at its two ends: cut into fragments that wait at the gateway for a tick to their exit, and
 * complete once its exit has kept all of them. When a fragment is sent again says mixnet/arq.ts.
 */
import { decideSend, NEVER_SENT, type Sends } from '../mixnet/arq.ts';

/** A mail, and what has become of it; times are null until then. */
export interface SimulatedMail {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly fragments: number;
  readonly submittedMs: number;
  readonly expiryMs: number;
  /** When its exit kept the first fragment to come, and the last. */
  firstKeptMs: number | null;
  keptMs: number | null;
  /** When its exit handed it to Postfix. */
  deliveredMs: number | null;
  /** Fragments that the exit has. */
  kept: number;
  /** Sends of its fragments, first ones and repeats. */
  sends: number;
}

/** A fragment at its gateway, until it is acked. */
export interface WaitingFragment {
  readonly mail: SimulatedMail;
  sends: Sends;
  /** Whether the exit has it, */
  isKept: boolean;
  /** and whether the gateway knows. */
  isAcked: boolean;
}

/** The fragments of a mail, none of them sent. */
export function fragmentsOfMail(mail: SimulatedMail): readonly WaitingFragment[] {
  return Array.from({ length: mail.fragments }, () => ({
    mail,
    sends: NEVER_SENT,
    isKept: false,
    isAcked: false,
  }));
}

/** The fragments that wait at one gateway for one exit, oldest first. */
export class Outbound {
  #waiting: WaitingFragment[] = [];
  #next = 0;

  /** Whether there is one to send; those that are settled or expired are let go here. */
  isWaiting(nowMs: number): boolean {
    for (; this.#next < this.#waiting.length; this.#next++) {
      const { isAcked, sends, mail } = this.#waiting[this.#next] as WaitingFragment;
      if (!isAcked && decideSend(sends, nowMs, mail.expiryMs).kind === 'send') return true;
    }
    this.#waiting = [];
    this.#next = 0;
    return false;
  }

  /** The oldest; only after `isWaiting` has said yes. */
  take(): WaitingFragment {
    const oldest = this.#waiting[this.#next++] as WaitingFragment;
    if (this.#next > 1000) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return oldest;
  }

  /** Puts one behind the others: when it is new, and when its time to be sent again has come. */
  add(fragment: WaitingFragment): void {
    this.#waiting.push(fragment);
  }

  /** How many wait, those among them that will be let go. */
  get length(): number {
    return this.#waiting.length - this.#next;
  }
}
