import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { DataParser } from '../../filters/data-parser.ts';
import { stuff } from '../../filters/stuff.ts';
import { canonicalise } from '../../src/mail/message.ts';

/** Feeds the wire bytes in pieces; the message, and the command lines read after it. */
async function read(
  wire: Buffer,
  cuts: readonly number[],
): Promise<{ message: Buffer; commands: string[] }> {
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
  return { message: Buffer.concat(chunks), commands };
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

test('nine megabytes of dots cost no more than nine megabytes of letters, about', async (t) => {
  const lastMs: number[] = [];
  for (const line of ['xx\r\n', '..\r\n']) {
    const wire = Buffer.concat([Buffer.alloc(9_000_000, line), Buffer.from('.\r\n')]);
    const cuts = Array.from({ length: wire.length / 65_536 }, (_, i) => i * 65_536);
    const startMs = performance.now();
    await read(wire, cuts);
    lastMs.push(performance.now() - startMs);
  }
  t.log(`letters ${lastMs[0]?.toFixed()} ms, dots ${lastMs[1]?.toFixed()} ms`);
  t.true((lastMs[1] as number) < 10 * (lastMs[0] as number) + 200);
});
