import test from 'ava';
import fc from 'fast-check';
import { fromUtf8, toUtf8 } from '../../src/bytes.ts';
import {
  canonicalise,
  fieldText,
  HEADER_BYTES_MAX,
  scanHeader,
  withoutFields,
} from '../../src/mail/message.ts';

const CANONICAL: readonly [from: string, to: string, why: string][] = [
  ['', '', 'nothing'],
  ['a\r\n', 'a\r\n', 'CRLF stays'],
  ['a\n', 'a\r\n', 'bare LF'],
  ['a\r', 'a\r\n', 'bare CR at the end'],
  ['a\rb\r\n', 'a\r\nb\r\n', 'bare CR inside'],
  ['\n\n', '\r\n\r\n', 'LF after LF'],
  ['\r\r', '\r\n\r\n', 'CR after CR'],
  ['\r\r\n', '\r\n\r\n', 'CR before CRLF'],
  ['\n\r', '\r\n\r\n', 'LF CR are two ends'],
  ['a', 'a\r\n', 'no end at the end'],
  ['a\r\nb', 'a\r\nb\r\n', 'no end at the end of the second line'],
  ['\0\n\0', '\0\r\n\0\r\n', 'NUL stays'],
  ['a\n.\r\nb\r\n', 'a\r\n.\r\nb\r\n', 'LF dot CRLF, which smuggles, is a line with a dot'],
];

for (const [from, to, why] of CANONICAL) {
  test(`line ends are made CRLF: ${why}`, (t) => {
    t.is(toUtf8(canonicalise(fromUtf8(from))), to);
  });
}

const bytes = fc.uint8Array({ maxLength: 200 });
const lines = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', '.', 'a', '\0', 'é'), { maxLength: 60 })
  .map((parts) => fromUtf8(parts.join('')));

test('canonical bytes have no bare CR or LF, end with CRLF, and are canonical for good', (t) => {
  fc.assert(
    fc.property(fc.oneof(bytes, lines), (data) => {
      const before = data.slice();
      const canonical = canonicalise(data);
      const text = Buffer.from(canonical).toString('latin1');
      t.false(/\r(?!\n)|(?<!\r)\n/.test(text));
      t.true(text === '' || text.endsWith('\r\n'));
      t.is(canonicalise(canonical), canonical);
      t.deepEqual(data, before);
      // Nothing but line ends has changed.
      const original = bare(Buffer.from(data).toString('latin1'));
      t.is(bare(text), original === '' || original.endsWith('\n') ? original : `${original}\n`);
    }),
    { numRuns: 2000 },
  );
});

test('nine megabytes are made canonical and looked at in well under a second', (t) => {
  for (const unit of ['\n', '\r', 'x', '.\r\n', 'X: y\n', ' \r\n']) {
    const data = Buffer.alloc(9_000_000, unit);
    const startMs = performance.now();
    scanHeader(canonicalise(data));
    t.true(performance.now() - startMs < 1500, `${JSON.stringify(unit)} took too long`);
  }
});

test('a header ends at the first empty line', (t) => {
  const data = fromUtf8('A: 1\r\nB: 2\r\n\r\nC: 3\r\n');
  t.deepEqual(
    scanHeader(data).fields.map(({ name }) => name),
    ['a', 'b'],
  );
});

test('a field spans its continuation lines, and its text is unfolded', (t) => {
  const data = fromUtf8('A: one\r\n two\r\n\tthree\r\nB: x\r\n\r\n');
  const [first] = scanHeader(data).fields;
  t.is(first && fieldText(data, first), 'one two\tthree');
  t.is(first?.end, 22);
});

const HEADERS: readonly [text: string, names: readonly string[], why: string][] = [
  ['hello world\r\nA: 1\r\n\r\n', [], 'a first line without colon is body, and so is the rest'],
  [
    'A: 1\r\nno field\r\nB: 2\r\n\r\n',
    ['a'],
    'a line without colon ends the header, as in Postfix',
  ],
  [' A: 1\r\nB: 2\r\n\r\n', [], 'a continuation of nothing is body'],
  [': 1\r\nB: 2\r\n\r\n', [], 'no name before the colon'],
  ['A : 1\r\nB\t: 2\r\n\r\n', ['a', 'b'], 'blanks before the colon (RFC 5322 §4.5)'],
  ['A b: 1\r\n\r\n', [], 'a blank in the name'],
  ['Ä: 1\r\n\r\n', [], 'a name that is not ASCII'],
  ['A\0: 1\r\n\r\n', [], 'NUL in the name'],
  ['A: 1', ['a'], 'no end at the end'],
  ['A: 1\r\nB', ['a'], 'cut in a name'],
  ['A:\r\n\r\n', ['a'], 'an empty body'],
  ['From a@b Mon\r\nA: 1\r\n\r\n', [], 'an mbox line is no field; Postfix rewrites it before us'],
  ['\r\nA: 1\r\n', [], 'empty line first'],
  ['A: 1\r\n \r\nB: 2\r\n\r\n', ['a', 'b'], 'a continuation of blanks is no empty line'],
];

for (const [text, names, why] of HEADERS) {
  test(`a header is read as Postfix reads it: ${why}`, (t) => {
    t.deepEqual(
      scanHeader(fromUtf8(text)).fields.map(({ name }) => name),
      names,
    );
  });
}

test('a header is looked at as far as its limit, and says so', (t) => {
  const line = `X: ${'y'.repeat(1019)}\r\n`;
  const within = fromUtf8(`${line.repeat(HEADER_BYTES_MAX / 1024 - 1)}\r\nbody`);
  t.false(scanHeader(within).truncated);
  const beyond = fromUtf8(`${line.repeat(HEADER_BYTES_MAX / 1024 + 1)}\r\nbody`);
  t.true(scanHeader(beyond).truncated);
});

test('taking fields away leaves every other byte, and the input', (t) => {
  const data = fromUtf8('A: 1\r\nB: 2\r\n more\r\nC: 3\r\n\r\nB: body\r\n');
  const copy = data.slice();
  const fields = scanHeader(data).fields.filter(({ name }) => name !== 'c');
  t.is(toUtf8(withoutFields(data, fields)), 'C: 3\r\n\r\nB: body\r\n');
  t.deepEqual(data, copy);
  t.is(withoutFields(data, []), data);
});

function bare(text: string): string {
  return text.replace(/\r\n|\r|\n/g, '\n');
}
