/**
 * The three things of msgpack that the reference writes: arrays of up to 15, short strings, byte
 * strings. Only the shortest form of each is read, so every value has exactly one encoding; a general
 * decoder would accept many, which a hostile sender could use to tell packets apart.
 */

import { concat, equalBytes, readUint, writeUint } from '../bytes.ts';

const ARRAY = 0x90; // fixarray: 0x90 + count
/** Byte strings: tag, bytes of the length field, and the least length that needs that field. */
const BINARY = [
  { tag: 0xc4, lengthBytes: 1, least: 0 },
  { tag: 0xc5, lengthBytes: 2, least: 2 ** 8 },
  { tag: 0xc6, lengthBytes: 4, least: 2 ** 16 },
] as const;

/** An array of the encoded items, at most 15. */
export function encodeArray(...items: readonly Uint8Array[]): Uint8Array {
  return concat(Uint8Array.of(ARRAY + items.length), ...items);
}

/** A byte string in its shortest form. */
export function encodeBinary(bytes: Uint8Array): Uint8Array {
  const { tag, lengthBytes } = binaryForm(bytes.length);
  return concat(Uint8Array.of(tag), writeUint(bytes.length, lengthBytes), bytes);
}

/** Bytes that a byte string of that length takes, its tag and length field included. */
export function binaryBytes(length: number): number {
  return 1 + binaryForm(length).lengthBytes + length;
}

function binaryForm(length: number): (typeof BINARY)[number] {
  if (length >= BINARY[2].least) return BINARY[2];
  return length >= BINARY[1].least ? BINARY[1] : BINARY[0];
}

/** Reads encoded values one after the other; each method gives null where the bytes are not that. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether everything has been read. */
  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** The number of items of an array that starts here. */
  arrayCount(): number | null {
    const first = this.#bytes[this.#offset];
    if (first === undefined || (first & 0xf0) !== ARRAY) return null;
    this.#offset += 1;
    return first & 0x0f;
  }

  /** Whether exactly these bytes come next; if so they are read. */
  takes(expected: Uint8Array): boolean {
    const next = this.#bytes.subarray(this.#offset, this.#offset + expected.length);
    if (!equalBytes(next, expected)) return false;
    this.#offset += expected.length;
    return true;
  }

  /** The byte string that starts here, as a view. */
  binary(): Uint8Array | null {
    const form = BINARY.find(({ tag }) => tag === this.#bytes[this.#offset]);
    if (form === undefined) return null;
    const start = this.#offset + 1 + form.lengthBytes;
    if (start > this.#bytes.length) return null;
    const length = readUint(this.#bytes, this.#offset + 1, form.lengthBytes);
    if (length < form.least || start + length > this.#bytes.length) return null;
    this.#offset = start + length;
    return this.#bytes.subarray(start, this.#offset);
  }
}
