/**
 * Hands mails in at the submission ports at a given rate until it is stopped. It waits while too many are under
 * way: what is then late is late because of the kills, not of a queue that only grows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from './ledger.ts';
import { DIRECTIONS, mailOf, type CrashMail, type MailKind } from './mails.ts';
import { Submission } from './submission.ts';

export interface LoadOptions {
  readonly run: string;
  readonly ledger: Ledger;
  /** Of submission, by the name of the entry. */
  readonly ports: ReadonlyMap<string, number>;
  readonly mailsPerSecond: number;
  /** Accepted and not arrived, at most. */
  readonly underWayMax: number;
}

const SESSIONS_PER_DIRECTION = 2;
/** Between two tries of a mail that was refused, such as by a Postfix that is away. */
const AGAIN_MS = 300;

/** How often each kind comes by itself: odd, for numbers go in both directions by turns. */
const EVERY: readonly (readonly [MailKind, number])[] = [
  ['large', 201],
  ['bouncing', 101],
  ['passing', 71],
  ['failing', 51],
  ['middle', 21],
];

/** Mails on their way in. */
export class Load {
  readonly #options: LoadOptions;
  /** Next number, by direction. */
  readonly #next = new Map(DIRECTIONS.map(({ entry }, i) => [entry, i]));
  #isStopped = false;
  #dueMs = 0;
  #wanted: MailKind[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Settles after `stop`, once what was begun has found its end. */
  async run(): Promise<void> {
    this.#dueMs = Date.now();
    await Promise.all(
      DIRECTIONS.flatMap(({ entry }) =>
        Array.from({ length: SESSIONS_PER_DIRECTION }, async () => await this.#session(entry)),
      ),
    );
  }

  /** The next mail in each direction is of this kind. */
  want(kind: MailKind): void {
    this.#wanted = [kind, kind];
  }

  /** No further mail is begun. */
  stop(): void {
    this.#isStopped = true;
  }

  async #session(entry: string): Promise<void> {
    const submission = new Submission(this.#options.ports.get(entry) as number);
    try {
      while (await this.#mayBegin()) {
        const number = this.#next.get(entry) as number;
        this.#next.set(entry, number + DIRECTIONS.length);
        await this.#submit(submission, mailOf(this.#options.run, number, this.#kindOf(number)));
      }
    } finally {
      submission.close();
    }
  }

  #kindOf(number: number): MailKind {
    const wanted = this.#wanted.shift();
    if (wanted !== undefined) return wanted;
    return EVERY.find(([, every]) => number % every === every - 1)?.[0] ?? 'small';
  }

  /** Offers one mail until it is taken, or nobody knows whether it was. */
  async #submit(submission: Submission, mail: CrashMail): Promise<void> {
    const { ledger } = this.#options;
    const { number, direction, to, submitted } = mail;
    ledger.offer(mail);
    while (!this.#isStopped) {
      const outcome = await submission.send(direction.from, to, submitted);
      if (outcome.kind === 'accepted') return ledger.accept(number);
      if (outcome.kind === 'unknown') return ledger.leaveUnknown(number);
      ledger.refuse(number, outcome.why);
      await sleep(AGAIN_MS);
    }
  }

  /** Waits for its turn; false once it is stopped. */
  async #mayBegin(): Promise<boolean> {
    const { ledger, mailsPerSecond, underWayMax } = this.#options;
    for (;;) {
      if (this.#isStopped) return false;
      if (ledger.underWay < underWayMax && Date.now() >= this.#dueMs) break;
      await sleep(20);
    }
    // Time that was missed is not made up for: after a pause there is no burst.
    this.#dueMs = Math.max(this.#dueMs, Date.now() - 1_000) + 1_000 / mailsPerSecond;
    return true;
  }
}
