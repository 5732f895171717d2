import test from 'ava';
import fc from 'fast-check';
import {
  concat,
  equalBytes,
  fromBase64url,
  fromHex,
  fromUtf8,
  readUint,
  toBase64url,
  toHex,
  toUtf8,
  writeUint,
} from '../src/bytes.ts';

test('hex and base64url give back what went in', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      t.deepEqual(fromHex(toHex(bytes)), bytes);
      t.deepEqual(fromBase64url(toBase64url(bytes)), bytes);
    }),
  );
});

for (const text of ['A', 'AB==', 'A+', 'A/', 'AB', 'AAB', 'AA A', 'é']) {
  test(`base64url refuses ${JSON.stringify(text)}, which toBase64url never writes`, (t) => {
    t.is(fromBase64url(text), null);
  });
}

test('base64url reads exactly what it writes, of texts that are nearly right too', (t) => {
  const nearly = fc.string({
    maxLength: 12,
    unit: fc.constantFrom(...'ABCDEFGHQRSgwz0189-_-_+/= \n\t\0é'.split('')),
  });
  fc.assert(
    fc.property(nearly, (text) => {
      const bytes = fromBase64url(text);
      // Node's own reader takes anything; what it reads and writes again tells which text is the one.
      const isOurs = Buffer.from(text, 'base64url').toString('base64url') === text;
      t.is(bytes === null ? null : toBase64url(bytes), isOurs ? text : null);
    }),
    { numRuns: 5_000 },
  );
});

for (const text of ['a', 'zz', '0x00', ' 00']) {
  test(`hex refuses ${JSON.stringify(text)}`, (t) => {
    t.is(fromHex(text), null);
  });
}

test.serial('base64url works where the engine has no Uint8Array base64', (t) => {
  const bytes = Uint8Array.from({ length: 70_001 }, (_, i) => i % 251);
  const text = toBase64url(bytes);
  const restore = [take(Uint8Array.prototype, 'toBase64'), take(Uint8Array, 'fromBase64')];
  t.is(toBase64url(bytes), text);
  t.deepEqual(fromBase64url(text), bytes);
  for (const put of restore) put();
});

function take(from: object, name: string): () => void {
  const descriptor = Reflect.getOwnPropertyDescriptor(from, name);
  Reflect.deleteProperty(from, name);
  return () => {
    if (descriptor) Reflect.defineProperty(from, name, descriptor);
  };
}

test('integers are written big-endian and read back', (t) => {
  t.deepEqual(writeUint(0x010203, 4), new Uint8Array([0, 1, 2, 3]));
  t.is(readUint(writeUint(2 ** 47 + 5, 6), 0, 6), 2 ** 47 + 5);
  t.throws(() => writeUint(256, 1), { instanceOf: RangeError });
  t.throws(() => writeUint(-1, 4), { instanceOf: RangeError });
  t.throws(() => readUint(new Uint8Array(3), 0, 4), { instanceOf: RangeError });
});

test('bytes are joined in order and compared by value', (t) => {
  t.deepEqual(
    concat(new Uint8Array([1]), new Uint8Array(), new Uint8Array([2, 3])),
    new Uint8Array([1, 2, 3]),
  );
  t.true(equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 2])));
  t.false(equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 3])));
  t.false(equalBytes(new Uint8Array([1]), new Uint8Array([1, 0])));
});

test('a byte order mark is part of a text: two byte strings never spell one', (t) => {
  const marked = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61);
  t.is(toUtf8(marked), '\ufeffa');
  t.deepEqual(fromUtf8(toUtf8(marked)), marked);
});
