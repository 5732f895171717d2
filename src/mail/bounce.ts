/**
 * Reads a delivery status notification (RFC 3464) that a mail server has sent to a return address of
 * ours: of whom it speaks, and what became of them. Whoever saw the address may have written it, so
 * nothing but this is taken from it, and each part has one form and one limit.
 */
import { HEADER_BYTES_MAX, fieldText, scanHeader } from './message.ts';

/** What a notification says of one recipient. */
export interface BouncedRecipient {
  /** The address that the mail was sent to (Original-Recipient, RFC 3464 §2.3.1); null without. */
  readonly original: string | null;
  /** Where it was not delivered: behind an alias another one (Final-Recipient, §2.3.2). */
  readonly final: string;
  readonly action: BounceAction;
  /** RFC 3463, such as `5.1.1`. */
  readonly status: string;
  /** What the mail server said, where it spoke SMTP; null else. */
  readonly reply: string | null;
}

/** RFC 3464 §2.3.3. */
export type BounceAction = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

/** A mail server puts the status before the mail that it returns; nothing behind this is looked at. */
const READ_BYTES_MAX = HEADER_BYTES_MAX + 262_144;
/** As many recipients as one mail of ours may have (src/mixnet/envelope.ts). */
const RECIPIENTS_MAX = 10_000;
const STATUS_PART = /^message\/(?:global-)?delivery-status\b/i;
const ACTIONS: ReadonlySet<string> = new Set<BounceAction>([
  'failed',
  'delayed',
  'delivered',
  'relayed',
  'expanded',
]);

/**
 * The recipients of a notification; null where the bytes are none.
 * @param data canonical bytes
 */
export function readBounce(data: Uint8Array): readonly BouncedRecipient[] | null {
  const read = data.subarray(0, READ_BYTES_MAX);
  const boundary = boundaryOf(read);
  if (boundary === null) return null;
  const status = statusPart(latin1(read), boundary);
  if (status === null) return null;
  // The first group is about the whole mail (§2.2), each other one about a recipient.
  const groups = status.split(/\r\n(?:\r\n)+/).slice(1, 1 + RECIPIENTS_MAX);
  const recipients = groups.flatMap((group) => recipientOf(group) ?? []);
  return recipients.length === 0 ? null : recipients;
}

/** The boundary of a `multipart/report; report-type=delivery-status` (RFC 6522 §3, RFC 6533 §6). */
function boundaryOf(data: Uint8Array): string | null {
  const types = scanHeader(data).fields.filter(({ name }) => name === 'content-type');
  const [type] = types;
  if (types.length !== 1 || type === undefined) return null;
  const text = fieldText(data, type);
  if (!/^multipart\/report\s*;/i.test(text)) return null;
  if (!/;\s*report-type\s*=\s*"?(?:global-)?delivery-status"?\s*(?:;|$)/i.test(text)) return null;
  // RFC 2046 §5.1.1: 70 characters at most.
  const match = /;\s*boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(text);
  return match?.[1] ?? match?.[2] ?? null;
}

/** The body of the one part that holds the status. */
function statusPart(text: string, boundary: string): string | null {
  const parts = text.split(`\r\n--${boundary}`).slice(1);
  for (const part of parts) {
    // What follows the boundary on its line are blanks; two hyphens end the whole (RFC 2046 §5.1.1).
    const open = /^[ \t]*\r\n/.exec(part)?.[0];
    if (open === undefined) return null;
    const headerEnd = part.indexOf('\r\n\r\n', open.length - 2);
    if (headerEnd < 0) continue;
    const header = unfold(part.slice(open.length, headerEnd));
    const type = /^content-type[ \t]*:[ \t]*(.*)$/im.exec(header)?.[1] ?? '';
    if (!STATUS_PART.test(type)) continue;
    return `${unfold(part.slice(headerEnd + 4))}\r\n`;
  }
  return null;
}

function recipientOf(group: string): BouncedRecipient | null {
  const fields = new Map<string, string>();
  for (const line of group.split('\r\n')) {
    const [, name, value] = /^([!-9;-~]+)[ \t]*:[ \t]*(.*)$/.exec(line) ?? [];
    // A field that stands twice says nothing for certain: the first is the mail server's.
    if (name !== undefined && !fields.has(name.toLowerCase())) {
      fields.set(name.toLowerCase(), trimBlanks(value ?? ''));
    }
  }
  const final = addressOf(fields.get('final-recipient'));
  const action = fields.get('action')?.toLowerCase() ?? '';
  const status = /^[245]\.\d{1,3}\.\d{1,3}(?=\s|$)/.exec(fields.get('status') ?? '')?.[0];
  if (final === null || status === undefined || !ACTIONS.has(action)) return null;
  const diagnostic = /^smtp[ \t]*;[ \t]*(.+)$/i.exec(fields.get('diagnostic-code') ?? '')?.[1];
  return {
    original: addressOf(fields.get('original-recipient')),
    final,
    action: action as BounceAction,
    status,
    reply: diagnostic === undefined ? null : utf8(diagnostic),
  };
}

/** `rfc822; bob@b.example` or `utf-8; …` (RFC 6533 §3); xtext only where the address needs it. */
function addressOf(value: string | undefined): string | null {
  const text = /^(?:rfc822|utf-8)[ \t]*;[ \t]*(\S.{0,2047})$/i.exec(value ?? '')?.[1];
  return text === undefined ? null : utf8(trimBlanks(text));
}

/** Blanks of ASCII alone: to `trim` the last byte of a UTF-8 `à` is one too. */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  // Not by an expression: it would look at a run of blanks from each of them on.
  while (start < end && isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function unfold(text: string): string {
  return text.replaceAll(/\r\n[ \t]+/g, ' ');
}

/** Bytes that were read one to a character, as the UTF-8 that they are; else as they were read. */
function utf8(text: string): string {
  try {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return text;
  }
}

/** One character for each byte: what is looked for is ASCII. */
function latin1(data: Uint8Array): string {
  let text = '';
  for (let i = 0; i < data.length; i += 0x2000) {
    text += String.fromCharCode(...data.subarray(i, i + 0x2000));
  }
  return text;
}
