import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { encode } from '@msgpack/msgpack';
import test from 'ava';
import fc from 'fast-check';
import { concat } from '../../src/bytes.ts';
import { FieldReader } from '../../src/mixnet/field-reader.ts';

const read = {
  array: (reader: FieldReader) => reader.array(),
  string: (reader: FieldReader) => reader.string(),
  bytes: (reader: FieldReader) => reader.bytes(),
  count: (reader: FieldReader) => reader.count(),
  nil: (reader: FieldReader) => (reader.nil() ? null : undefined),
  boolean: (reader: FieldReader) => reader.boolean(),
};
const values = fc.oneof(
  fc.string({ unit: 'grapheme' }).map((value) => ['string', value] as const),
  fc.constantFrom(31, 32, 255, 256, 70_000).map((n) => ['string', 'x'.repeat(n)] as const),
  fc.uint8Array({ maxLength: 300 }).map((value) => ['bytes', value] as const),
  fc.constant(['bytes', new Uint8Array(70_000)] as const),
  fc.maxSafeNat().map((value) => ['count', value] as const),
  fc.constantFrom(0, 127, 128, 2 ** 16, 2 ** 32, 2 ** 48).map((n) => ['count', n] as const),
  fc.boolean().map((value) => ['boolean', value] as const),
  fc.constant(['nil', null] as const),
);

test('what msgpack writes is read back, in any order', (t) => {
  fc.assert(
    fc.property(fc.array(values), (fields) => {
      const reader = new FieldReader(encode(fields.map(([, value]) => value)));
      t.is(reader.array(), fields.length);
      for (const [kind, value] of fields) t.deepEqual(read[kind](reader), value);
    }),
  );
});

test('any bytes give a value or null, and what is no such value is not read', (t) => {
  const kinds = fc.array(fc.constantFrom(...(Object.keys(read) as (keyof typeof read)[])));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), kinds, (bytes, order) => {
      const reader = new FieldReader(concat(bytes, encode('end')));
      for (const kind of order) t.notThrows(() => read[kind](reader));
    }),
  );
  for (const [first, second] of [
    ['bytes', 'string'],
    ['string', 'bytes'],
    ['count', 'boolean'],
  ] as const) {
    const value = { bytes: new Uint8Array(9), string: 'text', boolean: true }[second];
    const reader = new FieldReader(encode(value));
    t.is(read[first](reader), null);
    t.deepEqual(read[second](reader), value);
  }
});

for (const [what, bytes] of [
  ['a string cut short', [0xa5, 0x61]],
  ['a length cut short', [0xda, 0x00]],
  ['a string that is no UTF-8', [0xa1, 0xff]],
] as const) {
  test(`${what} is none`, (t) => {
    t.is(new FieldReader(Uint8Array.from(bytes)).string(), null);
  });
}

test('a number beyond 2^53 is none', (t) => {
  t.is(new FieldReader(Uint8Array.of(0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0)).count(), null);
  t.is(new FieldReader(Uint8Array.of(0xcf, 0, 0x1f)).count(), null);
});

test('nested array headers in a forged envelope once took 870 MB of an exit', async (t) => {
  // In a thread with little memory: a general decoder ends it.
  const worker = new Worker(
    `void (async () => {
     const { verifyEnvelope } = await import(process.argv[2]);
     const { native } = await import(process.argv[3]);
     const forged = new Uint8Array(64 + 32_100);
     for (let i = 64; i < forged.length; i += 3) forged.set([0xdc, 0x27, 0x10], i);
     const twelve = forged.with(64, 0x9c).with(65, 1).with(66, 0xc4);
     for (const text of [forged, twelve]) {
       if (verifyEnvelope(native, text).reason !== 'envelope-malformed') throw new Error('taken');
     }
     })();`,
    {
      eval: true,
      argv: [
        new URL('../../src/mixnet/envelope.ts', import.meta.url).href,
        new URL('../../src/crypto/native.ts', import.meta.url).href,
      ],
      resourceLimits: { maxOldGenerationSizeMb: 64 },
    },
  );
  t.deepEqual(await once(worker, 'exit'), [0]);
});
