/**
 * Reports to senders (RFC 3464): which recipients a mail did not reach, has not reached yet, or has reached.
 * It names mail servers' replies and times, never a node, a route or an exit's own address. Who gets
 * one is RFC 3461's rule: never the null sender, never against NOTIFY.
 */
import { concat, fromUtf8 } from '../bytes.ts';
import { dateText } from './date.ts';
import type { MixedRecipient } from './envelope.ts';
import { HEADER_BYTES_MAX, scanHeader } from './message.ts';
import { PROOF_FIELD } from './report-proof.ts';
import {
  explanation,
  oneLine,
  subjectOf,
  type ReportAction,
  type ReportRecipient,
} from './report-text.ts';

export type { ReportAction, ReportRecipient } from './report-text.ts';

/** The mail that a report is about. */
export interface ReportedMail {
  /** MAIL FROM, to whom the report goes. */
  readonly sender: string;
  readonly ret?: 'FULL' | 'HDRS';
  /** The mail, or its header alone. */
  readonly data: Uint8Array;
  /** Whether `data` is the whole mail. */
  readonly isWhole: boolean;
}

export interface ReportOptions {
  readonly action: ReportAction;
  /** Who reports: a domain of the gateway that writes it. */
  readonly domain: string;
  /** When the mail was taken in, Unix ms; null where who reports does not know. */
  readonly arrivedMs: number | null;
  /** Until when it is tried, Unix ms; for `delayed`. Null where who reports does not know. */
  readonly untilMs: number | null;
  readonly nowMs: number;
  /** 32 hex digits that occur nowhere else: boundary and Message-ID. */
  readonly id: string;
  /** What the operator has to say below the explanation: whom to write to. */
  readonly contact?: string;
  /**
   * The mail's message id, for its entry alone: an exit proves by it that it got a mail of a user who is told,
   * whatever he wants to get out of the mixnet else (`report-proof.ts`). Absent where the entry itself reports.
   */
  readonly proof?: string;
}

/** A report, ready to be sent from the null sender. */
export interface Report {
  /** Canonical bytes. */
  readonly data: Uint8Array;
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
}

/** Returned whole where asked for (RET=FULL) and not larger; else the header alone. */
const RETURNED_BYTES_MAX = 1_048_576;
/** By which word of NOTIFY a sender asks for it (RFC 3461 §4.1). */
const EVENTS: Readonly<Record<ReportAction, 'FAILURE' | 'DELAY' | 'SUCCESS'>> = {
  failed: 'FAILURE',
  delayed: 'DELAY',
  delivered: 'SUCCESS',
  relayed: 'SUCCESS',
  expanded: 'SUCCESS',
};

/**
 * Whether a recipient's end is reported to the sender: by NOTIFY where he gave it, and without one
 * failures and delays, but no success (RFC 3461 §4.1).
 */
export function wantsReport(
  sender: string,
  { notify }: Pick<MixedRecipient, 'notify'>,
  action: ReportAction,
): boolean {
  if (sender === '') return false;
  const event = EVENTS[action];
  return notify === undefined ? event !== 'SUCCESS' : notify.split(',').includes(event);
}

/**
 * What is kept of a mail in case it must be reported: all of it where the sender wants it back and it is
 * not too large, its header else.
 */
export function returnable(
  ret: 'FULL' | 'HDRS' | undefined,
  data: Uint8Array,
): { readonly data: Uint8Array; readonly isWhole: boolean } {
  if (ret === 'FULL' && data.length <= RETURNED_BYTES_MAX) return { data, isWhole: true };
  return { data: headerOf(data), isWhole: false };
}

/**
 * The enhanced status code (RFC 3463) of a reply such as `550 5.1.1 no such user`.
 * @param none what it is where the reply has no code of the class that begins `none`: a server's slip
 */
