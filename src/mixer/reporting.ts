/**
 * All that a gateway does to tell senders what became of their mail, put together: what it keeps as an
 * entry (`notices.ts`), what fails at it as an exit (`failures.ts`) or comes back later (`bounces.ts`), and
 * the reports on their way.
 */
import type { BouncedRecipient } from '../mail/bounce.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Deliver, MixedMail } from '../mail/envelope.ts';
import type { Store } from '../redis/embedded.ts';
import { writeMailCounts } from '../redis/mail-report.ts';
import type { MailStore } from '../redis/mail-store.ts';
import { NoticeStore } from '../redis/notice-store.ts';
import type { Records } from '../redis/records.ts';
import { ReportStore } from '../redis/report-store.ts';
import { ReturnStore } from '../redis/return-store.ts';
import { Bounces, type BounceVerdict } from './bounces.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import { ExitReports } from './exit-reports.ts';
import { Failures } from './failures.ts';
import { Notices } from './notices.ts';
import type { Outbound } from './outbound.ts';
import { Reporter } from './reporter.ts';

/** How senders are told. */
export interface ReportingSettings {
  /** A sender hears after so long that a mail is late, ms; 0: never. Default 4 hours. */
  readonly delayWarningMs?: number;
  /** Whether bounces come back to us, because MAIL FROM is a return address. Default true. */
  readonly hasReturns?: boolean;
  /** The operator's word in reports of this exit: whom to write to. */
  readonly contact?: string;
}

/** What it stands on. */
export interface ReportingHost {
  readonly options: {
    readonly identity: Pick<Identity, 'peerId'>;
    readonly primitives: Primitives;
    readonly store: Store;
    readonly log: Log;
    readonly directory: DirectorySource;
    /** The gateway's own, 32 bytes. */
    readonly storageKey: Uint8Array;
  };
  readonly records: Records;
  readonly counters: Counters;
  readonly now: () => number;
}

const DELAY_WARNING_MS = 4 * 3_600_000;
/** Mails under way are looked through so often; more often where a warning is due sooner. */
const LOOK_MS_MAX = 30_000;
const LOOK_MS_MIN = 1_000;
/** Coarse on purpose, as in the log: a fine count is a record of when who was told what. */
const COUNTS_MS = 600_000;
/** What `status` shows of all that is counted: what was told, or could not be. */
const SHOWN =
  /^(?:report|bounce|return|returns|mail-late|mail-lost|delivery-late|(?:delay|success)-reported)\b/;

export class Reporting {
  readonly failures: Failures;
  readonly bounces: Bounces;
  /** A sender hears after so long that a mail is late, ms; 0: never. */
  readonly delayWarningMs: number;
  readonly notices: Notices;
  readonly #reporter: Reporter;
  readonly #host: ReportingHost;
  readonly #lookMs: number;
  #timer: NodeJS.Timeout | null = null;
  #countsTimer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;

  constructor(
    host: ReportingHost,
    settings: ReportingSettings,
    parts: {
      readonly mails: MailStore;
      readonly outbound: Pick<Outbound, 'fragmentIds'>;
      readonly deliver: Deliver;
      readonly accept: (mail: MixedMail) => Promise<'stored' | 'repeat'>;
    },
  ) {
    const { options, records, counters, now } = host;
    const { store, primitives, storageKey, identity, directory, log } = options;
    const { mails, outbound, deliver, accept } = parts;
    const { delayWarningMs = DELAY_WARNING_MS, hasReturns = true, contact } = settings;
    const keys = { primitives, storageKey };
    const said = { counters, log, now };
    const reports = new ReportStore(store, keys);
    const me = identity.peerId;
    this.#reporter = new Reporter({
      ...said,
      reports,
      primitives,
      me,
      directory,
      deliver,
      accept,
    });
    const exitReports = new ExitReports({
      ...said,
      reporter: this.#reporter,
      primitives,
      me,
      directory,
      ...(contact === undefined ? {} : { contact }),
    });
    this.failures = new Failures({
      ...said,
      store: reports,
      reports: exitReports,
      wasAccepted: async (messageId) => await mails.wasAccepted(messageId),
      primitives,
      directory,
    });
    this.bounces = new Bounces({
      ...said,
      returns: new ReturnStore(store, keys),
      reports: exitReports,
      hasReturns,
      pressure: () => store.pressure(),
    });
    this.delayWarningMs = delayWarningMs;
    this.notices = new Notices({
      ...said,
      notices: new NoticeStore(store, keys),
      mails,
      records,
      outbound,
      reporter: this.#reporter,
      directory,
      primitives,
      delayWarningMs,
    });
    this.#host = host;
    const soonMs = delayWarningMs === 0 ? LOOK_MS_MAX : delayWarningMs / 4;
    this.#lookMs = Math.max(LOOK_MS_MIN, Math.min(LOOK_MS_MAX, soonMs));
  }

  start(): void {
    this.#reporter.start();
    this.#timer = setInterval(() => this.#look(), this.#lookMs).unref();
    this.#look();
    this.#countsTimer = setInterval(() => void this.#sayCounts(), COUNTS_MS).unref();
    void this.#sayCounts();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#countsTimer !== null) clearInterval(this.#countsTimer);
    await this.#running;
    await this.#reporter.stop();
    await this.#sayCounts();
  }

  /** A bounce has come to the return address of a mail; counted by what became of it. */
  async bounced(
    messageId: string,
    recipients: readonly BouncedRecipient[],
  ): Promise<BounceVerdict> {
    const verdict = await this.bounces.bounced(messageId, recipients);
    this.#host.counters.count(verdict);
    return verdict;
  }

  /** Where Redis is away, the next time. */
  async #sayCounts(): Promise<void> {
    const { counters, options } = this.#host;
    const shown = Object.entries(counters.all()).filter(([name]) => SHOWN.test(name));
    await writeMailCounts(options.store, Object.fromEntries(shown)).catch(() => undefined);
  }

  #look(): void {
    if (this.#running !== null) return;
    this.#running = this.notices
      .look()
      .catch((thrown: unknown) => {
        const { code } = asPanoramixError(thrown);
        const fields = { event: 'notices-unread', reason: code };
        this.#host.options.log.warn(fields, 'Mails under way could not be looked through');
      })
      .finally(() => (this.#running = null));
  }
}
