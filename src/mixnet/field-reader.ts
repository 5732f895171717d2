/**
 * Reads the msgpack of an envelope one expected value after the other. A general decoder reserves
 * room for every array as long as its header says: 32 kB of nested headers would take 870 MB, and
 * whoever can send a packet can send them. Here nothing is reserved that is not there.
 */
import { readUint, toUtf8 } from '../bytes.ts';

/** A form of a value: its first byte, and the bytes of the length or number that follow it. */
type Form = readonly [tag: number, lengthBytes: number];

const ARRAYS: readonly Form[] = [
  [0xdc, 2],
  [0xdd, 4],
];
const STRINGS: readonly Form[] = [
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
];
const BYTES: readonly Form[] = [
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
];
const COUNTS: readonly Form[] = [
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
];
const NIL = 0xc0;
const FALSE = 0xc2;
const TRUE = 0xc3;
const COUNT_OF_8_BYTES = 0xcf;

/**
 * Each method gives null, and reads nothing, where the bytes are not that. Longer forms of a value
 * are read like the shortest one: compare what was read with its encoding.
 */
export class FieldReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The number of items of an array that starts here. */
  array(): number | null {
    return this.#small(0x90, 0x0f) ?? this.#number(ARRAYS);
  }

  /** The string that starts here; null also where its bytes are not UTF-8. */
  string(): string | null {
    const start = this.#at;
    const bytes = this.#take(this.#small(0xa0, 0x1f) ?? this.#number(STRINGS), start);
    if (bytes === null) return null;
    try {
      return toUtf8(bytes);
    } catch {
      this.#at = start;
      return null;
    }
  }

  /** The byte string that starts here, as a view. */
  bytes(): Uint8Array | null {
    return this.#take(this.#number(BYTES), this.#at);
  }

  /** The whole number from 0 to 2^53 - 1 that starts here. */
  count(): number | null {
    const start = this.#at;
    const count = this.#small(0x00, 0x7f) ?? this.#number(COUNTS);
    if (count !== null || this.#bytes[start] !== COUNT_OF_8_BYTES) return count;
    if (start + 9 > this.#bytes.length) return null;
    const value = readUint(this.#bytes, start + 1, 8);
    if (!Number.isSafeInteger(value)) return null;
    this.#at = start + 9;
    return value;
  }

  /** Whether nil stands here; if so it is read. */
  nil(): boolean {
    return this.#is(NIL);
  }

  /** True or false, as it stands here. */
  boolean(): boolean | null {
    if (this.#is(TRUE)) return true;
    return this.#is(FALSE) ? false : null;
  }

  #is(tag: number): boolean {
    if (this.#bytes[this.#at] !== tag) return false;
    this.#at += 1;
    return true;
  }

  /** A number within the first byte itself: `tag` and up to `max`, whose bits are all ones. */
  #small(tag: number, max: number): number | null {
    const first = this.#bytes[this.#at];
    if (first === undefined || (first & ~max) !== tag) return null;
    this.#at += 1;
    return first & max;
  }

  #number(forms: readonly Form[]): number | null {
    const form = forms.find(([tag]) => tag === this.#bytes[this.#at]);
    if (form === undefined || this.#at + 1 + form[1] > this.#bytes.length) return null;
    const value = readUint(this.#bytes, this.#at + 1, form[1]);
    this.#at += 1 + form[1];
    return value;
  }

  /** The next `length` bytes; back to `start` where they are not all there. */
  #take(length: number | null, start: number): Uint8Array | null {
    if (length === null || this.#at + length > this.#bytes.length) {
      this.#at = start;
      return null;
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
