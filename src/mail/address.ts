/**
 * Addresses of the SMTP envelope, read as Postfix reads them. A parser stricter than Postfix turns
 * good mail into bounces, so quoted local parts, double dots, trailing dots and underscores are all
 * taken, and the address is kept to the letter: it is written again to the next server.
 */
import { fromUtf8 } from '../bytes.ts';

/** Postfix's `line_length_limit`: it never writes a longer command line, so no longer address. */
export const ADDRESS_BYTES_MAX = 2048;
/** A name has at most 253 characters (RFC 1035 §2.3.4) and a final dot; mapping longer ones is slow. */
const DOMAIN_LENGTH_MAX = 254;

/** One address of the envelope. */
export interface Mailbox {
  /** As it was written between the angle brackets, without a source route. */
  readonly address: string;
  /** What stands before the last `@` that is neither quoted nor escaped, quotes included. */
  readonly local: string;
  /** For look-ups: lower case, A-labels, no final dot; empty where the address has no domain. */
  readonly domain: string;
}

/** Why an address is refused. */
export type AddressReason =
  | 'path-malformed'
  | 'control-character'
  | 'address-too-long'
  | 'local-part-empty'
  | 'domain-malformed';

export type ScannedPath =
  | {
      readonly ok: true;
      /** Null for `<>`. */
      readonly mailbox: Mailbox | null;
      /** What follows the path: the ESMTP parameters. */
      readonly rest: string;
    }
  | { readonly ok: false; readonly reason: AddressReason };

/**
 * Reads a path (RFC 5321 §4.1.2) at the start of `text`, which is what follows the colon of
 * `MAIL FROM:` or `RCPT TO:`. Brackets may be missing and blanks may stand before it, as Postfix
 * allows with `strict_rfc821_envelopes = no`; a source route is dropped (RFC 5321 appendix C).
 */
export function scanPath(text: string): ScannedPath {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text)) return { ok: false, reason: 'control-character' };
  const start = text.length - text.replace(/^[ \t]+/, '').length;
  const bracketed = text[start] === '<';
  const end = bracketed ? closingBracket(text, start + 1) : blankAfter(text, start);
  if (end < 0) return { ok: false, reason: 'path-malformed' };
  const path = text.slice(bracketed ? start + 1 : start, end);
  const rest = text.slice(bracketed ? end + 1 : end);
  if (!/^([ \t]|$)/.test(rest)) return { ok: false, reason: 'path-malformed' };
  if (path === '') {
    return bracketed ? { ok: true, mailbox: null, rest } : { ok: false, reason: 'path-malformed' };
  }
  const address = withoutRoute(path);
  const mailbox = splitAddress(address);
  return typeof mailbox === 'string' ? { ok: false, reason: mailbox } : { ok: true, mailbox, rest };
}

/** The parts of an address without brackets, or why it is none. */
export function splitAddress(address: string): Mailbox | AddressReason {
  if (fromUtf8(address).length > ADDRESS_BYTES_MAX) return 'address-too-long';
  const at = lastFreeAt(address);
  if (at === null) return 'path-malformed';
  if (at === 0 || address === '') return 'local-part-empty';
  if (at < 0) return { address, local: address, domain: '' };
  const name = address.slice(at + 1);
  if (!isDomain(name)) return 'domain-malformed';
  return { address, local: address.slice(0, at), domain: lookupDomain(name) };
}

/**
 * The form in which domains are compared: lower case, A-labels (RFC 5890), no final dot, which
 * Postfix drops too. `xn--` names stay as they are.
 */
export function lookupDomain(name: string): string {
  return toALabels(name.toLowerCase()).replace(/\.$/, '');
}

/** Names that have no A-labels stay as they are; no directory holds them. */
function toALabels(name: string): string {
  // eslint-disable-next-line no-control-regex -- ASCII is meant
  if (/^[\0-\x7f]*$/.test(name) || name.length > DOMAIN_LENGTH_MAX) return name;
  // URL parsing maps names by UTS 46, but also reads punctuation as syntax: none of that goes in.
  if (!/^(?:[a-z0-9._-]|[^\0-\x7f])+$/.test(name)) return name;
  return URL.canParse(`http://${name}`) ? new URL(`http://${name}`).hostname : name;
}

/** Index of the `>` that ends the path, -1 where there is none or blanks stand unquoted. */
function closingBracket(text: string, from: number): number {
  let quoted = false;
  for (let i = from; i < text.length; i++) {
    const character = text[i];
    if (character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === '>') return i;
    else if (!quoted && (character === '<' || character === ' ' || character === '\t')) return -1;
  }
  return -1;
}

/** Where a path without brackets ends; what needs quotes needs brackets. */
function blankAfter(text: string, from: number): number {
  const length = /^[^ \t<>"\\]*/.exec(text.slice(from))?.[0].length ?? 0;
  return length === 0 ? -1 : from + length;
}

/**
 * `@a.example,@b.example:user@c.example` names relays that nobody uses since 1989. One route behind the other
 * goes too: the next server would take it off, and see another recipient than we did.
 */
function withoutRoute(path: string): string {
  return path.replace(/^(?:@(?:\[[^\]]*\]|[^\s:@,[\]]+)(?:,@(?:\[[^\]]*\]|[^\s:@,[\]]+))*:)+/, '');
}

/** Index of the last `@` outside quotes, -1 without one, null where a quote is left open. */
function lastFreeAt(address: string): number | null {
  let quoted = false;
  let at = -1;
  for (let i = 0; i < address.length; i++) {
    const character = address[i];
    if (character === '\\') {
      i++;
      if (i === address.length) return null;
    } else if (character === '"') quoted = !quoted;
    else if (!quoted && character === '@') at = i;
  }
  return quoted ? null : at;
}

function isDomain(name: string): boolean {
  return /^\[[^[\]\\\s"<>]+\]$/.test(name) || /^[^\s()<>[\]:;,"\\@]+$/.test(name);
}
