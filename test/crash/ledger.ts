/**
 * What the submission servers have accepted, held against what lies in the far mailboxes: lost, altered, twice,
 * late. A copy too many is laid at the door of a kill, or of nobody.
 */
import { hashOf, isReported, type CrashMail, type Direction, type MailKind } from './mails.ts';
import type { Copy } from './mailboxes.ts';

/** A kill -9 that was carried out. */
export interface Kill {
  readonly atMs: number;
  /** Of the program whose process died, such as `beta` or `beta.postfix`. */
  readonly victim: string;
}

/** Whose death made a second copy; null where no kill explains it. */
export type TwiceCause =
  /** The exit died between its Postfix's 250 and its own record of it. */
  | 'exit died'
  /** The far Postfix had the mail and died before it said 250: it must be given again. */
  | 'postfix died unheard'
  /** The far Postfix put one mail of its queue into the mailbox twice. */
  | 'postfix delivered twice'
  | null;

/** A copy beyond the first of a mail. */
export interface Twice {
  readonly number: number;
  readonly cause: TwiceCause;
  readonly copies: readonly Copy[];
}

/** What came of a run; times in ms. */
export interface Verdict {
  readonly offered: number;
  readonly accepted: number;
  /** Nobody knows whether they were accepted: the connection broke after their last line. */
  readonly unknown: number;
  /** Of those, how many arrived. */
  readonly unknownArrived: number;
  readonly refusals: number;
  readonly arrived: number;
  readonly lost: readonly number[];
  readonly altered: readonly { readonly number: number; readonly path: string }[];
  readonly twice: readonly Twice[];
  /** Mails in the mailboxes that nobody waits for: of no or another run, a report about a mail that arrived. */
  readonly strangers: readonly string[];
  readonly lateMs: { readonly p50: number; readonly p95: number; readonly max: number };
}

interface Entry {
  readonly way: Way;
  /** What must arrive; null for a report, of which only that there is one is known. */
  readonly hash: string | null;
  state: 'offered' | 'accepted' | 'unknown';
  acceptedAtMs: number;
  readonly copies: Copy[];
}

/** Who may have made a second copy of a mail. */
interface Way {
  /** Gateways that hand it to a Postfix at its end. */
  readonly givers: readonly string[];
  /** These servers, whose names are theirs and `.postfix`. */
  readonly takers: readonly string[];
  /** How long before the last server took it the death may have been. */
  readonly beforeMs: number;
}

/** A Received line has whole seconds, and a busy Postfix writes a mailbox later than it takes a mail. */
const BEFORE_MS = 2_000;
/** Where another server stood in between, which tries again after up to 10 s. */
const BEFORE_FURTHER_MS = 20_000;
/** From a 250 to its record: milliseconds, and seconds on a machine that is busy or a step that is held. */
const AFTER_MS = 10_000;

/** Of one run. */
export class Ledger {
  readonly #entries = new Map<number, Entry>();
  readonly #strangers: string[] = [];
  readonly #now: () => number;
  #refusals = 0;
  #lastRefusal = '';
  #arrivedOfTaken = 0;
  #taken = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Before a mail is handed in: it may arrive before its 250 does. */
  offer({ number, kind, direction, expected }: CrashMail): void {
    const hash = isReported(kind) ? null : hashOf(expected);
    const way = wayOf(kind, direction);
    this.#entries.set(number, { way, hash, state: 'offered', acceptedAtMs: 0, copies: [] });
  }

  accept(number: number): void {
    this.#take(number, 'accepted');
  }

  leaveUnknown(number: number): void {
    this.#take(number, 'unknown');
  }

  refuse(_number: number, why: string): void {
    this.#refusals++;
    this.#lastRefusal = why;
  }

  /** Notes a mail that was found in a mailbox. */
  arrive(copy: Copy): void {
    const entry = copy.number === null ? undefined : this.#entries.get(copy.number);
    // A report about a mail that must arrive is none that we wait for, nor is a mail that must fail.
    if (entry === undefined || copy.isReport !== (entry.hash === null)) {
      this.#strangers.push(copy.path);
      return;
    }
    entry.copies.push(copy);
    if (entry.copies.length === 1 && entry.state === 'accepted') this.#arrivedOfTaken++;
  }

  /** Accepted for sure. */
  get taken(): number {
    return this.#taken;
  }

  /** Accepted for sure, and not yet arrived. */
  get underWay(): number {
    return this.#taken - this.#arrivedOfTaken;
  }

