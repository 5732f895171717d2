/**
 * The bytes of a mail: brought to CRLF once, looked at as far as the first empty line, and rid of
 * the few header fields that may not travel. Nothing is ever decoded and written again.
 */

const CR = 0x0d;
const LF = 0x0a;
const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const DELETE = 0x7f;

/** Header fields are looked for in this many bytes; Postfix allows a single field 100 KiB. */
export const HEADER_BYTES_MAX = 262_144;

/** One header field, with its continuation lines. */
export interface HeaderField {
  /** Lower case. */
  readonly name: string;
  readonly start: number;
  /** Where the body of the field begins, after the colon. */
  readonly bodyStart: number;
  /** After the field's last CRLF. */
  readonly end: number;
}

export interface Header {
  readonly fields: readonly HeaderField[];
  /** Whether the header goes on past `HEADER_BYTES_MAX`: fields there were not looked at. */
  readonly truncated: boolean;
}

/**
 * The same mail with CRLF at every line end: CRLF stays, bare LF and bare CR become CRLF, and a last
 * line without an end gets one, because SMTP cannot carry it otherwise (RFC 5321 §2.3.8, §4.1.1.4).
 * What is canonical already is returned as it is, not copied. Nothing else changes, NUL included.
 */
export function canonicalise(data: Uint8Array): Uint8Array {
  const last = data.at(-1);
  const isOpen = last !== undefined && last !== LF && last !== CR;
  const missing = bareEnds(data, 0, data.length) + (isOpen ? 2 : 0);
  if (missing === 0) return data;
  const canonical = new Uint8Array(data.length + missing);
  let length = 0;
  for (let i = 0; i < data.length; i++) {
    const byte = data[i] as number;
    if (byte === LF && (i === 0 || data[i - 1] !== CR)) canonical[length++] = CR;
    canonical[length++] = byte;
    if (byte === CR && data[i + 1] !== LF) canonical[length++] = LF;
  }
  if (length < canonical.length) canonical.set([CR, LF], length);
  return canonical;
}

/** Bare LF and bare CR from one place on and before another, by which lines end that are not canonical. */
export function bareEnds(data: Uint8Array, from: number, to: number): number {
  let bare = 0;
  for (let i = from; i < to; i++) {
    const byte = data[i];
    if (byte === LF) {
      if (i === 0 || data[i - 1] !== CR) bare++;
    } else if (byte === CR && data[i + 1] !== LF) bare++;
  }
  return bare;
}

/**
 * The header fields of a canonical mail: raw bytes up to the first empty line. As in Postfix, the
 * first line that is neither a field nor a continuation ends the header too: what follows is body.
 */
export function scanHeader(data: Uint8Array): Header {
  const fields: HeaderField[] = [];
  let position = 0;
  while (position < data.length) {
    if (position >= HEADER_BYTES_MAX) return { fields, truncated: true };
    const end = lineEnd(data, position);
    const first = data[position];
    if (first === SPACE || first === TAB) {
      const field = fields.pop();
      if (!field) break;
      fields.push({ ...field, end });
    } else {
      const colon = fieldColon(data, position, end);
      if (colon < 0) break;
      const name = latin1(data, position, colon).trimEnd().toLowerCase();
      fields.push({ name, start: position, bodyStart: colon + 1, end });
    }
    position = end;
  }
  return { fields, truncated: false };
}

/** The body of a field on one line, unfolded and trimmed, each byte a character. */
export function fieldText(data: Uint8Array, field: HeaderField): string {
  return latin1(data, field.bodyStart, field.end).replaceAll('\r\n', '').trim();
}

/** The mail without the given fields; the very same bytes where there are none. */
export function withoutFields(data: Uint8Array, fields: readonly HeaderField[]): Uint8Array {
  if (fields.length === 0) return data;
  const gone = fields.reduce((sum, field) => sum + field.end - field.start, 0);
  const rest = new Uint8Array(data.length - gone);
  let from = 0;
  let length = 0;
  for (const field of fields) {
    rest.set(data.subarray(from, field.start), length);
    length += field.start - from;
    from = field.end;
  }
  rest.set(data.subarray(from), length);
  return rest;
}

function lineEnd(data: Uint8Array, from: number): number {
  const newline = data.indexOf(LF, from);
  return newline < 0 ? data.length : newline + 1;
}

/**
 * Index of the colon after a field's name (RFC 5322 §3.6.8: printable ASCII, here with blanks before
 * the colon, which §4.5 knows and Postfix takes); -1 where the line is no field.
 */
function fieldColon(data: Uint8Array, start: number, end: number): number {
  let blank = false;
  for (let i = start; i < end; i++) {
    const byte = data[i] as number;
    if (byte === COLON) return i === start ? -1 : i;
    if (byte === SPACE || byte === TAB) blank = true;
    else if (blank || byte < SPACE || byte >= DELETE) return -1;
    if (blank && i === start) return -1;
  }
  return -1;
}

function latin1(data: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i += 0x2000) {
    text += String.fromCharCode(...data.subarray(i, Math.min(end, i + 0x2000)));
  }
  return text;
}
