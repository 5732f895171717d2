/**
 * Reports to senders on their way: to an own user through the mail server beside us, on the door for mail
 * out of the mixnet; to another provider's through the mixnet, as a mail from the null sender. Kept
 * before what they are about is settled, tried until somebody has them.
 */
import { toHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Deliver, MixedMail } from '../mail/envelope.ts';
import type { Report } from '../mail/report.ts';
import { exitForDomain, nodeByPeer } from '../mixnet/directory.ts';
import { domainOf } from '../mixnet/envelope.ts';
import { DAY_MS } from '../redis/coarse-time.ts';
import { backoffMs } from '../redis/jobs.ts';
import type { ReportStore } from '../redis/report-store.ts';
import type { ScriptCall } from '../redis/script.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import { decodeHeaded, encodeHeaded } from './headed-bytes.ts';

/** How often it looks for reports whose time has come; a new one is looked at at once. */
const LOOK_MS = 5_000;
/** As long as a mail is tried: who has not been reached by then will not be. */
const TRIED_MS = 5 * DAY_MS;
/** A mail server that puts off so many users in one look is away. */
const DEFERRED_MAX = 3;
/** Longer than any pause that is drawn. */
const PAUSE_MS_MAX = 3_600_000;

export interface ReporterOptions {
  readonly reports: ReportStore;
  readonly primitives: Pick<Primitives, 'sha256'>;
  /** Own peer id. */
  readonly me: string;
  readonly directory: Pick<DirectorySource, 'current' | 'last'>;
  /** Gives a mail to the mail server beside us, for own users. */
  readonly deliver: Deliver;
  /** Takes a mail into the mixnet; the same id again is harmless. */
  readonly accept: (mail: MixedMail) => Promise<'stored' | 'repeat'>;
  readonly counters: Counters;
  readonly log: Log;
  readonly now: () => number;
}

/** A report as it is kept, before its bytes. */
interface Head {
  readonly id: string;
  /** To whom: MAIL FROM of the mail that it is about. */
  readonly to: string;
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  readonly madeMs: number;
}

