/** Changes to what consists of lines: mail, SMTP, configuration. Line ends are the most hostile part of it. */
import { concat } from '../../src/bytes.ts';
import type { Around, Mutation } from './mutation.ts';

const LF = 0x0a;
const ENDS = [
  '\r\n',
  '\n',
  '\r',
  '\r\r\n',
  '\r\n\r\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r\n.\r\n',
  '\0\r\n',
  '',
];

/** Each line with its end. */
function linesOf(input: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < input.length;) {
    const newline = input.indexOf(LF, from);
    const end = newline < 0 ? input.length : newline + 1;
    lines.push(input.subarray(from, end));
    from = end;
  }
  return lines;
}

/** A change of the list of lines, which must not be empty. */
function onLines(change: (lines: Uint8Array[], around: Around) => void): Mutation {
  return (input, around) => {
    const lines = linesOf(input);
    if (lines.length === 0) return input;
    change(lines, around);
    return concat(...lines);
  };
}

const removeLine = onLines((lines, { dice }) => void lines.splice(dice.below(lines.length), 1));

const repeatLine = onLines((lines, { dice, inputBytesMax }) => {
  const at = dice.below(lines.length);
  const line = lines[at] as Uint8Array;
  const room = Math.max(1, Math.floor(inputBytesMax / Math.max(1, line.length)));
  const times = dice.once(16) ? Math.min(room, 4096) : 1;
  // Not by spread: more arguments than a call may have.
  const copies = Array.from({ length: times }, () => line);
  const before = lines.splice(0, at);
  const after = lines.splice(0);
  for (const part of [before, copies, after]) for (const one of part) lines.push(one);
});

const moveLine = onLines((lines, { dice }) => {
  const [line] = lines.splice(dice.below(lines.length), 1);
  if (line) lines.splice(dice.below(lines.length + 1), 0, line);
});

const otherEnd = onLines((lines, { dice }) => {
  const at = dice.below(lines.length);
  const text = Buffer.from(lines[at] as Uint8Array).toString('latin1');
  lines[at] = Buffer.from(text.replace(/[\r\n]*$/, dice.pick(ENDS)), 'latin1');
});

/** A line of another input, or a word as a line of its own. */
const foreignLine = onLines((lines, { dice, dictionary, other }) => {
  const theirs = linesOf(other);
  const word = dictionary.length > 0 && dice.once(2) ? dice.pick(dictionary) : null;
  const line = word ? concat(word, Buffer.from('\r\n')) : theirs[dice.below(theirs.length)];
  if (line) lines.splice(dice.below(lines.length + 1), 0, line);
});

/** White space where a long field may be folded, and where it may not. */
const fold = onLines((lines, { dice }) => {
  const at = dice.below(lines.length);
  const line = lines[at] as Uint8Array;
  const cut = dice.below(line.length + 1);
  const blank = Buffer.from(dice.pick(['\r\n ', '\r\n\t', ' ', '\t', '\r\n \r\n ', '\n ']));
  lines[at] = concat(line.subarray(0, cut), blank, line.subarray(cut));
});

/** Lines without an end that is one, and ones longer than any limit. */
const longLine = onLines((lines, { dice, inputBytesMax }) => {
  const at = dice.below(lines.length);
  const line = lines[at] as Uint8Array;
  const length = Math.min(inputBytesMax, dice.pick([998, 1000, 4096, 30_000, 60_000]));
  const cut = dice.below(line.length + 1);
  const filling = new Uint8Array(length).fill(
    dice.pick([0x61, 0x20, 0x20, 0x09, 0x2e, 0x3b, 0x2c, 0x40, 0xc3]),
  );
  lines[at] = concat(line.subarray(0, cut), filling, line.subarray(cut));
});

export const LINE_MUTATIONS: readonly Mutation[] = [
  removeLine,
  repeatLine,
  moveLine,
  otherEnd,
  otherEnd,
  foreignLine,
  foreignLine,
  fold,
  longLine,
  longLine,
];
