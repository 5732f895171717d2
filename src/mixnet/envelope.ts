/**
 * What crosses beside the bytes of a mail: who sends, to whom, until when, and the mail's hash,
 * signed by the entry gateway. Signed and read as the very bytes sent: 64 bytes of signature, then
 * a msgpack array whose every field has one place, one type and one limit.
 */
import { encode } from '@msgpack/msgpack';
import { concat, equalBytes, fromHex, fromUtf8, toHex } from '../bytes.ts';
import type { Identity } from '../crypto/keys.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import { FieldReader } from './field-reader.ts';

/** As many as an operator may configure an entry to take in one mail. */
export const RECIPIENTS_MAX = 10_000;
/** An address in bytes of UTF-8: as long as src/mail takes it, or accepted mail could never go on. */
export const ADDRESS_BYTES_MAX = 2048;

/** A name has at most 253 characters (RFC 1035 §2.3.4) and a final dot; mapping longer ones is slow. */
const DOMAIN_LENGTH_MAX = 254;
const VERSION = 1;
const FIELDS = 13;
const SIGNATURE_BYTES = 64;

export interface Recipient {
  readonly address: string;
  /** NOTIFY of RCPT TO (RFC 3461 §4.1), such as `SUCCESS,FAILURE`; absent where none was given. */
  readonly notify?: string;
}

export interface Envelope {
  /** Mixnet id: a peer may be the exit of two, and neither's mail is the other's. */
  readonly mixnet: string;
  /** 32 hex digits. */
  readonly messageId: string;
  /** Peer id of the gateway that delivers: nobody else may. */
  readonly exit: string;
  /** Peer id of the gateway that took the mail in and signs. */
  readonly gateway: string;
  /** MAIL FROM without angle brackets; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly Recipient[];
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  /** RET of MAIL FROM (RFC 3461 §4.3). */
  readonly ret?: 'FULL' | 'HDRS';
  /** Length of the mail's data. */
  readonly bytes: number;
  /** SHA-256 of the mail's data, 64 hex digits. */
  readonly sha256: string;
  /** When the exit gives up, in ms since 1970. */
  readonly expiryMs: number;
}

/**
 * The envelope, signed. The same envelope gives the same bytes.
 * @throws RangeError where a field is none that `verifyEnvelope` would take: a bug of ours
 */
export function signEnvelope(
  primitives: Primitives,
  identity: Identity,
  envelope: Envelope,
): Uint8Array<ArrayBuffer> {
  if (envelope.gateway !== identity.peerId) throw new RangeError('not our envelope to sign');
  const text = encodeFields(envelope);
  if (decodeFields(text) === null) throw new RangeError('envelope field out of bounds');
  return concat(primitives.sign(identity.secret, signedText(text)), text);
}

export type EnvelopeReason = 'envelope-malformed' | 'envelope-signature';

/** The envelope in `signed`, or why it is none. Who may be its gateway is for `assemble` to say. */
export function verifyEnvelope(
  primitives: Primitives,
  signed: Uint8Array,
):
  | { readonly ok: true; readonly envelope: Envelope }
  | { readonly ok: false; readonly reason: EnvelopeReason } {
  const text = signed.subarray(SIGNATURE_BYTES);
  const envelope = decodeFields(text);
  if (envelope === null) return { ok: false, reason: 'envelope-malformed' };
  const gateway = fromHex(envelope.gateway) as Uint8Array;
  if (!primitives.verify(gateway, signedText(text), signed.subarray(0, SIGNATURE_BYTES))) {
    return { ok: false, reason: 'envelope-signature' };
  }
  return { ok: true, envelope };
}

/**
 * The domain of an address in lower case, non-ASCII labels as A-labels (RFC 5890), without a final
 * dot; null where it has none. It is the name by which src/mail looked for the exit, or mail would
 * go in that nobody takes out.
 */
export function domainOf(address: string): string | null {
  const at = lastFreeAt(address);
  const name = address.slice(at + 1).toLowerCase();
  if (at < 1 || name.length > DOMAIN_LENGTH_MAX) return null;
  const domain = (/^[a-z0-9._-]*$/.test(name) ? name : toALabels(name)).replace(/\.$/, '');
  return domain === '' ? null : domain;
}

