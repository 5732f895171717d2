/**
 * What an exit could not deliver, or not yet, told to the sender through the mixnet: recipients that the mail
 * server refused for good or has put off for hours, mails that came too late or changed. What comes back later
 * is for `bounces.ts`.
 */
import { toHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Log } from '../log.ts';
import { proofIn } from '../mail/report-proof.ts';
import { statusOf, wantsReport, type ReportAction, type ReportRecipient } from '../mail/report.ts';
import { speaksFor } from '../mixnet/assemble.ts';
import { nodeByPeer } from '../mixnet/directory.ts';
import type { Envelope } from '../mixnet/envelope.ts';
import type { ReportStore } from '../redis/report-store.ts';
import type { Counters } from './counters.ts';
import type { DirectorySource } from './directory-source.ts';
import type { ExitReports } from './exit-reports.ts';

/** Why a mail as a whole ends at its exit, and what its sender is told (RFC 3463); all else is nobody's. */
const STATUS: ReadonlyMap<string, string> = new Map([
  ['mail-expired', '5.4.7'],
  ['size-mismatch', '5.6.0'],
  ['hash-mismatch', '5.6.0'],
]);
/** RFC 3463 §3.5, X.4.1: no answer from host. */
const STATUS_AWAY = '4.4.1';

/** A recipient that this exit did not deliver to. */
export interface DeliveryFailure {
  readonly address: string;
  /** `refused`, with the mail server's reply; or why the whole mail ended. */
  readonly reason: string;
  readonly reply: string;
}

/** A recipient that the mail server has put off. */
export interface DeliveryDelay {
  readonly address: string;
  /** What it said last; empty where it was not reached. Only its code is told: it may name our own addresses. */
  readonly reply: string;
}

export interface FailuresOptions {
  readonly store: Pick<ReportStore, 'has' | 'settle'>;
  readonly reports: Pick<ExitReports, 'keep'>;
  /** Whether a mail of this id was taken in here, within 14 days. */
  readonly wasAccepted: (messageId: string) => Promise<boolean>;
  readonly primitives: Primitives;
  readonly directory: Pick<DirectorySource, 'last'>;
  readonly counters: Counters;
  readonly log: Log;
}

export class Failures {
  readonly #options: FailuresOptions;

  constructor(options: FailuresOptions) {
    this.#options = options;
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
    const recipients = failures.flatMap(({ address, reason, reply }): ReportRecipient[] => {
      if (reason === 'refused') return [{ address, status: statusOf(reply), reply }];
      const status = STATUS.get(reason);
      return status === undefined ? [] : [{ address, status, reply: null }];
    });
    await this.#tell('failed', envelope, data, recipients);
  }

  /**
   * Keeps the report that a mail is late; on disk when it returns. Once for a mail, whoever else says so: its
   * entry does not pass on what it has told itself.
   */
  async delayed(
    envelope: Envelope,
    data: Uint8Array,
    delays: readonly DeliveryDelay[],
  ): Promise<void> {
    const recipients = delays.map(({ address, reply }) => {
      return { address, status: statusOf(reply, STATUS_AWAY), reply: null };
    });
    await this.#tell('delayed', envelope, data, recipients);
  }

  async #tell(
    action: 'failed' | 'delayed',
    envelope: Envelope,
    data: Uint8Array | null,
    all: readonly ReportRecipient[],
  ): Promise<void> {
    const { primitives, reports, counters, log } = this.#options;
    const recipients = wantedOf(envelope, all, action);
    if (recipients.length === 0) return;
    if (!this.#isVouchedFor(envelope)) {
      counters.count('report-sender-unproved');
      const fields = { event: 'report-sender-unproved', messageId: envelope.messageId };
      log.warn(fields, 'A mail failed whose gateway does not speak for its sender: nobody is told');
      return;
    }
    const isIntact = data !== null && toHex(primitives.sha256(data)) === envelope.sha256;
    const returned = isIntact ? data : new Uint8Array();
    const untilMs = action === 'delayed' ? envelope.expiryMs : null;
    await reports.keep(
      { ...envelope, returned, isWhole: isIntact },
      { event: action, action, recipients, untilMs },
    );
  }

  /** Whether a mail is a report whose sender has been told the same already (`report-id.ts`). */
  async isTold({ from, messageId }: Envelope): Promise<boolean> {
    return from === '' && (await this.#options.store.has(messageId));
  }

  /** A report has arrived: its sender need not be told the same by us. */
  async told({ from, messageId }: Envelope): Promise<void> {
    if (from === '') await this.#options.store.settle(messageId);
  }

  /** Whether a mail tells a user of ours what became of a mail that was taken in here. */
  async isOwnReport({ from, recipients }: Envelope, data: Uint8Array): Promise<boolean> {
    if (from !== '' || recipients.length !== 1) return false;
    const about = proofIn(data);
    return about !== null && (await this.#options.wasAccepted(about));
  }

  /** An unproved sender may be anybody: telling him would be mail of somebody else's choice. */
  #isVouchedFor({ gateway, from }: Envelope): boolean {
    const directory = this.#options.directory.last();
    if (directory === null) return false;
    const node = nodeByPeer(directory, gateway);
    return node?.roles.includes('gateway') === true && speaksFor(directory, node.owner, from);
  }
}

function wantedOf(
  { from, recipients }: Envelope,
  all: readonly ReportRecipient[],
  action: ReportAction,
): readonly ReportRecipient[] {
  const wanted = new Map(recipients.map((each) => [each.address, each]));
  return all.filter(({ address }) => {
    const recipient = wanted.get(address);
    return recipient !== undefined && wantsReport(from, recipient, action);
  });
}
