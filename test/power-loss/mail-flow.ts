/**
 * Mail in both directions at a steady rate, handed in at the gateways as their Postfix would: tried again until it is
 * accepted, under the same queue id. What was accepted, what arrived, when and in which bytes.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromUtf8 } from '../../src/bytes.ts';
import type { RealMixnet, TestMail } from '../network/real-mixnet.ts';

const OPT_IN = fromUtf8('X-PANORAMIX-Mixable: yes\r\n');
const LOOK_MS = 100;
/** A machine that is off answers nothing; Postfix would wait much longer. */
const SUBMIT_MS_MAX = 180_000;
const AGAIN_MS = 200;
/** One in so many has several fragments. */
const LARGE_EVERY = 8;
const LARGE_BYTES = 150_000;
const SMALL_BYTES = 12_000;

/** What came of the mails that were handed in. */
export interface MailVerdict {
  readonly accepted: number;
  readonly arrived: number;
  /** Accepted, and not there. */
  readonly lost: readonly string[];
  readonly altered: readonly string[];
  readonly twice: readonly { readonly recipient: string; readonly firstMs: number }[];
  /** What a gateway answered that refused one for good: none may. */
  readonly refused: readonly string[];
}

interface Mail {
  readonly hash: string;
  isAccepted: boolean;
  /** `performance.now()`; of the first and of all others. */
  readonly arrivals: { readonly atMs: number; readonly hash: string }[];
}

export class MailFlow {
  readonly #real: RealMixnet;
  readonly #perSecond: number;
  readonly #mails = new Map<string, Mail>();
  readonly #refused: string[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #looking: NodeJS.Timeout;
  #handing: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(real: RealMixnet, perSecond: number) {
    this.#real = real;
    this.#perSecond = perSecond;
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
  }

  start(): void {
    this.#handing = setInterval(() => this.handIn(), 1000 / this.#perSecond);
  }

  /** Hands in no more, and waits until what is at hand was accepted. */
  async stop(): Promise<void> {
    if (this.#handing) clearInterval(this.#handing);
    await Promise.all(this.#underWay);
  }

  /** Ends at once, for a test that has failed or is over. */
  close(): void {
    this.#isClosed = true;
    if (this.#handing) clearInterval(this.#handing);
    clearInterval(this.#looking);
  }

  /** Hands one mail in. @returns its recipient, whom no other mail has */
  handIn(): string {
    const number = this.#mails.size;
    const [entry, exit] = number % 2 === 0 ? ['alpha', 'beta'] : ['beta', 'alpha'];
    const recipient = `bob+${number}@${exit}.example`;
    const data = mailBytes(number);
    const mail: Mail = { hash: hashOf(data), isAccepted: false, arrivals: [] };
    this.#mails.set(recipient, mail);
    const submitting = this.#submit(entry, {
      from: `ada@${entry}.example`,
      to: [recipient],
      data: Buffer.concat([OPT_IN, data]),
      queueId: `POWER${number}`,
    })
      .then((isAccepted) => void (mail.isAccepted = isAccepted))
      .catch((error: unknown) => void this.#refused.push(`${recipient}: ${String(error)}`))
      .finally(() => this.#underWay.delete(submitting));
    this.#underWay.add(submitting);
    return recipient;
  }

  /** Hands one in and waits for it: what its mixnet was given before is through then, or waits for its turn. */
  async crosses(patienceMs: number): Promise<void> {
    const mail = this.#mails.get(this.handIn()) as Mail;
    for (const endMs = performance.now() + patienceMs; mail.arrivals.length === 0;) {
      if (performance.now() > endMs) throw new Error(`no mail crosses within ${patienceMs} ms`);
      await sleep(LOOK_MS);
    }
  }

  /** Accepted, and not there yet. */
  get underWay(): number {
    return this.verdict().lost.length;
  }

  verdict(): MailVerdict {
    const all = [...this.#mails].map(([recipient, mail]) => ({ recipient, ...mail }));
    const accepted = all.filter(({ isAccepted }) => isAccepted);
    const names = (mails: typeof all): string[] => mails.map(({ recipient }) => recipient);
    return {
      accepted: accepted.length,
      arrived: accepted.filter(({ arrivals }) => arrivals.length > 0).length,
      lost: names(accepted.filter(({ arrivals }) => arrivals.length === 0)),
      altered: names(
        all.filter(({ hash, arrivals }) => arrivals.some((arrival) => arrival.hash !== hash)),
      ),
      twice: all.flatMap(({ recipient, arrivals }) =>
        arrivals.slice(1).map(() => ({ recipient, firstMs: arrivals[0]?.atMs ?? 0 })),
      ),
      refused: this.#refused,
    };
  }

  /** Until it is accepted; false where the flow ends before that. */
  async #submit(entry: string, mail: TestMail): Promise<boolean> {
    for (const endMs = performance.now() + SUBMIT_MS_MAX; !this.#isClosed; await sleep(AGAIN_MS)) {
      const results = await this.#real.send(entry, mail);
      if (results.every(({ outcome }) => outcome === 'accepted')) return true;
      const isRefused = results.some(({ outcome }) => outcome === 'refused');
      if (isRefused || performance.now() > endMs) {
        throw new Error(JSON.stringify(results.map(({ reply }) => reply)));
      }
    }
    return false;
  }

  #look(): void {
    for (const { recipients, data } of this.#real.arrived()) {
      const arrival = { atMs: performance.now(), hash: hashOf(data) };
      for (const recipient of recipients) this.#mails.get(recipient)?.arrivals.push(arrival);
    }
  }
}

/** By its number alone, and no two alike. */
function mailBytes(number: number): Uint8Array {
  const bytes = number % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_BYTES : SMALL_BYTES;
  const length = 1 + ((number * 7919) % bytes);
  const lines = Array.from(
    { length: Math.ceil(length / 90) },
    (_, i) => `${createHash('sha512').update(`${number} ${i}`).digest('base64')}\r\n`,
  );
  return fromUtf8(`Subject: number ${number}\r\n\r\n${lines.join('')}`);
}

function hashOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
