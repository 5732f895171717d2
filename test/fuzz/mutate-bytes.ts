/** Changes that know nothing of what the bytes mean, and of numbers that say how long something is. */
import { concat, writeUint } from '../../src/bytes.ts';
import type { Around, Mutation } from './mutation.ts';
import type { Dice } from './random.ts';

/** Bytes at which parsers turn: ends of ranges, line ends, quotes, msgpack and UTF-8 marks. */
const EDGES = [
  0x00, 0x01, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x22, 0x2e, 0x3a, 0x5c, 0x7f, 0x80, 0x90, 0xbf, 0xc0,
  0xc4, 0xc5, 0xc6, 0xd9, 0xdd, 0xe2, 0xed, 0xf4, 0xfe, 0xff,
];

function flipBit(input: Uint8Array, { dice }: Around): Uint8Array {
  return overwrite(input, dice, (byte) => byte ^ (1 << dice.below(8)));
}

function setByte(input: Uint8Array, { dice }: Around): Uint8Array {
  return overwrite(input, dice, () => (dice.once(2) ? dice.pick(EDGES) : dice.below(256)));
}

function removeRange(input: Uint8Array, { dice }: Around): Uint8Array {
  const [start, end] = range(input, dice);
  return concat(input.subarray(0, start), input.subarray(end));
}

function insertWord(input: Uint8Array, { dice, dictionary }: Around): Uint8Array {
  const word = dictionary.length === 0 ? bytesOf(dice) : dice.pick(dictionary);
  const at = dice.below(input.length + 1);
  const end = dice.once(2) ? Math.min(input.length, at + word.length) : at;
  return concat(input.subarray(0, at), word, input.subarray(end));
}

function insertBytes(input: Uint8Array, { dice }: Around): Uint8Array {
  const at = dice.below(input.length + 1);
  return concat(input.subarray(0, at), bytesOf(dice), input.subarray(at));
}

function copyRange(input: Uint8Array, { dice }: Around): Uint8Array {
  const [start, end] = range(input, dice);
  const at = dice.below(input.length + 1);
  return concat(input.subarray(0, at), input.subarray(start, end), input.subarray(at));
}

function truncate(input: Uint8Array, { dice }: Around): Uint8Array {
  return input.slice(0, dice.below(input.length));
}

/** The beginning of one and the end of another. */
function cross(input: Uint8Array, { dice, other }: Around): Uint8Array {
  return concat(
    input.subarray(0, dice.below(input.length + 1)),
    other.subarray(dice.below(other.length + 1)),
  );
}

/** A number of 1 to 6 bytes where a length may stand: what is left, about it, nothing, far too much. */
function setLength(input: Uint8Array, { dice }: Around): Uint8Array {
  const width = dice.pick([1, 1, 2, 4, 4, 6, 8]);
  if (input.length < width) return input;
  const at = dice.below(input.length - width + 1);
  const left = input.length - at - width;
  const most = 2 ** (8 * Math.min(width, 6)) - 1;
  const wanted = dice.pick([0, 1, left, left - 1, left + 1, most, most - 1, Math.floor(most / 2)]);
  const number = writeUint(Math.max(0, Math.min(wanted, most)), Math.min(width, 6));
  const changed = input.slice();
  changed.set(number, at + width - number.length);
  return changed;
}

/** The same over and over, up to the longest input: what takes more than its share of time shows here. */
function grow(input: Uint8Array, { dice, inputBytesMax }: Around): Uint8Array {
  if (!dice.once(12)) return copyRange(input, { dice } as Around);
  const [start, end] = range(input, dice, 40);
  const piece = input.subarray(start, end);
  const room = inputBytesMax - input.length;
  if (piece.length === 0 || room < piece.length) return input;
  const times = dice.once(2) ? Math.floor(room / piece.length) : 2 ** dice.below(10);
  const grown = new Uint8Array(Math.min(room, times * piece.length));
  for (let i = 0; i < grown.length; i++) grown[i] = piece[i % piece.length] as number;
  return concat(input.subarray(0, end), grown, input.subarray(end));
}

export const BYTE_MUTATIONS: readonly Mutation[] = [
  flipBit,
  setByte,
  removeRange,
  insertWord,
  insertWord,
  insertBytes,
  copyRange,
  truncate,
  cross,
  setLength,
  grow,
];

/** For what has one length, such as packets: nothing longer or shorter gets past the first check. */
export const SAME_LENGTH_MUTATIONS: readonly Mutation[] = [flipBit, setByte, setLength, flipBit];

function overwrite(input: Uint8Array, dice: Dice, change: (byte: number) => number): Uint8Array {
  if (input.length === 0) return input;
  const at = dice.below(input.length);
  const changed = input.slice();
  changed[at] = change(changed[at] as number);
  return changed;
}

/** A part of the input, mostly a short one. */
function range(input: Uint8Array, dice: Dice, bytesMax = input.length): [number, number] {
  const start = dice.below(input.length + 1);
  const longest = Math.min(bytesMax, input.length - start, 2 ** dice.below(16));
  return [start, start + dice.below(longest + 1)];
}

function bytesOf(dice: Dice): Uint8Array {
  return Uint8Array.from({ length: 1 + dice.below(8) }, () => dice.below(256));
}