/** `wait`: try again. The others are ends, and counted by their names. */
type End = 'report-delivered' | 'report-mixed' | 'report-refused' | 'report-expired' | 'wait';

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #again = new Map<string, { readonly failures: number; readonly atMs: number }>();
  /** Users whose reports the mail server has put off in this look. */
  readonly #deferred = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #isStopped = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#kick(), LOOK_MS).unref();
    this.#kick();
  }

  /** Ends after the report that is at hand; the others are kept for the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /**
   * Keeps a report; on disk when it returns, and then tried until it ends. The same id again does nothing.
   * @param to whom it is for; never the null sender
   * @param claim see `ReportStore.keep`
   */
  async keep(
    id: string,
    to: string,
    report: Report,
    claim?: ScriptCall,
  ): Promise<'kept' | 'repeat' | 'told'> {
    if (to === '') throw new RangeError('nobody is told of what the null sender sent');
    const { reports, counters, now } = this.#options;
    const { body, smtputf8, data } = report;
    const head: Head = { id, to, body, smtputf8, madeMs: now() };
    const kept = await reports.keep(id, encodeHeaded(head, data), claim);
    if (kept === 'told') return kept;
    counters.count(kept === 'kept' ? 'report-kept' : 'report-repeated');
    if (this.#timer !== null) this.#kick();
    return kept;
  }

  /** Tries every report whose time has come, once. */
  async look(): Promise<void> {
    const { reports, now } = this.#options;
    const waiting = new Set(await reports.waiting());
    for (const name of this.#again.keys()) if (!waiting.has(name)) this.#again.delete(name);
    this.#deferred.clear();
    // Who waits longest comes first: the order of the store is always the same.
    const due = [...waiting]
      .map((name) => ({ name, atMs: this.#againAtMs(name) }))
      .filter(({ atMs }) => atMs <= now())
      .toSorted((left, right) => left.atMs - right.atMs);
    for (const { name } of due) {
      if (this.#isStopped) return;
      await this.#tryOrPutOff(name);
    }
  }

  #kick(): void {
    if (this.#running !== null || this.#isStopped) return;
    this.#running = this.look()
      .catch((thrown: unknown) => {
        const { code } = asPanoramixError(thrown);
        const fields = { event: 'reports-waiting', reason: code };
        this.#options.log.warn(fields, 'Reports to senders wait');
      })
      .finally(() => (this.#running = null));
  }

  /** A clock that was set back must not keep a report for longer than any pause is. */
  #againAtMs(name: string): number {
    const atMs = this.#again.get(name)?.atMs ?? 0;
    return atMs > this.#options.now() + PAUSE_MS_MAX ? 0 : atMs;
  }

  /** A report that cannot be sent for a fault of ours holds up no other. */
  async #tryOrPutOff(name: string): Promise<void> {
    try {
      await this.#try(name);
    } catch (thrown) {
      const { code } = asPanoramixError(thrown);
      if (code === 'redis-unavailable') throw thrown;
      this.#putOff(name);
      this.#options.log.error({ event: 'report-waits', reason: code }, 'A report cannot be sent');
    }
  }

  #putOff(name: string): void {
    const failures = (this.#again.get(name)?.failures ?? 0) + 1;
    const atMs = this.#options.now() + backoffMs('delivery', failures);
    this.#again.set(name, { failures, atMs });
  }

  async #try(name: string): Promise<void> {
    const { reports, counters, log } = this.#options;
    const piece = await reports.load(name);
    if (piece === null) return;
    const decoded = decodeHeaded(piece);
    const head = decoded.head as Head;
    const end = await this.#send(head, decoded.bytes);
    if (end === 'wait') {
      this.#putOff(name);
      return;
    }
    await reports.settle(head.id);
    this.#again.delete(name);
    counters.count(end);
    const fields = { event: end, reportId: head.id };
    if (end === 'report-delivered' || end === 'report-mixed') {
      log.info(fields, 'A sender is told what became of a mail');
    } else log.warn(fields, 'A sender could not be told what became of a mail');
  }

  async #send(head: Head, data: Uint8Array): Promise<End> {
    const { directory, me, now } = this.#options;
    const domain = domainOf(head.to);
    const last = directory.last();
    if (domain === null) return 'report-expired';
    // In this order: by a clock that is wrong by days, no directory would hold.
    const isOld = now() > head.madeMs + TRIED_MS;
    const held = directory.current();
    if (isOld && held.ok) return 'report-expired';
    if (last !== null && nodeByPeer(last, me)?.domains.includes(domain) === true) {
      return await this.#deliver(head, data);
    }
    const exit = held.ok ? exitForDomain(held.directory, domain) : null;
    // Nowhere else: outside the mixnet the report itself would tell who wrote to whom.
    if (exit === null || exit.peerId === me) return 'wait';
    return await this.#mix(head, data, exit.peerId);
  }

  async #deliver(head: Head, data: Uint8Array): Promise<End> {
    // Where his mailbox alone takes nothing, others do not wait for it.
    const user = head.to.toLowerCase();
    if (this.#deferred.has(user) || this.#deferred.size >= DEFERRED_MAX) return 'wait';
    const { accepted, refused } = await this.#options.deliver({
      messageId: head.id,
      isOwnReport: true,
      from: '',
      recipients: [{ address: head.to, notify: 'NEVER' }],
      body: head.body,
      smtputf8: head.smtputf8,
      data,
      sha256: this.#sha256(data),
    });
    if (accepted.length > 0) return 'report-delivered';
    if (refused.some(({ permanent }) => permanent)) return 'report-refused';
    this.#deferred.add(user);
    return 'wait';
  }

  async #mix(head: Head, data: Uint8Array, exit: string): Promise<End> {
    try {
      await this.#options.accept({
        messageId: head.id,
        exit,
        from: '',
        recipients: [{ address: head.to, notify: 'NEVER' }],
        body: head.body,
        smtputf8: head.smtputf8,
        data,
        sha256: this.#sha256(data),
      });
      return 'report-mixed';
    } catch (thrown) {
      return asPanoramixError(thrown).temporary ? 'wait' : 'report-refused';
    }
  }

  #sha256(data: Uint8Array): string {
    return toHex(this.#options.primitives.sha256(data));
  }
}
