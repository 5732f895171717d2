/**
 * Mail at a steady rate among all users of some providers, their own included, for hours: what was handed
 * in, what came with which bytes, how long each took. It remembers of a mail what it must until that has
 * arrived.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Submitter } from '../../filters/submit.ts';
import type { Arrived } from './mailbox.ts';

/** A provider's gateway, for who hands in mail. */
export interface Door {
  readonly domain: string;
  readonly smtpPort: number;
}

export interface LoadOptions {
  readonly doors: readonly Door[];
  readonly mailsPerSecond: number;
  /** Of these bytes, beside the others; 0 for none. */
  readonly largeMailsPerMinute: number;
  readonly largeMailBytes: number;
}

/** How it went. */
export interface LoadFigures {
  readonly submitted: number;
  readonly accepted: number;
  readonly delivered: number;
  /** Byte for byte. */
  readonly exact: number;
  readonly twice: number;
  /** Answers 4xx, after which a mail was handed in again. */
  readonly deferred: number;
  /** The first answer 5xx: none may be. */
  readonly refused: string | null;
  readonly large: {
    readonly submitted: number;
    readonly accepted: number;
    readonly delivered: number;
  };
  /** Between 250 and the mailbox, of those that are not large. */
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly latestMs: number;
}

/** What must arrive. */
interface Expected {
  readonly sha256: string;
  readonly large: boolean;
  acceptedMs: number | null;
}

const OPT_IN = Buffer.from('X-PANORAMIX-Mixable: yes\r\n');
/** As base64 has them, with CRLF. */
const LINE_BYTES = 78;
const TEXT_LINES = 2048;
/** Small mails have one fragment, so that the rate of mails is the rate of fragments. */
const SMALL_LINES = [4, 200] as const;
const AGAIN_MS = 1_000;
const PATIENCE_MS = 10 * 60_000;
const LOOK_MS = 200;
const TICK_MS = 20;
const MINUTE_MS = 60_000;

