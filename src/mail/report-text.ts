/**
 * What a report says to a person: subject, explanation, and what the status codes that we give ourselves
 * mean (RFC 3463). What machines read of it stands in `report.ts`.
 */
import { dateText } from './date.ts';

/**
 * What has become of a recipient (RFC 3464 §2.3.3). `delayed`: it is still tried; `relayed`: handed to a mail
 * server that reports nothing; `expanded`: delivered to an address that stands for several.
 */
export type ReportAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

/** One recipient of a report. */
export interface ReportRecipient {
  readonly address: string;
  /** RFC 3463, such as `5.1.1`. */
  readonly status: string;
  /** What the mail server said, such as `550 5.1.1 no such user`; null where none was asked. */
  readonly reply: string | null;
}

/** A reply may be a page; RFC 5321 §4.5.3.1.5 allows a line of 512 octets. */
const REPLY_CHARACTERS_MAX = 480;
/** A return address of an exit's (`return-address.ts`), which mail servers quote in their replies. */
const RETURN_ADDRESS = /<?panoramix\+[a-z2-7]{52}@[^\s<>"]+>?/gi;

const MAIL = 'Your mail, which asked to be sent through the mixnet,';

const SUBJECTS: Readonly<Record<ReportAction, string>> = {
  failed: 'Your mail was not delivered',
  delayed: 'Your mail is delayed',
  delivered: 'Your mail was delivered',
  relayed: 'Your mail was handed on',
  expanded: 'Your mail was delivered to a list',
};

/** The first sentence, up to the recipients. */
const OPENINGS: Readonly<Record<ReportAction, string>> = {
  failed: `${MAIL} did not reach:`,
  delayed: `${MAIL} has not reached yet:`,
  delivered: `${MAIL} has reached:`,
  // RFC 3461 §5.2.7.2: no news will come from there.
  relayed: `${MAIL} went on to a mail server that tells nothing more, for:`,
  expanded: `${MAIL} has reached, and goes on from there to several:`,
};

/** What RFC 3463 means by the codes that we give ourselves, and by usual ones that come without a reply. */
const REASONS: Readonly<Record<string, string>> = {
  '4.2.2': 'the mailbox is full at present',
  '4.4.1': 'the mail server of the other provider does not take it at present',
  '4.4.2': 'the mail server of the other provider does not take it at present',
  '4.4.7': 'no confirmation from the other provider so far',
  '5.1.1': 'there is no such mailbox',
  '5.2.2': 'the mailbox is full',
  '5.4.7': 'not delivered, or not confirmed by the other provider, until the mail expired',
  '5.6.0': 'the mail that arrived was not the one that was sent',
  '5.7.1': 'the other provider does not take this mail',
};

/** What of a report its text depends on; see `ReportOptions`. */
interface Explained {
  readonly action: ReportAction;
  readonly untilMs: number | null;
  readonly contact?: string;
}

/** The subject of a report. */
export function subjectOf(action: ReportAction): string {
  return SUBJECTS[action];
}

/** Lines for the sender to read: what happened, to whom, why, and the operator's word. */
export function explanation(
  recipients: readonly ReportRecipient[],
  { action, untilMs, contact }: Explained,
): string[] {
  const opening = [OPENINGS[action]];
  if (action === 'delayed') {
    const until = untilMs === null ? '' : ` until ${dateText(untilMs)}`;
    opening.push(`It is tried${until}; you need not send it again.`);
  }
  const lines = recipients.flatMap(({ address, status, reply }) => [
    '',
    `  <${address}>`,
    ...(reply === null ? reasonLines(action, status) : [`    ${oneLine(reply)}`]),
  ]);
  const ending = contact === undefined ? [] : ['', ...contact.split(/\r\n|\r|\n/).map(oneLine)];
  return [...opening, ...lines, ...ending];
}

/** A text of somebody else's as a part of one line: without controls, return addresses, or excess. */
export function oneLine(reply: string): string {
  return reply
    .replaceAll(/\p{Cc}+/gu, ' ')
    .replaceAll(RETURN_ADDRESS, '<>')
    .trim()
    .slice(0, REPLY_CHARACTERS_MAX);
}

function reasonLines(action: ReportAction, status: string): string[] {
  const reason = REASONS[status];
  if (reason !== undefined) return [`    ${reason}`];
  if (action === 'failed') return [`    it could not be delivered (${status})`];
  return action === 'delayed' ? [`    it could not be delivered so far (${status})`] : [];
}
