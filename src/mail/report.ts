/**
 * Reports to senders (RFC 3464): which recipients a mail did not reach, or has not reached yet, and why.
 * It names mail servers' replies and times, never a node, a route or an exit's own address. Who gets
 * one is RFC 3461's rule: never the null sender, never against NOTIFY.
 */
import { concat, fromUtf8 } from '../bytes.ts';
import type { MixedRecipient } from './envelope.ts';
import { HEADER_BYTES_MAX, scanHeader } from './message.ts';

/** What has become of a recipient (RFC 3464 §2.3.3); `delayed`: it is still tried. */
export type ReportAction = 'failed' | 'delayed';

/** One recipient of a report. */
export interface ReportRecipient {
  readonly address: string;
  /** RFC 3463, such as `5.1.1`. */
  readonly status: string;
  /** What the mail server said, such as `550 5.1.1 no such user`; null where none was asked. */
  readonly reply: string | null;
}

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
  /** Until when it is tried, Unix ms; for `delayed`. */
  readonly untilMs: number;
  readonly nowMs: number;
  /** 32 hex digits that occur nowhere else: boundary and Message-ID. */
  readonly id: string;
  /** What the operator has to say below the explanation: whom to write to. */
  readonly contact?: string;
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
/** A return address of an exit's (`return-address.ts`), which mail servers quote in their replies. */
const RETURN_ADDRESS = /<?panoramix\+[a-z2-7]{52}@[^\s<>"]+>?/gi;
/** A reply may be a page; RFC 5321 §4.5.3.1.5 allows a line of 512 octets. */
const REPLY_CHARACTERS_MAX = 480;

/**
 * Whether a recipient's end is reported to the sender: by NOTIFY where he gave it, and without one
 * failures and delays alike (RFC 3461 §4.1).
 */
export function wantsReport(
  sender: string,
  { notify }: Pick<MixedRecipient, 'notify'>,
  action: ReportAction,
): boolean {
  if (sender === '') return false;
  if (notify === undefined) return true;
  return notify.split(',').includes(action === 'failed' ? 'FAILURE' : 'DELAY');
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
 * The enhanced status code (RFC 3463) of a reply such as `550 5.1.1 no such user`; class 5 without one.
 */
export function statusOf(reply: string): string {
  const status = /^\d{3} ([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(reply)?.[1];
  // A 5xx with a code of another class is a server's slip: the recipient has failed.
  return status?.startsWith('5.') === true ? status : '5.0.0';
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
  const { action, domain, arrivedMs, untilMs, nowMs, id } = options;
  const perRecipient = recipients.map(({ address, status, reply }) => [
    // RFC 6533 §3 where an address is not ASCII.
    `Final-Recipient: ${isAscii(fromUtf8(address)) ? 'rfc822' : 'utf-8'}; ${address}`,
    `Action: ${action}`,
    `Status: ${status}`,
    ...(reply === null ? [] : [`Diagnostic-Code: smtp; ${diagnostic(reply, isUtf8)}`]),
    ...(action === 'delayed' ? [`Will-Retry-Until: ${dateText(untilMs)}`] : []),
    '',
  ]);
  return [
    `From: Mail delivery <MAILER-DAEMON@${domain}>`,
    `To: <${mail.sender}>`,
    `Subject: ${action === 'failed' ? 'Your mail was not delivered' : 'Your mail is delayed'}`,
    `Date: ${dateText(nowMs)}`,
    `Message-ID: <${id}@${domain}>`,
    'Auto-Submitted: auto-replied',
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

function explanation(
  recipients: readonly ReportRecipient[],
  { action, untilMs, contact }: ReportOptions,
): string[] {
  const opening =
    action === 'failed'
      ? ['Your mail, which asked to be sent through the mixnet, did not reach:']
      : [
          'Your mail, which asked to be sent through the mixnet, has not reached yet:',
          `It is tried until ${dateText(untilMs)}; you need not send it again.`,
        ];
  const lines = recipients.flatMap(({ address, status, reply }) => [
    '',
    `  <${address}>`,
    reply === null ? `    ${reasonText(status)}` : `    ${oneLine(reply)}`,
  ]);
  const ending = contact === undefined ? [] : ['', ...contact.split(/\r\n|\r|\n/).map(oneLine)];
  return [...opening, ...lines, ...ending];
}

/** What RFC 3463 means by the codes that we give ourselves. */
function reasonText(status: string): string {
  const texts: Readonly<Record<string, string>> = {
    '4.4.7': 'no confirmation from the other provider so far',
    '5.1.1': 'there is no such mailbox',
    '5.2.2': 'the mailbox is full',
    '5.4.7': 'not delivered, or not confirmed by the other provider, until the mail expired',
    '5.6.0': 'the mail that arrived was not the one that was sent',
    '5.7.1': 'the other provider does not take this mail',
  };
  return texts[status] ?? `it could not be delivered (${status})`;
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

function oneLine(reply: string): string {
  return reply
    .replaceAll(/\p{Cc}+/gu, ' ')
    .replaceAll(RETURN_ADDRESS, '<>')
    .trim()
    .slice(0, REPLY_CHARACTERS_MAX);
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}

/** RFC 5322 §3.3, in UTC: where the gateway stands is nobody's business. */
function dateText(unixMs: number): string {
  return new Date(unixMs).toUTCString().replace('GMT', '+0000');
}