/** URL parsing converts names (UTS 46), but reads much else into ASCII punctuation: none goes in. */
function toALabels(name: string): string {
  if (!/^(?:[a-z0-9._-]|[^\0-\x7f])+$/.test(name) || !URL.canParse(`http://${name}`)) return '';
  return new URL(`http://${name}`).hostname;
}

/** Index of the last at sign that is neither quoted nor escaped; -1 without one, or in an open quote. */
function lastFreeAt(address: string): number {
  let quoted = false;
  let at = -1;
  for (let i = 0; i < address.length; i++) {
    if (address[i] === '\\') i++;
    else if (address[i] === '"') quoted = !quoted;
    else if (!quoted && address[i] === '@') at = i;
  }
  return quoted ? -1 : at;
}

function signedText(text: Uint8Array): Uint8Array {
  return concat(fromUtf8(LABELS.envelope), text);
}

function encodeFields(envelope: Envelope): Uint8Array {
  return encode([
    VERSION,
    fromHex(envelope.mixnet),
    fromHex(envelope.messageId),
    fromHex(envelope.exit),
    fromHex(envelope.gateway),
    envelope.from,
    envelope.recipients.map(({ address, notify }) => [address, notify ?? null]),
    envelope.body,
    envelope.smtputf8,
    envelope.ret ?? null,
    envelope.bytes,
    fromHex(envelope.sha256),
    envelope.expiryMs,
  ]);
}

/** Null where the bytes are not exactly what `encodeFields` writes for some valid envelope. */
function decodeFields(text: Uint8Array): Envelope | null {
  const reader = new FieldReader(text);
  if (reader.array() !== FIELDS || reader.count() !== VERSION) return null;
  const mixnet = reader.bytes();
  const messageId = reader.bytes();
  const exit = reader.bytes();
  const gateway = reader.bytes();
  if (!isBytes(mixnet, 32)) return null;
  if (!isBytes(messageId, 16) || !isBytes(exit, 32) || !isBytes(gateway, 32)) return null;
  const from = reader.string();
  if (from !== '' && !isAddress(from)) return null;
  const recipients = readRecipients(reader);
  if (recipients === null) return null;
  const body = reader.string();
  const smtputf8 = reader.boolean();
  const ret = reader.nil() ? null : reader.string();
  if ((body !== '7BIT' && body !== '8BITMIME') || smtputf8 === null) return null;
  if (ret !== null && ret !== 'FULL' && ret !== 'HDRS') return null;
  const bytes = reader.count();
  const sha256 = reader.bytes();
  const expiryMs = reader.count();
  if (bytes === null || !isBytes(sha256, 32)) return null;
  if (expiryMs === null || expiryMs >= 2 ** 48) return null;
  const envelope: Envelope = {
    mixnet: toHex(mixnet),
    messageId: toHex(messageId),
    exit: toHex(exit),
    gateway: toHex(gateway),
    from,
    recipients,
    body,
    smtputf8,
    ...(ret === null ? {} : { ret }),
    bytes,
    sha256: toHex(sha256),
    expiryMs,
  };
  // One envelope, one text: no longer form of a value, nothing left over.
  return equalBytes(encodeFields(envelope), text) ? envelope : null;
}

function readRecipients(reader: FieldReader): Recipient[] | null {
  const count = reader.array();
  if (count === null || count < 1 || count > RECIPIENTS_MAX) return null;
  const recipients: Recipient[] = [];
  while (recipients.length < count) {
    if (reader.array() !== 2) return null;
    const address = reader.string();
    if (!isAddress(address)) return null;
    if (reader.nil()) recipients.push({ address });
    else {
      const notify = reader.string();
      if (notify === null || !/^[A-Za-z,]{1,64}$/.test(notify)) return null;
      recipients.push({ address, notify });
    }
  }
  return recipients;
}

function isBytes(value: Uint8Array | null, length: number): value is Uint8Array {
  return value?.length === length;
}

/**
 * No control characters: they would end a line of the SMTP dialogue and begin another command. A tab
 * does not, and may stand in a quoted local part.
 */
function isAddress(value: string | null): value is string {
  return (
    value !== null &&
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /^[^\0-\x08\x0a-\x1f\x7f]+$/.test(value) &&
    fromUtf8(value).length <= ADDRESS_BYTES_MAX
  );
}
