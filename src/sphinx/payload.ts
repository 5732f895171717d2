/**
 * What lies in a body: MAC, payload, filling. The MAC and its key are the reference's way to tell a
 * whole body from a touched one; the paper has zeros there (Sphinx §3.3).
 */

import { equalBytes } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { mac } from './derive.ts';
import { MsgpackReader, binaryBytes, encodeArray, encodeBinary } from './msgpack.ts';
import { SECURITY_BYTES, drop } from './packet.ts';
import type { Drop } from './packet.ts';

const END_MARK = 0x7f;
const FILLING = 0xff;
const ARRAY_BYTES = 1;
const END_MARK_BYTES = 1;

/** `dest` of a payload: the reference takes 1 to 127 bytes. */
export const DEST_BYTES_MAX = 127;

/** A delivered payload. */
export interface Payload {
  /** What the message is, such as `mail`. */
  readonly dest: Uint8Array;
  readonly message: Uint8Array;
}

/** Bytes for content in a body: BODY_LEN less the MAC (16) and the end mark (1). */
export function contentBytesMax(bodyLen: number): number {
  return bodyLen - SECURITY_BYTES - END_MARK_BYTES;
}

/**
 * The longest message beside a dest of that length: content less the array (1), dest (2 + its length)
 * and the message's own tag and length field (2 below 256 bytes, 3 below 65536, else 5). -1 where not
 * even an empty message fits.
 */
export function messageBytesMax(bodyLen: number, destBytes: number): number {
  const room = contentBytesMax(bodyLen) - ARRAY_BYTES - binaryBytes(destBytes);
  const longest = [2, 3, 4, 5].map((less) => room - less).find((n) => binaryBytes(n) <= room);
  return longest === undefined ? -1 : Math.max(longest, -1);
}

/** `[dest, message]` in msgpack; RangeError where dest is not 1 to 127 bytes. */
export function encodePayload(dest: Uint8Array, message: Uint8Array): Uint8Array {
  if (dest.length < 1 || dest.length > DEST_BYTES_MAX) {
    throw new RangeError(`dest: 1 to ${DEST_BYTES_MAX} bytes, got ${dest.length}`);
  }
  return encodeArray(encodeBinary(dest), encodeBinary(message));
}

/** The payload that the content spells, exactly as `encodePayload` writes it, or null. */
export function decodePayload(content: Uint8Array): Payload | null {
  const reader = new MsgpackReader(content);
  if (reader.arrayCount() !== 2) return null;
  const dest = reader.binary();
  const message = dest && reader.binary();
  if (dest === null || message === null || !reader.atEnd) return null;
  return dest.length < 1 || dest.length > DEST_BYTES_MAX ? null : { dest, message };
}

/**
 * A whole body before its first encryption: MAC of the rest, content, end mark, filling.
 * @throws RangeError where the content does not fit
 */
export function packBody(
  primitives: Primitives,
  bodyLen: number,
  key: Uint8Array,
  content: Uint8Array,
): Uint8Array {
  if (content.length > contentBytesMax(bodyLen)) {
    throw new RangeError(`message: ${content.length} bytes of ${contentBytesMax(bodyLen)}`);
  }
  const body = new Uint8Array(bodyLen).fill(FILLING);
  body.set(content, SECURITY_BYTES);
  body[SECURITY_BYTES + content.length] = END_MARK;
  body.set(mac(primitives, key, body.subarray(SECURITY_BYTES)));
  return body;
}

/** The content of a decrypted body, as a view, or why it is refused. */
export function unpackBody(
  primitives: Primitives,
  bodyLen: number,
  key: Uint8Array,
  body: Uint8Array,
): Uint8Array | Drop {
  if (body.length !== bodyLen) return drop('body-length');
  const padded = body.subarray(SECURITY_BYTES);
  const expected = mac(primitives, key, padded);
  if (!equalBytes(expected, body.subarray(0, SECURITY_BYTES))) return drop('body-mac-mismatch');
  let end = padded.length - 1;
  while (end > 0 && padded[end] === FILLING) end--;
  return padded[end] === END_MARK ? padded.subarray(0, end) : drop('payload-malformed');
}

/** The payload at the end of a packet's path, as the exit opens it. */
export function openForward(
  primitives: Primitives,
  bodyLen: number,
  macKey: Uint8Array,
  delta: Uint8Array,
): Payload | Drop {
  const content = unpackBody(primitives, bodyLen, macKey, delta);
  if ('kind' in content) return content;
  return decodePayload(content) ?? drop('payload-malformed');
}