/** Hands in from `start` to `stop`. */
export class Load {
  readonly #options: LoadOptions;
  readonly #submitters: readonly Submitter[];
  readonly #largeSubmitters: readonly Submitter[];
  readonly #expected = new Map<string, Expected>();
  readonly #underWay = new Set<Promise<void>>();
  /** Lines that mails are cut from: another place in it is another text. */
  readonly #text = randomText(TEXT_LINES);
  readonly #tookMs: number[] = [];
  readonly #arrived = new Set<string>();
  readonly #count = { submitted: 0, accepted: 0, exact: 0, twice: 0, deferred: 0, delivered: 0 };
  readonly #large = { submitted: 0, accepted: 0, delivered: 0 };
  #refused: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #startedMs = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#submitters = options.doors.map(submitterTo);
    // A mail of 25 MB must not hold up the others here, where nobody looks.
    this.#largeSubmitters = options.doors.map(submitterTo);
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#timer = setInterval(() => this.#handIn(), TICK_MS);
  }

  /** Hands in no more; waits until all has arrived or patience ends. */
  async stop(patienceMs: number, signal?: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    const endMs = performance.now() + patienceMs;
    while ((this.#underWay.size > 0 || this.#expected.size > 0) && performance.now() < endMs) {
      await sleep(LOOK_MS, undefined, { signal });
    }
    await Promise.all([...this.#submitters, ...this.#largeSubmitters].map((one) => one.close()));
  }

  /** To be told of each mail that comes. */
  note({ recipients, sha256 }: Arrived): void {
    for (const recipient of recipients) {
      const expected = this.#expected.get(recipient);
      if (expected === undefined) {
        if (this.#arrived.has(recipient)) this.#count.twice++;
        continue;
      }
      this.#expected.delete(recipient);
      this.#arrived.add(recipient);
      if (expected.sha256 === sha256) this.#count.exact++;
      this.#count.delivered++;
      if (expected.large) this.#large.delivered++;
      // Delivered before our 250 was read: at once.
      else if (expected.acceptedMs === null) this.#tookMs.push(0);
      else this.#tookMs.push(performance.now() - expected.acceptedMs);
    }
  }

  figures(): LoadFigures {
    const took = this.#tookMs.toSorted((left, right) => left - right);
    const quantile = (share: number): number => took[Math.floor(share * (took.length - 1))] ?? 0;
    return {
      ...this.#count,
      refused: this.#refused,
      large: { ...this.#large },
      medianMs: quantile(0.5),
      p95Ms: quantile(0.95),
      latestMs: quantile(1),
    };
  }

  /** As many as are due by now: a busy machine does not lower the rate. */
  #handIn(): void {
    const { mailsPerSecond, largeMailsPerMinute } = this.#options;
    const ms = performance.now() - this.#startedMs;
    while (this.#large.submitted < Math.floor((ms / MINUTE_MS) * largeMailsPerMinute)) {
      this.#begin(this.#large.submitted++, true);
    }
    const small = this.#count.submitted - this.#large.submitted;
    for (let number = small; number < (ms / 1000) * mailsPerSecond; number++) {
      this.#begin(number, false);
    }
  }

  #begin(number: number, large: boolean): void {
    this.#count.submitted++;
    const submitting = this.#submit(number, large).finally(() => this.#underWay.delete(submitting));
    this.#underWay.add(submitting);
  }

  async #submit(number: number, large: boolean): Promise<void> {
    const { doors } = this.#options;
    // Each provider's users write to those of each, round and round.
    const entry = number % doors.length;
    const exit = Math.floor(number / doors.length) % doors.length;
    const [from, to] = [doors[entry] as Door, doors[exit] as Door];
    const name = `${large ? 'large' : 'small'}${number}`;
    const recipient = `${name}@${to.domain}`;
    const data = this.#mail(name, large);
    const sha256 = createHash('sha256').update(data).digest('hex');
    const expected: Expected = { sha256, large, acceptedMs: null };
    this.#expected.set(recipient, expected);
    const submitter = (large ? this.#largeSubmitters : this.#submitters)[entry] as Submitter;
    const isAccepted = await this.#untilAccepted(submitter, {
      sender: `ada@${from.domain}`,
      recipients: [{ address: recipient }],
      body: '8BITMIME',
      smtputf8: false,
      queueId: `SOAK${name}`,
      data: Buffer.concat([OPT_IN, data]),
    });
    if (!isAccepted) {
      this.#expected.delete(recipient);
      return;
    }
    expected.acceptedMs = performance.now();
    this.#count.accepted++;
    if (large) this.#large.accepted++;
  }

  /** As Postfix does it, only sooner. */
  async #untilAccepted(
    submitter: Submitter,
    mail: Parameters<Submitter['send']>[0],
  ): Promise<boolean> {
    for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs;) {
      const [result] = await submitter.send(mail);
      if (result?.outcome === 'accepted') return true;
      if (result?.outcome === 'refused') {
        this.#refused ??= JSON.stringify(result.reply);
        return false;
      }
      this.#count.deferred++;
      await sleep(AGAIN_MS);
    }
    return false;
  }

  #mail(name: string, large: boolean): Buffer {
    const [least, most] = SMALL_LINES;
    const lines = large
      ? Math.floor(this.#options.largeMailBytes / LINE_BYTES)
      : least + Math.floor(Math.random() * (most - least));
    return Buffer.concat([Buffer.from(`Subject: ${name}\r\n\r\n`), ...this.#lines(lines)]);
  }

  /** So many lines from a random place on, the text over and over. */
  #lines(count: number): Buffer[] {
    const parts: Buffer[] = [];
    let from = Math.floor(Math.random() * TEXT_LINES);
    for (let left = count; left > 0;) {
      const taken = Math.min(left, TEXT_LINES - from);
      parts.push(this.#text.subarray(from * LINE_BYTES, (from + taken) * LINE_BYTES));
      left -= taken;
      from = 0;
    }
    return parts;
  }
}

function submitterTo({ smtpPort }: Door): Submitter {
  const server = { host: '127.0.0.1', port: smtpPort };
  return new Submitter({ server, hostname: 'soak.example', connectionsMax: 20 });
}

function randomText(lines: number): Buffer {
  const lineBytes = ((LINE_BYTES - 2) / 4) * 3;
  const texts = Array.from({ length: lines }, () => randomBytes(lineBytes).toString('base64'));
  return Buffer.from(`${texts.join('\r\n')}\r\n`);
}
