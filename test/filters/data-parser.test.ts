import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { DataParser } from '../../filters/data-parser.ts';
import { stuff } from '../../filters/stuff.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { medianOf, stuffedBody } from '../bench/dot-heavy.ts';

/** Feeds the wire bytes in pieces; the message, and the command lines read after it. */
async function read(
  wire: Buffer,
  cuts: readonly number[],
): Promise<{ message: Buffer; commands: string[]; pieces: number }> {
  const parser = new DataParser();
  const commands: string[] = [];
  parser.oncommand = (line, callback) => {
    commands.push(line.toString('latin1'));
    callback?.();
  };
  const chunks: Buffer[] = [];
  const stream = parser.startDataMode();
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<void>((resolve) => {
    stream.once('end', () => {
      parser.continue();
      resolve();
    });
  });
  let from = 0;
  for (const cut of [...cuts, wire.length]) {
    if (cut > from) parser.write(wire.subarray(from, cut));
    from = Math.max(from, cut);
  }
  await ended;
  await new Promise((resolve) => setImmediate(resolve));
  return { message: Buffer.concat(chunks), commands, pieces: chunks.length };
}

/** One row in every way of cutting it in two, and byte by byte. */
async function everyCut(t: ExecutionContext, wire: string, message: string, rest: string[]) {
  const bytes = Buffer.from(wire, 'latin1');
  const all = bytes.map((_, i) => i);
  for (const cuts of [...Array.from(all, (_, i) => [i]), [...bytes.keys()]]) {
    const found = await read(bytes, cuts);
    t.is(found.message.toString('latin1'), message, `cut at ${cuts.join(',')}`);
    t.deepEqual(found.commands, rest, `cut at ${cuts.join(',')}`);
  }
}

const ROWS: readonly [wire: string, message: string, commands: string[], why: string][] = [
  ['.\r\n', '', [], 'an empty message'],
  ['a\r\n.\r\n', 'a\r\n', [], 'one line'],
  ['a\r\n.\r\nNOOP\r\n', 'a\r\n', ['NOOP'], 'a command behind it'],
  ['..\r\n.\r\n', '.\r\n', [], 'a stuffed dot first, which is no end, however it is cut'],
  ['..\r\nQUIT\r\n.\r\n', '.\r\nQUIT\r\n', [], 'a command-like line behind a stuffed dot'],
  ['a\r\n..b\r\n.\r\n', 'a\r\n.b\r\n', [], 'a stuffed dot'],
  ['a\r\n.b\r\n.\r\n', 'a\r\nb\r\n', [], 'a dot that was not stuffed goes (RFC 5321 §4.5.2)'],
  ['a\n.\r\nb\r\n.\r\n', 'a\n.\r\nb\r\n', [], 'LF dot CRLF ends nothing'],
  ['a\n..\nb\r\n.\r\n', 'a\n..\nb\r\n', [], 'no dot goes after a bare LF'],
  ['a\r.\r\nb\r\n.\r\n', 'a\r.\r\nb\r\n', [], 'CR dot CRLF ends nothing'],
  ['a\r\n.\nb\r\n.\r\n', 'a\r\n\nb\r\n', [], 'CRLF dot LF ends nothing'],
  ['a\r\n.\rb\r\n.\r\n', 'a\r\n\rb\r\n', [], 'CRLF dot CR ends nothing'],
  ['a\r\n.\r\r\n.\r\n', 'a\r\n\r\r\n', [], 'CRLF dot CR CR LF ends nothing'],
  ['a\r\r\n.\r\n', 'a\r\r\n', [], 'CR CRLF dot CRLF ends'],
  ['\0\r\n.\r\n', '\0\r\n', [], 'NUL'],
  ['\r\n.\r\n', '\r\n', [], 'an empty line'],
];

for (const [wire, message, commands, why] of ROWS) {
  test(`DATA is read the same however it is cut: ${why}`, async (t) => {
    await everyCut(t, wire, message, commands);
  });
}

test('what is canonical is stuffed and read back unchanged, however it is cut', async (t) => {
  const text = fc
    .array(fc.constantFrom('\r', '\n', '\r\n', '.', '..', 'a', '\0', '\r\n.'), { maxLength: 40 })
    .map((parts) => canonicalise(Buffer.from(parts.join(''), 'latin1')));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(60), { maxLength: 5 }), async (message, cuts) => {
      const wire = Buffer.concat([stuff(message), Buffer.from('.\r\n')]);
      const inside = cuts.filter((cut) => cut < wire.length).toSorted((a, b) => a - b);
      const found = await read(wire, inside);
      t.deepEqual(new Uint8Array(found.message), new Uint8Array(message));
      t.deepEqual(found.commands, []);
    }),
    { numRuns: 500 },
  );
});

/** Reads a body of one line, again and again, in pieces as they come; CPU in ms, and pieces that came out. */
async function readLines(line: string, bytes: number) {
  const wire = Buffer.concat([stuffedBody(line, bytes), Buffer.from('.\r\n')]);
  const cuts = Array.from({ length: wire.length / 65_536 }, (_, i) => i * 65_536);
  const before = process.cpuUsage();
  const { message, pieces } = await read(wire, cuts);
  const sent = stuff(canonicalise(message));
  const { user, system } = process.cpuUsage(before);
  return { costMs: (user + system) / 1_000, pieces, same: wire.length === sent.length + 3 };
}

test('a stuffed dot costs no turn of the event loop: as many pieces come out as with letters', async (t) => {
  const [letters, dots] = [
    await readLines('xx\r\n', 3_000_000),
    await readLines('..\r\n', 3_000_000),
  ];
  t.is(dots.pieces, letters.pieces);
  t.true(letters.same && dots.same);
});

// Serial, for it measures the CPU of this process.
test.serial(
  'reading and writing dots takes no more than 1.5 times the CPU of letters',
  async (t) => {
    const ratios: number[] = [];
    for (let turn = 0; turn < 9; turn++) {
      const letters = await readLines('xx\r\n', 3_000_000);
      const dots = await readLines('..\r\n', 3_000_000);
      ratios.push(dots.costMs / letters.costMs);
    }
    t.log(`ratios ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
    t.true(medianOf(ratios) <= 1.5, `median ${medianOf(ratios)}`);
  },
);
