/**
 * Reports that an exit writes about mails that came to it: in whose name, under which id. Sent by `reporter.ts`.
 */
import type { Primitives } from '../crypto/primitives.ts';
import type { Log } from '../log.ts';
import { reportIdOf, type ReportEvent } from '../mail/report-id.ts';
import { writeReport, type ReportAction, type ReportRecipient } from '../mail/report.ts';
import { nodeByPeer } from '../mixnet/directory.ts';
import { domainOf, type Recipient } from '../mixnet/envelope.ts';
import type { ScriptCall } from '../redis/script.ts';
import type { DirectorySource } from './directory-source.ts';
import type { Reporter } from './reporter.ts';

export interface ExitReportsOptions {
  readonly reporter: Pick<Reporter, 'keep'>;
  readonly primitives: Primitives;
  /** Own peer id. */
  readonly me: string;
  readonly directory: Pick<DirectorySource, 'last'>;
  /** The operator's word to senders who complain. */
  readonly contact?: string;
  readonly log: Log;
  readonly now: () => number;
}

/** The mail that a report is about. */
export interface ArrivedAbout {
  readonly messageId: string;
  /** To whom the report goes; never the null sender. */
  readonly from: string;
  readonly recipients: readonly Recipient[];
  readonly ret?: 'FULL' | 'HDRS';
  /** The mail, its header, or nothing. */
  readonly returned: Uint8Array;
  readonly isWhole: boolean;
}

/** What is told. */
export interface Event {
  readonly event: ReportEvent;
  readonly action: ReportAction;
  readonly recipients: readonly ReportRecipient[];
  /** Their places in the envelope, where a mail may have several reports of an event. */
  readonly places?: readonly number[];
  /** Until when it is tried, Unix ms; null where that is unknown, or it is not. */
  readonly untilMs: number | null;
  /** Noted as told in the same write (`ReturnStore.claimCall`). */
  readonly claim?: ScriptCall;
}

export class ExitReports {
  readonly #options: ExitReportsOptions;

  constructor(options: ExitReportsOptions) {
    this.#options = options;
  }

  /** Writes and keeps a report; on disk when it returns. */
  async keep(mail: ArrivedAbout, told: Event): Promise<'kept' | 'repeat' | 'told'> {
    const { primitives, reporter, contact, log, now } = this.#options;
    const { messageId, from, ret, returned, isWhole } = mail;
    const { event, action, recipients, places, untilMs, claim } = told;
    const id = reportIdOf(primitives, event, messageId, places);
    const report = writeReport(
      { sender: from, ...(ret === undefined ? {} : { ret }), data: returned, isWhole },
      recipients,
      {
        action,
        domain: this.#nameFor([...recipients, ...mail.recipients]),
        arrivedMs: null,
        untilMs,
        nowMs: now(),
        id,
        proof: messageId,
        ...(contact === undefined ? {} : { contact }),
      },
    );
    const kept = await reporter.keep(id, from, report, claim);
    if (kept === 'told') return kept;
    const fields = { event: `report-${kept}`, action, messageId, reportId: id };
    log.info(fields, 'What became of a mail is reported to its sender');
    return kept;
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
}
