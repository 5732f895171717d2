/**
 * All that a gateway does to tell senders what became of their mail, put together: what it keeps as an
 * entry (`notices.ts`), what fails at it as an exit (`failures.ts`), and the reports on their way.
 */
import type { BouncedRecipient } from '../mail/bounce.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Deliver, MixedMail } from '../mail/envelope.ts';
import type { Store } from '../redis/embedded.ts';
import type { MailStore } from '../redis/mail-store.ts';
import { NoticeStore } from '../redis/notice-store.ts';
import type { Records } from '../redis/records.ts';
import { ReportStore } from '../redis/report-store.ts';
import { ReturnStore } from '../redis/return-store.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import { Failures, type BounceVerdict } from './failures.ts';
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

export class Reporting {
  readonly failures: Failures;
  readonly notices: Notices;
  readonly #reporter: Reporter;
  readonly #host: ReportingHost;
  readonly #lookMs: number;
  #timer: NodeJS.Timeout | null = null;
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
    this.failures = new Failures({
      ...said,
      returns: new ReturnStore(store, keys),
      reports,
      reporter: this.#reporter,
      primitives,
      me,
      directory,
      hasReturns,
      pressure: () => store.pressure(),
      ...(contact === undefined ? {} : { contact }),
    });
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
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
    await this.#reporter.stop();
  }

  /** A bounce has come to the return address of a mail; counted by what became of it. */
  async bounced(
    messageId: string,
    recipients: readonly BouncedRecipient[],
  ): Promise<BounceVerdict> {
    const verdict = await this.failures.bounced(messageId, recipients);
    this.#host.counters.count(verdict);
    return verdict;
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
