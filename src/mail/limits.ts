/**
 * How much mixed mail one sender, and one client, may send in an hour, so that nobody's mail fills the
 * queue that all share: ticks carry a public, constant rate, and what one sends too much others wait
 * for. Buckets that refill evenly; in memory, for who restarts a gateway may begin anew.
 */

/** What one sender, or one client, may send: this much at once, and this much again in each hour. */
export interface Allowance {
  readonly mailsPerHour: number;
  readonly bytesPerHour: number;
  /** Of all these mails together: one mail may go to thousands. */
  readonly recipientsPerHour: number;
}

export interface SendingLimits {
  /** By MAIL FROM, in lower case and without what stands behind a `+`: `ada+shop@` is Ada, too. */
  readonly sender: Allowance;
  /** By the address of the client that gave the mail to the mail server, where that says it. */
  readonly client: Allowance;
}

/** Who sends, and how much. */
export interface Sending {
  readonly sender: string;
  readonly client: string | null;
  readonly mails: number;
  readonly bytes: number;
  readonly recipients: number;
}

/** Why a mail has to wait: the words of `filters/replies.ts`. */
export type LimitReason = 'sender-limit' | 'client-limit';

const HOUR_MS = 3_600_000;
/** A whole share, and what sums of fractions may be off by. */
const FULL = 1 + 1e-9;
/** Senders and clients that are known at a time; who is forgotten is the one heard of longest ago. */
const KNOWN_MAX = 20_000;

/** What is counted; in a bucket as shares of an hour's allowance, 0 to 1 and beyond after one large mail. */
const KINDS = ['mails', 'bytes', 'recipients'] as const;
type Shares = Record<(typeof KINDS)[number], number>;

interface Bucket extends Shares {
  atMs: number;
}

/** What has been sent of late. */
export class SendingLimiter {
  readonly #limits: SendingLimits;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: SendingLimits) {
    this.#limits = limits;
  }

  /**
   * Takes a mail into account, or says why it has to wait; then nothing is taken. A sender whose
   * bucket is empty may send one mail of any size to any number: what is larger than an hour's share
   * costs the hours that follow.
   */
  take(sending: Sending, nowMs: number): LimitReason | null {
    const charges = this.#charges(sending);
    for (const { name, allowance, reason } of charges) {
      const bucket = this.#bucket(name, nowMs);
      const shares = sharesOf(sending, allowance);
      if (KINDS.some((kind) => bucket[kind] > 0 && bucket[kind] + shares[kind] > FULL)) {
        return reason;
      }
    }
    this.#add(sending, nowMs, 1);
    return null;
  }

  /** Gives back what `take` took: the mail was not stored, or had been stored before. */
  giveBack(sending: Sending, nowMs: number): void {
    this.#add(sending, nowMs, -1);
  }

  #add(sending: Sending, nowMs: number, sign: 1 | -1): void {
    for (const { name, allowance } of this.#charges(sending)) {
      const bucket = this.#bucket(name, nowMs);
      const shares = sharesOf(sending, allowance);
      for (const kind of KINDS) bucket[kind] = Math.max(0, bucket[kind] + sign * shares[kind]);
    }
  }

  #charges({ sender, client }: Sending) {
    const { sender: ofSender, client: ofClient } = this.#limits;
    const name = `sender ${senderOf(sender)}`;
    const charges: { name: string; allowance: Allowance; reason: LimitReason }[] = [
      { name, allowance: ofSender, reason: 'sender-limit' },
    ];
    if (client !== null) {
      charges.push({ name: `client ${client}`, allowance: ofClient, reason: 'client-limit' });
    }
    return charges;
  }

  /** The bucket as it is now: an hour empties a full one. The newest stands last. */
  #bucket(name: string, nowMs: number): Bucket {
    const known = this.#buckets.get(name) ?? { mails: 0, bytes: 0, recipients: 0, atMs: nowMs };
    this.#buckets.delete(name);
    const share = Math.max(0, nowMs - known.atMs) / HOUR_MS;
    const bucket = {
      mails: Math.max(0, known.mails - share),
      bytes: Math.max(0, known.bytes - share),
      recipients: Math.max(0, known.recipients - share),
      atMs: nowMs,
    };
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > KNOWN_MAX) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return bucket;
  }
}

/** Who counts as one sender: the address in lower case, without an extension (`local+extension@domain`). */
export function senderOf(address: string): string {
  return address.toLowerCase().replace(/^([^+"@]+)\+[^"@]*(?=@)/, '$1');
}

function sharesOf(sending: Sending, allowance: Allowance): Shares {
  return {
    mails: sending.mails / allowance.mailsPerHour,
    bytes: sending.bytes / allowance.bytesPerHour,
    recipients: sending.recipients / allowance.recipientsPerHour,
  };
}
