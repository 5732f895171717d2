/**
 * Mail at a steady rate between the two gateways of a mixnet of real processes, in both directions, for as
 * long as a test wants: what was handed in, what arrived with which bytes, how long each took.
 */
import { randomBytes } from 'node:crypto';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import type { RealMixnet } from './real-mixnet.ts';

const OPT_IN = fromUtf8('X-PANORAMIX-Mixable: yes\r\n');
/** All of one fragment, so that the rate of mails is the rate of fragments. */
const LINES_MAX = 200;
const LINE_BYTES = 54;
const NOTE_MS = 250;
/** A gateway that is restarted answers 451 or nothing; Postfix would wait much longer. */
const SUBMIT_PATIENCE_MS = 180_000;

export interface MailFigures {
  readonly submitted: number;
  readonly delivered: number;
  /** Byte for byte. */
  readonly exact: number;
  readonly twice: number;
  /** Handed in and not yet there. */
  readonly missing: readonly string[];
  /** What a gateway answered that took no mail: none may. */
  readonly refused: readonly string[];
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly latestMs: number;
}

/** Hands in and notes from `start` to `stop`. */
export class SteadyMail {
  readonly #real: RealMixnet;
  readonly #perSecond: number;
  readonly #tally = new Tally();
  readonly #acceptedMs = new Map<string, number>();
  readonly #tookMs: number[] = [];
  readonly #refused: string[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #timers: NodeJS.Timeout[] = [];
  #number = 0;
  #startedMs = 0;

  constructor(real: RealMixnet, perSecond: number) {
    this.#real = real;
    this.#perSecond = perSecond;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#timers = [
      setInterval(() => this.#handIn(), 1000 / this.#perSecond),
      setInterval(() => this.#note(), NOTE_MS),
    ];
  }

  /** Hands in no more; waits until what is at hand was accepted and all has arrived, or patience ends. */
  async stop(patienceMs: number): Promise<void> {
    const [handing, noting] = this.#timers;
    clearInterval(handing);
    await Promise.all(this.#underWay);
    for (
      const endMs = performance.now() + patienceMs;
      !this.#tally.complete && performance.now() < endMs;
    ) {
      await new Promise((resolve) => setTimeout(resolve, NOTE_MS));
    }
    clearInterval(noting);
    this.#note();
  }

  /** Stops at once: for the end of a test that has failed. */
  abandon(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  figures(): MailFigures {
    const { sent, delivered, exact, twice, missing } = this.#tally;
    const took = this.#tookMs.toSorted((left, right) => left - right);
    const quantile = (share: number): number => took[Math.floor(share * (took.length - 1))] ?? 0;
    return {
      submitted: sent,
      delivered,
      exact,
      twice,
      missing,
      refused: this.#refused,
      medianMs: quantile(0.5),
      p95Ms: quantile(0.95),
      latestMs: quantile(1),
    };
  }

  /** As many as are due by now: a busy test process does not lower the rate. */
  #handIn(): void {
    const due = ((performance.now() - this.#startedMs) / 1000) * this.#perSecond;
    while (this.#number < due) {
      const number = this.#number++;
      const submitting = this.#submit(number).finally(() => this.#underWay.delete(submitting));
      this.#underWay.add(submitting);
    }
  }

  async #submit(number: number): Promise<void> {
    const [entry, exit] = number % 2 === 0 ? ['alpha', 'beta'] : ['beta', 'alpha'];
    const to = `bob+${number}@${exit}.example`;
    const data = mailBytes(number);
    this.#tally.expect(to, data);
    const from = `ada@${entry}.example`;
    const mail = {
      from,
      to: [to],
      data: Buffer.concat([OPT_IN, data]),
      queueId: `STEADY${number}`,
    };
    try {
      await this.#real.submit(entry, mail, SUBMIT_PATIENCE_MS);
      this.#acceptedMs.set(to, performance.now());
    } catch (error) {
      this.#refused.push(`${to}: ${String(error)}`);
    }
  }

  #note(): void {
    for (const arrival of this.#real.arrived()) {
      for (const { recipient } of this.#tally.note(arrival)) {
        const fromMs = this.#acceptedMs.get(recipient);
        // Delivered before the gateway's 250 was read, or a second time.
        this.#tookMs.push(fromMs === undefined ? 0 : performance.now() - fromMs);
        this.#acceptedMs.delete(recipient);
      }
    }
  }
}

function mailBytes(number: number): Uint8Array {
  const lines = Array.from({ length: 1 + ((37 * number) % LINES_MAX) }, () =>
    randomBytes(LINE_BYTES).toString('base64'),
  );
  return fromUtf8(`Subject: number ${number}\r\n\r\n${lines.join('\r\n')}\r\n`);
}
