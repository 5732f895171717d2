/**
 * The exit's own return addresses, `panoramix+TOKEN@DOMAIN`: a bounce comes back to the exit, which
 * reads the message id out of the token and sends a report through the mixnet. To all others the
 * token is noise, and without the key none can be made (synthetic IV, as in RFC 5297, from HMAC).
 */
import { concat, equalBytes, fromHex, fromUtf8, toHex } from '../bytes.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import { lookupDomain } from './address.ts';

/** What stands before the token; Postfix's `recipient_delimiter` finds the mailbox `panoramix`. */
const LOCAL_PREFIX = 'panoramix+';
/** RFC 4648 §6 in lower case: some servers fold the case of local parts. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const TAG_BYTES = 16;
const ID_BYTES = 16;
/** 32 bytes in base32: with the prefix 62 characters, and a local part may have 64. */
const TOKEN_CHARACTERS = Math.ceil(((TAG_BYTES + ID_BYTES) * 8) / 5);

/**
 * The return address of a message. The same message has the same address.
 * @param key 32 bytes of this exit's
 * @param messageId 32 hex digits
 * @param domain one of the exit's own
 */
export function returnAddress(
  primitives: Primitives,
  key: Uint8Array,
  messageId: string,
  domain: string,
): string {
  const id = fromHex(messageId);
  if (id?.length !== ID_BYTES) throw new RangeError('messageId must be 32 hex digits');
  const tag = tagOf(primitives, key, id);
  const token = concat(tag, primitives.aes128Ctr(hidingKey(primitives, key), tag, id));
  return `${LOCAL_PREFIX}${toBase32(token)}@${domain}`;
}

/** Whether an address has the form of a return address, anybody's. */
export function isReturnAddress(address: string): boolean {
  const local = address.slice(0, address.lastIndexOf('@')).toLowerCase();
  return local.startsWith(LOCAL_PREFIX) && fromBase32(local.slice(LOCAL_PREFIX.length)) !== null;
}

/** The message id that a return address of ours was made for; null for any other address. */
export function messageIdOfReturn(
  primitives: Primitives,
  key: Uint8Array,
  address: string,
  domain: string,
): string | null {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at).toLowerCase();
  if (lookupDomain(address.slice(at + 1)) !== lookupDomain(domain)) return null;
  if (!local.startsWith(LOCAL_PREFIX)) return null;
  const token = fromBase32(local.slice(LOCAL_PREFIX.length));
  if (!token) return null;
  const tag = token.subarray(0, TAG_BYTES);
  const id = primitives.aes128Ctr(hidingKey(primitives, key), tag, token.subarray(TAG_BYTES));
  return equalBytes(tag, tagOf(primitives, key, id)) ? toHex(id) : null;
}

function tagOf(primitives: Primitives, key: Uint8Array, id: Uint8Array): Uint8Array {
  return primitives.hmacSha256(key, concat(fromUtf8(LABELS.returnTag), id)).subarray(0, TAG_BYTES);
}

/** AES-128's key. The counter starts at the tag, so one key and counter hide one message id only. */
function hidingKey(primitives: Primitives, key: Uint8Array): Uint8Array {
  return primitives.hmacSha256(key, fromUtf8(LABELS.returnKey)).subarray(0, 16);
}

function toBase32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(value >> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? text + BASE32[(value << (5 - bits)) & 31] : text;
}

/** Null unless the text is exactly what `toBase32` writes for a token. */
function fromBase32(text: string): Uint8Array | null {
  if (text.length !== TOKEN_CHARACTERS) return null;
  const bytes = new Uint8Array(TAG_BYTES + ID_BYTES);
  let length = 0;
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = BASE32.indexOf(character);
    if (digit < 0) return null;
    value = (value << 5) | digit;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[length++] = value >> bits;
      value &= (1 << bits) - 1;
    }
  }
  return value === 0 ? bytes : null;
}
