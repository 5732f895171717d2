/**
 * What an exit could not deliver, told to the sender through the mixnet: recipients that the mail server
 * refused for good, mails that came too late or changed, and bounces that came back later to a return
 * address. A bounce is believed about nothing but which recipient of its mail failed, and how.
 */
import { toHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Log } from '../log.ts';
import type { BouncedRecipient } from '../mail/bounce.ts';
import { reportIdOf, type ReportEvent } from '../mail/report-id.ts';
import {
  returnable,
  statusOf,
  wantsReport,
  writeReport,
  type ReportRecipient,
} from '../mail/report.ts';
import { speaksFor } from '../mixnet/assemble.ts';
import { nodeByPeer } from '../mixnet/directory.ts';
import { domainOf, type Envelope, type Recipient } from '../mixnet/envelope.ts';
import type { Pressure } from '../redis/pressure.ts';
import type { ReportStore } from '../redis/report-store.ts';
import type { ReturnStore } from '../redis/return-store.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import { decodeHeaded, encodeHeaded } from './headed-bytes.ts';
import type { Reporter } from './reporter.ts';

/** Headers are remembered for 14 days, of each mail: usual ones have 1 to 3 kB, larger ones are left out. */
const REMEMBERED_HEADER_BYTES_MAX = 8_192;
/** Why a mail as a whole ends at its exit, and what its sender is told (RFC 3463); all else is nobody's. */
const STATUS: ReadonlyMap<string, string> = new Map([
  ['mail-expired', '5.4.7'],
  ['size-mismatch', '5.6.0'],
  ['hash-mismatch', '5.6.0'],
]);

/** A recipient that this exit did not deliver to. */
export interface DeliveryFailure {
  readonly address: string;
  /** `refused`, with the mail server's reply; or why the whole mail ended. */
  readonly reason: string;
  readonly reply: string;
}

/** What became of a bounce; everything but the first is dropped, under this name. */
export type BounceVerdict =
  | 'bounce-reported'
  | 'return-unknown'
  | 'bounce-not-failed'
  | 'bounce-foreign'
  | 'bounce-unwanted'
  | 'bounce-repeated';

export interface FailuresOptions {
  readonly returns: ReturnStore;
  readonly reports: Pick<ReportStore, 'has' | 'settle'>;
  readonly reporter: Pick<Reporter, 'keep'>;
  readonly primitives: Primitives;
  /** Own peer id. */
  readonly me: string;
  readonly directory: Pick<DirectorySource, 'last'>;
  /** Whether bounces come back to us: MAIL FROM is a return address. */
  readonly hasReturns: boolean;
  readonly pressure: () => Pressure;
  /** The operator's word to senders who complain. */
  readonly contact?: string;
  readonly counters: Counters;
  readonly log: Log;
  readonly now: () => number;
}

/** What is remembered of a mail that may bounce, before its header. */
interface Head {
  readonly from: string;
  readonly recipients: readonly Recipient[];
  readonly ret?: 'FULL' | 'HDRS';
}

export class Failures {
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /**
   * Remembers a mail that is about to be given to the mail server, whose bounce may come from then on; on
   * disk when it returns.
   */
  async remember(envelope: Envelope, data: Uint8Array): Promise<void> {
    const { returns, hasReturns, pressure } = this.#options;
    const { messageId, from, recipients, ret } = envelope;
    if (!hasReturns || !recipients.some((each) => wantsReport(from, each, 'failed'))) return;
    const header = returnable('HDRS', data).data;
    const isRoom = pressure() === 'open' && returns.isRoomy;
    const isKept = isRoom && header.length <= REMEMBERED_HEADER_BYTES_MAX;
    const head: Head = { from, recipients, ...(ret === undefined ? {} : { ret }) };
    await returns.remember(messageId, encodeHeaded(head, isKept ? header : new Uint8Array()));
  }

  /**
   * Keeps the report about recipients that failed; on disk when it returns, so settle them afterwards.
   * @param data as it arrived; null where it cannot be read
   */
  async failed(
    envelope: Envelope,
    data: Uint8Array | null,
    failures: readonly DeliveryFailure[],
  ): Promise<void> {
    const { primitives, counters, log } = this.#options;
    const wanted = new Map(envelope.recipients.map((each) => [each.address, each]));
    const recipients = failures.flatMap(({ address, reason, reply }): ReportRecipient[] => {
      const recipient = wanted.get(address);
      if (!recipient || !wantsReport(envelope.from, recipient, 'failed')) return [];
      if (reason === 'refused') return [{ address, status: statusOf(reply), reply }];
      const status = STATUS.get(reason);
      return status === undefined ? [] : [{ address, status, reply: null }];
    });
    if (recipients.length === 0) return;
    if (!this.#isVouchedFor(envelope)) {
      counters.count('report-sender-unproved');
      const fields = { event: 'report-sender-unproved', messageId: envelope.messageId };
      log.warn(fields, 'A mail failed whose gateway does not speak for its sender: nobody is told');
      return;
    }
    const isIntact = data !== null && toHex(primitives.sha256(data)) === envelope.sha256;
    const returned = isIntact ? data : new Uint8Array();
    await this.#report('failed', envelope.messageId, { ...envelope, returned }, recipients);
  }

