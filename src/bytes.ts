/**
 * Byte strings: joining, comparing, reading and writing them as text. Everybody's, browser included.
 * Pure code holds `Uint8Array`; inputs are never changed.
 */

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const encoder = new TextEncoder();
// A byte order mark stays: without it two byte strings would spell one text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Whether both hold the same bytes, in time that depends on the lengths only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= (left[i] as number) ^ (right[i] as number);
  return difference === 0;
}

/** UTF-8 bytes of a string. */
export function fromUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The string that UTF-8 bytes spell; throws TypeError where they are not UTF-8. */
export function toUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return bytesToHex(bytes);
}

/** Bytes of a hex string of either case, or null where it is none. */
export function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  return hexToBytes(text);
}

/** Base64url without padding (RFC 4648 §5). */
export function toBase64url(bytes: Uint8Array): string {
  if (typeof bytes.toBase64 === 'function') {
    return bytes.toBase64({ alphabet: 'base64url', omitPadding: true });
  }
  return btoa(binaryString(bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/**
 * Bytes of unpadded base64url (RFC 4648 §5), or null where the text is not exactly what
 * `toBase64url` writes: one byte string has one text.
 */
export function fromBase64url(text: string): Uint8Array | null {
  if (text.length % 4 === 1) return null;
  const bytes = decodeBase64url(text);
  // Engines pass over blanks, and over padding: with either there are fewer bytes than the text is long for.
  if (bytes?.length !== Math.floor((text.length * 3) / 4)) return null;
  const spareBits = (text.length % 4) * 6 - (bytes.length % 3) * 8;
  const last = BASE64URL.indexOf(text.slice(-1));
  return spareBits > 0 && last % 2 ** spareBits !== 0 ? null : bytes;
}

/** A packet's 44 kB in 3 µs, where the engine has it: every packet is read so at every hop. */
function decodeBase64url(text: string): Uint8Array | null {
  if (typeof Uint8Array.fromBase64 === 'function') {
    try {
      return Uint8Array.fromBase64(text, { alphabet: 'base64url' });
    } catch {
      return null;
    }
  }
  if (/[^A-Za-z0-9_-]/.test(text)) return null;
  const padded = text.replaceAll('-', '+').replaceAll('_', '/');
  return Uint8Array.from(atob(padded), (character) => character.charCodeAt(0));
}

function binaryString(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return text;
}

/** An unsigned integer as `length` big-endian bytes; RangeError where it does not fit. */
export function writeUint(value: number, length: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * length)) {
    throw new RangeError(`expected an integer of ${length} bytes, got ${value}`);
  }
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) {
    bytes[i] = rest % 256;
  }
  return bytes;
}

/** The unsigned big-endian integer in `length` bytes at `offset`; at most 6 bytes are exact. */
export function readUint(bytes: Uint8Array, offset: number, length: number): number {
  if (offset < 0 || offset + length > bytes.length) throw new RangeError('read past the end');
  let value = 0;
  for (let i = 0; i < length; i++) value = value * 256 + (bytes[offset + i] as number);
  return value;
}
