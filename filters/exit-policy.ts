/**
 * To whom this exit delivers: to the domains that the directory gives to it, and to those that its
 * operator adds, as many recipients in an hour and as large as he says; never to who opted out.
 */
import type { Mailbox } from '../src/mail/address.ts';

export interface ExitPolicyOptions {
  /** Whether the directory gives a domain (lower case, A-labels) to this exit. */
  readonly owns: (domain: string) => boolean;
  /** What the operator adds to that. */
  readonly wider: WiderPolicy;
  /** Whether somebody wants no mail out of the mixnet; null where there is no list. */
  readonly optedOut: ((mailbox: Mailbox) => boolean) | null;
  /** Clock, ms. */
  readonly now: () => number;
}

/** Domains beyond the own ones, and how much goes there. */
export interface WiderPolicy {
  readonly domains: readonly string[];
  readonly recipientsPerHour: number;
  readonly messageBytesMax: number;
}

/** Why a recipient is not tried: the reply that he gets instead of the mail server's. */
export interface Objection {
  readonly reply: string;
  readonly permanent: boolean;
}

const HOUR_MS = 3_600_000;

export class ExitPolicy {
  readonly #options: ExitPolicyOptions;
  /** Recipients of wider domains that may still be tried; refills evenly within an hour. */
  #left: number;
  #atMs: number;

  constructor(options: ExitPolicyOptions) {
    this.#options = options;
    this.#left = options.wider.recipientsPerHour;
    this.#atMs = options.now();
  }

  /** Whether mail to a domain is taken at all. */
  delivers(domain: string): boolean {
    const { owns, wider } = this.#options;
    return domain !== '' && (owns(domain) || wider.domains.includes(domain));
  }

  /**
   * Why a recipient is not tried, or null: then he counts, where he is of a wider domain.
   * @param isOwnReport whether it tells him what became of a mail that he sent himself
   */
  objectionTo(mailbox: Mailbox, messageBytes: number, isOwnReport = false): Objection | null {
    const { owns, wider, optedOut } = this.#options;
    if (!this.delivers(mailbox.domain)) {
      return refusal('550 5.7.1 This exit does not deliver to that domain');
    }
    if (!isOwnReport && optedOut?.(mailbox) === true) {
      return refusal('550 5.7.1 Recipient takes no mail out of the mixnet');
    }
    if (owns(mailbox.domain)) return null;
    if (messageBytes > wider.messageBytesMax) {
      return refusal('552 5.3.4 Message too big for this exit');
    }
    return this.#take()
      ? null
      : { reply: '451 4.7.1 Too many recipients of this exit in an hour', permanent: false };
  }

  #take(): boolean {
    const { wider, now } = this.#options;
    const nowMs = now();
    const refill = (Math.max(0, nowMs - this.#atMs) / HOUR_MS) * wider.recipientsPerHour;
    this.#left = Math.min(wider.recipientsPerHour, this.#left + refill);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

function refusal(reply: string): Objection {
  return { reply, permanent: true };
}
