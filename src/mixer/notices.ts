/**
 * Mails that this gateway has taken in, until their exits have acked all of them: their senders hear once
 * that a mail is late, and once that it is lost. Looked through from time to time; what an exit has acked
 * is what has left no fragment here.
 */
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { reportIdOf } from '../mail/report-id.ts';
import { returnable, wantsReport, writeReport } from '../mail/report.ts';
import { domainOf, verifyEnvelope, type Envelope } from '../mixnet/envelope.ts';
import type { MailStore } from '../redis/mail-store.ts';
import type { NoticeStore } from '../redis/notice-store.ts';
import type { Records } from '../redis/records.ts';
import type { ScriptCall } from '../redis/script.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import { decodeHeaded, encodeHeaded } from './headed-bytes.ts';
import type { Outbound } from './outbound.ts';
import type { Reporter } from './reporter.ts';

/**
 * After its expiry a mail may wait so long for the tick that finds its fragments expired, or for an ack
 * that is under way; with no ticks at all, for want of a directory, this is what ends it.
 */
const GRACE_MS_MAX = 60_000;
/** Of a mail that lives shorter than days: this share of its life. */
const GRACE_SHARE = 0.05;
/**
 * A clock that jumps ahead by days makes all mail look late, and the directory expired with it. Senders are
 * told so long after one last held, by a clock that nobody sets: mail that arrives after all is not lost.
 */
const UNTIMED_MS = 3_600_000;
/** Fragments looked for at once. */
const GROUP = 256;
/** RFC 3463 §3.5, X.4.7: delivery time expired. */
const STATUS = { delayed: '4.4.7', failed: '5.4.7' } as const;

export interface NoticesOptions {
  readonly notices: NoticeStore;
  readonly mails: Pick<MailStore, 'has'>;
  readonly records: Pick<Records, 'hasAny'>;
  readonly outbound: Pick<Outbound, 'fragmentIds'>;
  readonly reporter: Pick<Reporter, 'keep'>;
  readonly directory: Pick<DirectorySource, 'current'>;
  readonly primitives: Primitives;
  /** A sender is told after so long that a mail is late; 0: never. */
  readonly delayWarningMs: number;
  readonly counters: Counters;
  readonly log: Log;
  readonly now: () => number;
  /** Ms, of any origin, never set; default `performance.now`. */
  readonly steadyMs?: () => number;
}

/** What is kept of a mail before its signed envelope. */
interface Head {
  readonly acceptedMs: number;
  /** How many fragments the mail has. */
  readonly fragments: number;
}

/** What each look needs of a mail; the rest is read when there is something to tell. */
interface Watched extends Head {
  readonly messageId: string;
  readonly exit: string;
  readonly expiryMs: number;
  isWarned: boolean;
}