export function statusOf(reply: string, none = '5.0.0'): string {
  const status = /^\d{3} ([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(reply)?.[1] ?? none;
  return status.startsWith(none.slice(0, 2)) ? status : none;
}

/** A report about those recipients of a mail. */
export function writeReport(
  mail: ReportedMail,
  recipients: readonly ReportRecipient[],
  options: ReportOptions,
): Report {
  const returned = returnedPart(mail, options.action);
  const addresses = [mail.sender, ...recipients.map(({ address }) => address)];
  // By addresses alone: what a text says asks no mail server for more than 8BITMIME.
  const smtputf8 = !addresses.every((address) => isAscii(fromUtf8(address)));
  const text = statusText(mail, recipients, options, smtputf8) + returned.fields;
  const data = concat(fromUtf8(text), returned.bytes, fromUtf8(`\r\n--${options.id}--\r\n`));
  return { data, smtputf8, body: isAscii(data) ? '7BIT' : '8BITMIME' };
}

function statusText(
  mail: ReportedMail,
  recipients: readonly ReportRecipient[],
  options: ReportOptions,
  isUtf8: boolean,
): string {
  const { action, domain, arrivedMs, untilMs, nowMs, id, proof } = options;
  const perRecipient = recipients.map(({ address, status, reply }) => [
    // RFC 6533 §3 where an address is not ASCII.
    `Final-Recipient: ${isAscii(fromUtf8(address)) ? 'rfc822' : 'utf-8'}; ${address}`,
    `Action: ${action}`,
    `Status: ${status}`,
    ...(reply === null ? [] : [`Diagnostic-Code: smtp; ${diagnostic(reply, isUtf8)}`]),
    ...(action === 'delayed' && untilMs !== null ? [`Will-Retry-Until: ${dateText(untilMs)}`] : []),
    '',
  ]);
  return [
    `From: Mail delivery <MAILER-DAEMON@${domain}>`,
    `To: <${mail.sender}>`,
    `Subject: ${subjectOf(action)}`,
    `Date: ${dateText(nowMs)}`,
    `Message-ID: <${id}@${domain}>`,
    'Auto-Submitted: auto-replied',
    ...(proof === undefined ? [] : [`${PROOF_FIELD}: ${proof}`]),
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${isUtf8 ? 'global-delivery-status' : 'delivery-status'};`,
    ` boundary="${id}"`,
    '',
    `--${id}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...explanation(recipients, options),
    '',
    `--${id}`,
    `Content-Type: message/${isUtf8 ? 'global-delivery-status' : 'delivery-status'}`,
    ...(isUtf8 ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    `Reporting-MTA: dns; ${domain}`,
    ...(arrivedMs === null ? [] : [`Arrival-Date: ${dateText(arrivedMs)}`]),
    '',
    ...perRecipient.flat(),
    `--${id}`,
    '',
  ].join('\r\n');
}

/**
 * The original mail as the last part, whole where the sender asked for it and it is not too large. A mail
 * that is only late comes back as its header, whatever he asked for (RFC 3461 §4.3).
 */
function returnedPart(
  mail: ReportedMail,
  action: ReportAction,
): { readonly fields: string; readonly bytes: Uint8Array } {
  const kept = returnable(mail.isWhole && action === 'failed' ? mail.ret : undefined, mail.data);
  const isFull = kept.isWhole;
  const bytes = kept.data;
  const isEightBit = !isAscii(bytes);
  const type = isFull ? 'message/rfc822' : 'text/rfc822-headers';
  const encoding = isEightBit ? 'Content-Transfer-Encoding: 8bit\r\n' : '';
  return { fields: `Content-Type: ${type}\r\n${encoding}\r\n`, bytes };
}

/** The header fields as they stand, up to `HEADER_BYTES_MAX`. */
function headerOf(data: Uint8Array): Uint8Array {
  const last = scanHeader(data.subarray(0, HEADER_BYTES_MAX)).fields.at(-1);
  return data.subarray(0, last?.end ?? 0);
}

/** A `message/delivery-status` is 7-bit (RFC 3464 §2.1); the explanation has the whole reply. */
function diagnostic(reply: string, isUtf8: boolean): string {
  return isUtf8 ? oneLine(reply) : oneLine(reply).replaceAll(/[^ -~]/gu, '?');
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}