  /** Whether a mail is a report whose sender has been told the same already (`report-id.ts`). */
  async isTold({ from, messageId }: Envelope): Promise<boolean> {
    return from === '' && (await this.#options.reports.has(messageId));
  }

  /** A report has arrived: its sender need not be told the same by us. */
  async told({ from, messageId }: Envelope): Promise<void> {
    if (from === '') await this.#options.reports.settle(messageId);
  }

  /**
   * A bounce has come to the return address of a mail. Each recipient is reported once.
   * @throws PanoramixError `redis-unavailable`: let it come again
   */
  async bounced(messageId: string, bounced: readonly BouncedRecipient[]): Promise<BounceVerdict> {
    const { returns } = this.#options;
    const memory = await returns.load(messageId);
    if (memory === null) return 'return-unknown';
    const decoded = decodeHeaded(memory.about);
    const head = decoded.head as Head;
    const failed = bounced.filter(({ action }) => action === 'failed');
    if (failed.length === 0) return 'bounce-not-failed';
    const found = failuresOf(head.recipients, failed);
    if (found.size === 0) return 'bounce-foreign';
    const wanted = [...found].filter(([place]) => {
      const recipient = head.recipients[place];
      return recipient !== undefined && wantsReport(head.from, recipient, 'failed');
    });
    if (wanted.length === 0) return 'bounce-unwanted';
    const fresh = wanted
      .filter(([place]) => !memory.told.has(place))
      .toSorted(([left], [right]) => left - right);
    if (fresh.length === 0) return 'bounce-repeated';
    const places = fresh.map(([place]) => place);
    const recipients = fresh.map(([, recipient]) => recipient);
    await this.#report(
      'bounced',
      messageId,
      { ...head, returned: decoded.bytes },
      recipients,
      places,
    );
    await returns.tell(messageId, places);
    return 'bounce-reported';
  }

  async #report(
    event: ReportEvent,
    messageId: string,
    mail: Head & { readonly returned: Uint8Array },
    recipients: readonly ReportRecipient[],
    places: readonly number[] = [],
  ): Promise<void> {
    const { primitives, reporter, contact, log, now } = this.#options;
    const { from, ret, returned } = mail;
    const id = reportIdOf(primitives, event, messageId, places);
    const report = writeReport(
      {
        sender: from,
        ...(ret === undefined ? {} : { ret }),
        data: returned,
        isWhole: event === 'failed' && returned.length > 0,
      },
      recipients,
      {
        action: 'failed',
        domain: this.#nameFor([...recipients, ...mail.recipients]),
        arrivedMs: null,
        untilMs: 0,
        nowMs: now(),
        id,
        ...(contact === undefined ? {} : { contact }),
      },
    );
    const kept = await reporter.keep(id, from, report);
    const fields = { event: `report-${kept}`, messageId, reportId: id };
    log.info(fields, 'A failure is reported to the sender');
  }

  /**
   * In whose name a report speaks: the first of the domains written to that the directory gives to this exit,
   * for a mail may have been for others as well, whose gateways alone speak for them.
   */
  #nameFor(recipients: readonly { readonly address: string }[]): string {
    const { directory, me } = this.#options;
    const last = directory.last();
    const own = (last && nodeByPeer(last, me)?.domains) ?? [];
    const written = recipients.map(({ address }) => domainOf(address));
    return (
      written.find((domain) => domain !== null && own.includes(domain)) ?? own[0] ?? 'localhost'
    );
  }

  /** An unproved sender may be anybody: telling him would be mail of somebody else's choice. */
  #isVouchedFor({ gateway, from }: Envelope): boolean {
    const directory = this.#options.directory.last();
    if (directory === null) return false;
    const node = nodeByPeer(directory, gateway);
    return node?.roles.includes('gateway') === true && speaksFor(directory, node.owner, from);
  }
}

/** The mail's own recipients that failed, by place. What an alias leads to is not the sender's business. */
function failuresOf(
  recipients: readonly Recipient[],
  failed: readonly BouncedRecipient[],
): ReadonlyMap<number, ReportRecipient> {
  const places = new Map(recipients.map(({ address }, place) => [address.toLowerCase(), place]));
  const found = new Map<number, ReportRecipient>();
  for (const { original, final, status, reply } of failed) {
    const only = recipients.length === 1 ? 0 : undefined;
    const place =
      places.get((original ?? '').toLowerCase()) ?? places.get(final.toLowerCase()) ?? only;
    const address = place === undefined ? undefined : recipients[place]?.address;
    if (place === undefined || address === undefined || found.has(place)) continue;
    const isHimself = final.toLowerCase() === address.toLowerCase();
    found.set(place, { address, status, reply: isHimself ? reply : null });
  }
  return found;
}