  /** Why a submission server refused last, for who wonders that nothing goes on. */
  get lastRefusal(): string {
    return this.#lastRefusal;
  }

  /** @param kills all that were carried out, in any order */
  verdict(kills: readonly Kill[]): Verdict {
    const all = [...this.#entries].map(([number, entry]) => ({ number, ...entry }));
    const accepted = all.filter(({ state }) => state === 'accepted');
    const unknown = all.filter(({ state }) => state === 'unknown');
    const lateMs = accepted
      .flatMap(({ copies, acceptedAtMs }) => firstOf(copies).map((at) => at - acceptedAtMs))
      .toSorted((a, b) => a - b);
    return {
      offered: all.length,
      accepted: accepted.length,
      unknown: unknown.length,
      unknownArrived: unknown.filter(({ copies }) => copies.length > 0).length,
      refusals: this.#refusals,
      arrived: accepted.filter(({ copies }) => copies.length > 0).length,
      lost: accepted.flatMap(({ number, copies }) => (copies.length === 0 ? [number] : [])),
      altered: all.flatMap(({ number, hash, copies }) =>
        copies.flatMap((copy) =>
          hash === null || copy.hash === hash ? [] : [{ number, path: copy.path }],
        ),
      ),
      twice: all.flatMap(({ number, copies, way }) =>
        extraCopies(copies).map((pair) => {
          return { number, cause: causeOf(pair, way, kills), copies: pair };
        }),
      ),
      strangers: this.#strangers,
      lateMs: {
        p50: quantile(lateMs, 0.5),
        p95: quantile(lateMs, 0.95),
        max: lateMs.at(-1) ?? 0,
      },
    };
  }

  #take(number: number, state: 'accepted' | 'unknown'): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) throw new Error(`mail ${number} was never offered`);
    entry.state = state;
    entry.acceptedAtMs = this.#now();
    if (state === 'unknown') return;
    this.#taken++;
    if (entry.copies.length > 0) this.#arrivedOfTaken++;
  }
}

/** Each copy but the first, with the one before it. */
function extraCopies(copies: readonly Copy[]): Copy[][] {
  const inOrder = copies.toSorted((a, b) => a.atMs - b.atMs);
  return inOrder.slice(1).map((copy, i) => [inOrder[i] as Copy, copy]);
}

function wayOf(kind: MailKind, { entry, exit }: Direction): Way {
  // The far server tells of its bounce, too, and the near one hands on what passes.
  if (kind === 'bouncing' || kind === 'passing') {
    const both = [entry, exit];
    return { givers: both, takers: both, beforeMs: BEFORE_FURTHER_MS };
  }
  // A report is handed over by the sender's own gateway.
  const last = [kind === 'failing' ? entry : exit];
  return { givers: last, takers: last, beforeMs: BEFORE_MS };
}

function causeOf(pair: readonly Copy[], way: Way, kills: readonly Kill[]): TwiceCause {
  const [first, second] = pair as readonly [Copy, Copy];
  const takers = way.takers.map((name) => `${name}.postfix`);
  const died = (names: readonly string[], untilMs: number): Kill | undefined =>
    nearest(kills, names, first.takenAtMs, { beforeMs: way.beforeMs, untilMs });
  if (first.queueId === second.queueId) {
    return died(takers, second.atMs) === undefined ? null : 'postfix delivered twice';
  }
  const death = died([...way.givers, ...takers], first.takenAtMs + AFTER_MS);
  if (death === undefined) return null;
  // Where Postfix died, its queue file was whole, so the mail comes out of it after the next start.
  return takers.includes(death.victim) ? 'postfix died unheard' : 'exit died';
}

/** The kill of one of these that was nearest to a time, from `beforeMs` before it until `untilMs`. */
function nearest(
  kills: readonly Kill[],
  names: readonly string[],
  toMs: number,
  { beforeMs, untilMs }: { beforeMs: number; untilMs: number },
): Kill | undefined {
  return kills
    .filter(
      ({ victim, atMs }) => names.includes(victim) && atMs >= toMs - beforeMs && atMs <= untilMs,
    )
    .toSorted((a, b) => Math.abs(a.atMs - toMs) - Math.abs(b.atMs - toMs))[0];
}

function firstOf(copies: readonly Copy[]): number[] {
  return copies.length === 0 ? [] : [Math.min(...copies.map(({ atMs }) => atMs))];
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
