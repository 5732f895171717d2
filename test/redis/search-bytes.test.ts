import { randomBytes } from 'node:crypto';

import test from 'ava';

import { findBytes } from './search-bytes.ts';
import type { Source } from './search-bytes.ts';

const SECRET = randomBytes(200);
const NOISE = randomBytes(5_000);

const SPELLINGS: Record<string, (bytes: Buffer) => string> = {
  raw: (bytes) => bytes.toString('latin1'),
  hex: (bytes) => bytes.toString('hex'),
  HEX: (bytes) => bytes.toString('hex').toUpperCase(),
  base64: (bytes) => bytes.toString('base64'),
  base64url: (bytes) => bytes.toString('base64url'),
};
for (const [spelling, spell] of Object.entries(SPELLINGS)) {
  test(`a secret, or 18 bytes of one, is found in ${spelling}, wherever it starts`, (t) => {
    for (let shift = 0; shift < 60; shift++) {
      for (const piece of [SECRET, SECRET.subarray(shift, shift + 18)]) {
        const text = Buffer.concat([NOISE.subarray(0, shift), piece, NOISE.subarray(shift)]);
        const written = source(Buffer.from(`x${spell(text)}`, 'latin1'));
        const found = findBytes([{ name: 'secret', bytes: SECRET }], [written]);
        t.is(found.length, 1, `${piece.length} bytes from ${shift} on`);
        t.like(found[0], { needle: 'secret', source: 'it' });
      }
    }
  });
}

test('exactly 16 bytes in a row are found raw and in hex, 15 are not', (t) => {
  const needle = { name: 'secret', bytes: SECRET };
  for (let from = 1; from < 180; from++) {
    for (const [length, times] of [
      [16, 1],
      [15, 0],
    ] as const) {
      // With bytes around it that are surely not those of the secret.
      const piece = Buffer.from(SECRET.subarray(from - 1, from + length + 1));
      for (const at of [0, length + 1]) piece[at] = (piece[at] ?? 0) ^ 0xff;
      const hex = piece.subarray(1, -1).toString('hex');
      for (const bytes of [piece, Buffer.from(`x${hex}x`)]) {
        const found = findBytes([needle], [source(Buffer.concat([NOISE, bytes, NOISE]))]);
        t.is(found.length, times, `${length} bytes from ${from} on`);
      }
    }
  }
});

test('an id is found in hex, also where some of its digits repeat', (t) => {
  for (const id of ['2ada2aaa0189e83bcd987970495a63f6', '0123456789abcdefaaaaaaaabbbbbbbb']) {
    const needle = { name: 'id', bytes: Buffer.from(id, 'hex') };
    t.is(findBytes([needle], [source(`record:${id}`)]).length, 1, id);
  }
});

test('a short secret is found as a whole; noise and padding are not', (t) => {
  const short = { name: 'short', bytes: Buffer.from('Subject: x') };
  const padded = { name: 'padded', bytes: Buffer.concat([Buffer.alloc(300), SECRET]) };
  t.is(findBytes([short], [source('… Subject: x …')]).length, 1);
  t.is(findBytes([short], [source('… Subject: y …')]).length, 0);
  t.is(findBytes([padded], [source(Buffer.alloc(1_000)), source(NOISE)]).length, 0);
  t.throws(() => findBytes([{ name: 'tiny', bytes: Buffer.from('tiny') }], []));
});

function source(text: string | Buffer): Source {
  return { name: 'it', bytes: Buffer.from(text) };
}