export class Notices {
  readonly #options: NoticesOptions;
  readonly #watched = new Map<string, Watched>();
  /** Since when no directory has held though the clock may be right, by the steady clock. */
  #untimedMs: number | null = null;

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  /** What is to be written with a mail when it is taken in. */
  writeCall(
    envelope: Envelope,
    signedEnvelope: Uint8Array,
    data: Uint8Array,
    fragments: number,
  ): ScriptCall {
    const { messageId, from, recipients, ret } = envelope;
    const isWanted = recipients.some(
      (each) => wantsReport(from, each, 'failed') || wantsReport(from, each, 'delayed'),
    );
    if (!isWanted) return this.#options.notices.writeCall(messageId, null);
    const head: Head = { acceptedMs: this.#options.now(), fragments };
    const about = encodeHeaded(head, signedEnvelope);
    const kept = returnable(ret, data);
    const returned = encodeHeaded({ isWhole: kept.isWhole }, kept.data);
    return this.#options.notices.writeCall(messageId, { about, returned });
  }

  /** A part of a mail is about to be given up; on disk when it returns. */
  async expired(messageId: string): Promise<void> {
    const { notices } = this.#options;
    await notices.mark(notices.nameOf(messageId), 'expired');
  }

  /** Looks at every mail once: forgets what its exit has, tells of what is late or lost. */
  async look(): Promise<void> {
    const names = new Set(await this.#options.notices.names());
    for (const name of this.#watched.keys()) if (!names.has(name)) this.#watched.delete(name);
    for (const name of names) {
      try {
        const mail = this.#watched.get(name) ?? (await this.#read(name));
        if (mail === null) continue;
        this.#watched.set(name, mail);
        await this.#lookAt(name, mail);
      } catch (thrown) {
        const { code } = asPanoramixError(thrown);
        if (code === 'redis-unavailable') throw thrown;
        // A fault of ours with one mail is not that of the others.
        this.#options.log.error({ event: 'notice-unread', reason: code }, 'A mail is not watched');
      }
    }
  }

  /** Whether what is late by this clock is late. */
  #isClockTrusted(): boolean {
    const { directory, steadyMs = () => performance.now() } = this.#options;
    const held = directory.current();
    if (held.ok || held.reason === 'clock-wrong') {
      this.#untimedMs = null;
      return held.ok;
    }
    this.#untimedMs ??= steadyMs();
    return steadyMs() - this.#untimedMs >= UNTIMED_MS;
  }

  async #lookAt(name: string, mail: Watched): Promise<void> {
    const { notices, delayWarningMs, now } = this.#options;
    // In this order: a mark is written before a fragment is given up, so that none left and no mark is acked.
    const isWaiting = await this.#isWaiting(mail);
    const nowMs = now();
    // After the time was read: a jump in between is not trusted, either.
    const isTrusted = this.#isClockTrusted();
    if (nowMs >= mail.expiryMs) {
      const stored = await notices.load(name);
      if (stored === null) return;
      const graceMs = Math.min(GRACE_MS_MAX, GRACE_SHARE * (mail.expiryMs - mail.acceptedMs));
      if (stored.marks.has('expired') || (isWaiting && nowMs >= mail.expiryMs + graceMs)) {
        if (!isTrusted) return;
        await this.#tell(name, 'failed', stored.about);
        await notices.remove(name);
      } else if (!isWaiting) await notices.remove(name);
      return;
    }
    if (!isWaiting) {
      await notices.remove(name);
      return;
    }
    if (!isTrusted || mail.isWarned || delayWarningMs === 0) return;
    if (nowMs < mail.acceptedMs + delayWarningMs) return;
    const stored = await notices.load(name);
    if (stored !== null) await this.#tell(name, 'delayed', stored.about);
    await notices.mark(name, 'warned');
    mail.isWarned = true;
  }

  /** Whether any of it is not yet with its exit. The mail first: it goes when all fragments are stored. */
  async #isWaiting({ messageId, exit, fragments }: Watched): Promise<boolean> {
    const { mails, records, outbound } = this.#options;
    if (await mails.has(messageId)) return true;
    const ids = outbound.fragmentIds(exit, messageId, fragments);
    // The last first: they are the last to leave.
    for (let end = ids.length; end > 0; end -= GROUP) {
      if (await records.hasAny(ids.slice(Math.max(0, end - GROUP), end))) return true;
    }
    return false;
  }

  async #tell(name: string, action: keyof typeof STATUS, about: Uint8Array): Promise<void> {
    const { notices, reporter, primitives, counters, log, now } = this.#options;
    const { head, envelope } = this.#open(about);
    const recipients = envelope.recipients.filter((each) =>
      wantsReport(envelope.from, each, action),
    );
    const event = action === 'failed' ? 'mail-lost' : 'mail-late';
    counters.count(event);
    log.warn(
      { event, messageId: envelope.messageId },
      'Not all of a mail is confirmed by its exit',
    );
    if (recipients.length === 0) return;
    const piece = await notices.returned(name);
    const returned = piece && decodeHeaded(piece);
    const id = reportIdOf(primitives, action, envelope.messageId);
    const report = writeReport(
      {
        sender: envelope.from,
        ...(envelope.ret === undefined ? {} : { ret: envelope.ret }),
        data: returned?.bytes ?? new Uint8Array(),
        isWhole: (returned?.head as { readonly isWhole: boolean } | undefined)?.isWhole ?? false,
      },
      recipients.map(({ address }) => ({ address, status: STATUS[action], reply: null })),
      {
        action,
        domain: domainOf(envelope.from) ?? 'localhost',
        arrivedMs: head.acceptedMs,
        untilMs: envelope.expiryMs,
        nowMs: now(),
        id,
      },
    );
    await reporter.keep(id, envelope.from, report);
  }

  async #read(name: string): Promise<Watched | null> {
    const stored = await this.#options.notices.load(name);
    if (stored === null) return null;
    const { head, envelope } = this.#open(stored.about);
    const { messageId, exit, expiryMs } = envelope;
    return { ...head, messageId, exit, expiryMs, isWarned: stored.marks.has('warned') };
  }

  #open(about: Uint8Array): { readonly head: Head; readonly envelope: Envelope } {
    const { head, bytes } = decodeHeaded(about);
    const verified = verifyEnvelope(this.#options.primitives, bytes);
    // Ours, and unsealed: only a bug makes it unreadable.
    if (!verified.ok) throw new PanoramixError('unexpected', `kept mail: ${verified.reason}`);
    return { head: head as Head, envelope: verified.envelope };
  }
}
