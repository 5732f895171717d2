/**
 * What comes back later to the return address of a mail that an exit gave to its mail server: who did not get
 * it, or not yet, or did. It is believed about nothing but that, and each sender is told once for each recipient.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Log } from '../log.ts';
import type { BouncedRecipient } from '../mail/bounce.ts';
import type { ReportEvent } from '../mail/report-id.ts';
import {
  returnable,
  wantsReport,
  type ReportAction,
  type ReportRecipient,
} from '../mail/report.ts';
import type { Envelope, Recipient } from '../mixnet/envelope.ts';
import type { Pressure } from '../redis/pressure.ts';
import type { ReturnStore } from '../redis/return-store.ts';
import type { Counters } from './counters.ts';
import type { ArrivedAbout, Event, ExitReports } from './exit-reports.ts';
import { decodeHeaded, encodeHeaded } from './headed-bytes.ts';

/** Headers are remembered for 14 days, of each mail: usual ones have 1 to 3 kB, larger ones are left out. */
const REMEMBERED_HEADER_BYTES_MAX = 8_192;
/** Two that come at once for one mail: each time one of them goes on, so few are enough for all its recipients. */
const CLAIMS_MAX = 100;

/** What became of a bounce; all but the first three are dropped, under this name. */
export type BounceVerdict =
  | 'bounce-reported'
  | 'delay-reported'
  | 'success-reported'
  | 'return-unknown'
  | 'bounce-foreign'
  | 'bounce-unwanted'
  | 'bounce-repeated';

export interface BouncesOptions {
  readonly returns: ReturnStore;
  readonly reports: Pick<ExitReports, 'keep'>;
  /** Whether bounces come back to us: MAIL FROM is a return address. */
  readonly hasReturns: boolean;
  readonly pressure: () => Pressure;
  readonly counters: Counters;
  readonly log: Log;
}

/** What is remembered of a mail that may bounce, before its header. */
interface Head {
  readonly from: string;
  readonly recipients: readonly Recipient[];
  readonly ret?: 'FULL' | 'HDRS';
}

/** What a mail server may say. */
interface Kind {
  readonly action: ReportAction;
  readonly event: ReportEvent;
  readonly verdict: BounceVerdict;
  /** What a mark of it in the store begins with; none for failures, as in the first version. */
  readonly mark: '' | 'd' | 's';
  /** The class of its status codes (RFC 3463 §2), as the one that says no more. */
  readonly status: string;
}

const SUCCEEDED = {
  event: 'succeeded',
  verdict: 'success-reported',
  mark: 's',
  status: '2.0.0',
} as const;
const KINDS: readonly Kind[] = [
  { action: 'failed', event: 'bounced', verdict: 'bounce-reported', mark: '', status: '5.0.0' },
  { action: 'delayed', event: 'delayed', verdict: 'delay-reported', mark: 'd', status: '4.0.0' },
  { action: 'delivered', ...SUCCEEDED },
  { action: 'relayed', ...SUCCEEDED },
  { action: 'expanded', ...SUCCEEDED },
];

/** A recipient of a mail, and what a bounce says of him. */
interface Found {
  readonly place: number;
  readonly told: ReportRecipient;
}

export class Bounces {
  readonly #options: BouncesOptions;

  constructor(options: BouncesOptions) {
    this.#options = options;
  }

  /**
   * Remembers a mail that is about to be given to the mail server, whose bounce may come from then on; on
   * disk when it returns.
   */
  async remember(envelope: Envelope, data: Uint8Array): Promise<void> {
    const { returns, hasReturns, pressure, counters, log } = this.#options;
    const { messageId, from, ret } = envelope;
    const isWanted = envelope.recipients.some((each) =>
      KINDS.some(({ action }) => wantsReport(from, each, action)),
    );
    if (!hasReturns || !isWanted) return;
    const bytesMax = returns.memoryBytesMax;
    const recipients = firstOf(envelope.recipients, bytesMax);
    if (recipients.length < envelope.recipients.length) {
      counters.count('return-cut');
      const fields = { event: 'return-cut', messageId, remembered: recipients.length };
      log.warn(
        fields,
        'A mail has more recipients than are remembered: bounces of the rest are lost',
      );
    }
    const head: Head = { from, recipients, ...(ret === undefined ? {} : { ret }) };
    const header = returnable('HDRS', data).data;
    const isRoom = pressure() === 'open' && returns.isRoomy;
    const isKept = isRoom && header.length <= REMEMBERED_HEADER_BYTES_MAX;
    await returns.remember(messageId, encodeHeaded(head, isKept ? header : new Uint8Array()));
  }

  /**
   * A bounce has come to the return address of a mail. Each recipient is reported once, however many say the
   * same, at once or after a crash: what is told is noted in the write that keeps the report.
   * @throws PanoramixError `redis-unavailable`: let it come again
   */
  async bounced(messageId: string, bounced: readonly BouncedRecipient[]): Promise<BounceVerdict> {
    let verdict: BounceVerdict = 'return-unknown';
    for (const kind of KINDS) {
      const said = bounced.filter(({ action }) => action === kind.action);
      if (said.length === 0) continue;
      const next = await this.#tell(kind, messageId, said);
      // What is reported names the whole; else what was found last.
      if (!verdict.endsWith('-reported')) verdict = next;
    }
    return verdict;
  }

  async #tell(
    kind: Kind,
    messageId: string,
    said: readonly BouncedRecipient[],
  ): Promise<BounceVerdict> {
    const { returns } = this.#options;
    for (let time = 0; time < CLAIMS_MAX; time++) {
      const memory = await returns.load(messageId);
      if (memory === null) return 'return-unknown';
      const { head, bytes } = decodeHeaded(memory.about);
      const { from, recipients, ret } = head as Head;
      const found = matching(kind, recipients, said);
      if (found.length === 0) return 'bounce-foreign';
      const wanted = found.filter(({ place }) => {
        const recipient = recipients[place];
        return recipient !== undefined && wantsReport(from, recipient, kind.action);
      });
      if (wanted.length === 0) return 'bounce-unwanted';
      const fresh = wanted
        .filter(({ place }) => !memory.told.has(`${kind.mark}${place}`))
        .toSorted((left, right) => left.place - right.place);
      if (fresh.length === 0) return 'bounce-repeated';
      const about = { messageId, from, recipients, returned: bytes, isWhole: false };
      const mail = { ...about, ...(ret === undefined ? {} : { ret }) };
      const kept = await this.#keep(kind, mail, fresh);
      // Somebody has told of one of them meanwhile: of the others it is still to be told.
      if (kept === 'told') continue;
      return kept === 'kept' ? kind.verdict : 'bounce-repeated';
    }
    return 'bounce-repeated';
  }

  async #keep(
    { action, event, mark }: Kind,
    mail: ArrivedAbout,
    fresh: readonly Found[],
  ): Promise<'kept' | 'repeat' | 'told'> {
    const { returns, reports } = this.#options;
    const places = fresh.map(({ place }) => place);
    const marks = places.map((place) => `${mark}${place}`);
    const told: Event = {
      event,
      action,
      recipients: fresh.map((each) => each.told),
      // A mail is late once, whoever says so first: its entry, this exit, or the mail server.
      ...(event === 'delayed' ? {} : { places }),
      untilMs: null,
      claim: returns.claimCall(mail.messageId, marks),
    };
    return await reports.keep(mail, told);
  }
}

/** The mail's own recipients of which a bounce speaks. What an alias leads to is not the sender's business. */
function matching(
  kind: Kind,
  recipients: readonly Recipient[],
  said: readonly BouncedRecipient[],
): readonly Found[] {
  const places = new Map(recipients.map(({ address }, place) => [address.toLowerCase(), place]));
  const found = new Map<number, Found>();
  for (const { original, final, status, reply } of said) {
    const only = recipients.length === 1 ? 0 : undefined;
    const place =
      places.get((original ?? '').toLowerCase()) ?? places.get(final.toLowerCase()) ?? only;
    const address = place === undefined ? undefined : recipients[place]?.address;
    if (place === undefined || address === undefined || found.has(place)) continue;
    const isHimself = final.toLowerCase() === address.toLowerCase();
    const isQuoted = isHimself && kind.action === 'failed';
    const told = { address, status: statusIn(kind, status), reply: isQuoted ? reply : null };
    found.set(place, { place, told });
  }
  return [...found.values()];
}

/** A failure may have been a delay for too long, and keeps that code; all else is of its class. */
function statusIn({ action, status: none }: Kind, status: string): string {
  const isFit =
    action === 'failed' ? !status.startsWith('2.') : status.startsWith(none.slice(0, 2));
  return isFit ? status : none;
}

/** As many recipients, from the first, as go beside a header into what one mail may take. */
function firstOf(recipients: readonly Recipient[], bytesMax: number): readonly Recipient[] {
  let bytes = 0;
  const end = recipients.findIndex((recipient) => {
    bytes += fromUtf8(JSON.stringify(recipient)).length + 1;
    return bytes > bytesMax - REMEMBERED_HEADER_BYTES_MAX;
  });
  return end < 0 ? recipients : recipients.slice(0, end);
}
