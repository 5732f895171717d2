import { createCipheriv, createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { concat, fromHex, fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { LABELS, SEAL_OVERHEAD_BYTES } from '../../src/crypto/primitives.ts';

const SETS = [portable, native];

function hex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(' ', ''));
  if (!bytes) throw new Error(`not hex: ${text}`);
  return bytes;
}

for (const primitives of SETS) {
  const { name } = primitives;

  test(`${name}: hashes as FIPS 180-4 and RFC 4231 say, in one part or many`, (t) => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    t.is(toHex(primitives.sha256(fromUtf8('abc'))), abc);
    t.is(toHex(primitives.sha256(fromUtf8('a'), new Uint8Array(0), fromUtf8('bc'))), abc);
    // RFC 4231 §4.3
    const keyed = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843';
    const [key, data] = [fromUtf8('Jefe'), fromUtf8('what do ya want for nothing?')];
    t.is(toHex(primitives.hmacSha256(key, data)), keyed);
    t.is(toHex(primitives.hmacSha256(key, data.subarray(0, 5), data.subarray(5))), keyed);
  });

  test(`${name}: encrypts as NIST SP 800-38A F.5.1 says`, (t) => {
    const key = hex('2b7e151628aed2a6abf7158809cf4f3c');
    const iv = hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');
    const plain = hex('6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51');
    const sealed = '874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff';
    t.is(toHex(primitives.aes128Ctr(key, iv, plain)), sealed);
    t.deepEqual(Uint8Array.from(primitives.aes128Ctr(key, iv, hex(sealed))), plain);
  });

  test(`${name}: the counter of AES is all 16 bytes and wraps`, (t) => {
    const [key, iv] = [new Uint8Array(16), new Uint8Array(16).fill(0xff)];
    const block = (counter: Uint8Array) => primitives.aes128Ctr(key, counter, new Uint8Array(16));
    t.deepEqual(
      Uint8Array.from(primitives.aes128Ctr(key, iv, new Uint8Array(32))),
      concat(block(iv), block(new Uint8Array(16))),
    );
  });

  test(`${name}: signs as RFC 8032 §7.1 says`, (t) => {
    const secret = hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
    const publicKey = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
    t.is(toHex(primitives.signingPublicKey(secret)), publicKey);
    t.is(
      toHex(primitives.sign(secret, hex('72'))),
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
        '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
    for (const length of [0, 31, 33]) {
      t.throws(() => primitives.sign(new Uint8Array(length), hex('72')));
    }
  });

  test(`${name}: opens what it sealed, and nothing that was touched`, (t) => {
    const key = primitives.random(32);
    for (const length of [0, 1, 100]) {
      const [plain, context] = [primitives.random(length), fromUtf8('record 7')];
      const sealed = primitives.seal(key, plain, context);
      t.is(sealed.length, length + SEAL_OVERHEAD_BYTES);
      t.deepEqual(primitives.unseal(key, sealed, context), plain);
      for (let i = 0; i < sealed.length; i++) {
        const bad = Uint8Array.from(sealed);
        bad[i] = (bad[i] as number) ^ 0x10;
        t.is(primitives.unseal(key, bad, context), null, `byte ${i}`);
      }
      t.is(primitives.unseal(key, sealed, fromUtf8('record 8')), null);
      t.is(primitives.unseal(key, sealed, new Uint8Array(0)), null);
      t.is(primitives.unseal(primitives.random(32), sealed, context), null);
      t.is(primitives.unseal(key, sealed.subarray(1), context), null);
      t.is(primitives.unseal(key, sealed.subarray(0, 39), context), null);
      t.is(primitives.unseal(key, new Uint8Array(0), context), null);
      t.notDeepEqual(primitives.seal(key, plain, context), sealed, 'a nonce of its own each time');
    }
    t.throws(() => primitives.seal(key.subarray(1), key, key));
    t.throws(() => primitives.unseal(key.subarray(1), primitives.random(50), key), {
      instanceOf: RangeError,
    });
  });

  test(`${name}: draws as many bytes as asked, beyond what a browser gives at once`, (t) => {
    for (const length of [0, 1, 32, 65_536, 65_537, 200_000]) {
      t.is(primitives.random(length).length, length);
    }
    const last = primitives.random(200_000).subarray(-64);
    t.false(last.every((byte) => byte === 0));
    t.notDeepEqual(primitives.random(32), primitives.random(32));
  });
}

function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

test('both sets answer alike, and change none of their inputs', (t) => {
  const data = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(
      bytesOf(16),
      bytesOf(16),
      bytesOf(32),
      data,
      data,
      (key, iv, secret, left, right) => {
        const inputs = [key, iv, secret, left, right].map((input) => Uint8Array.from(input));
        const answers = SETS.map((set) =>
          [
            set.sha256(left, right),
            set.hmacSha256(secret, left, right),
            set.aes128Ctr(key, iv, left),
            set.sign(secret, left),
            set.signingPublicKey(secret),
            set.group('X25519').publicKey(secret),
            set.group('X25519').multiply(secret, inputs[2] as Uint8Array) ?? key,
          ].map(toHex),
        );
        t.deepEqual(answers[0], answers[1]);
        t.deepEqual(portable.unseal(secret, native.seal(secret, left, right), right), left);
        t.deepEqual(native.unseal(secret, portable.seal(secret, left, right), right), left);
        t.deepEqual([key, iv, secret, left, right], inputs);
      },
    ),
    { numRuns: 40 },
  );
});

test('views into larger buffers are read where they start and end', (t) => {
  const around = native.random(400);
  const view = around.subarray(100, 132);
  const copy = Uint8Array.from(view);
  for (const set of SETS) {
    t.deepEqual(set.sha256(view), set.sha256(copy));
    t.deepEqual(set.sign(view, view), set.sign(copy, copy));
    t.deepEqual(set.group('X25519').publicKey(view), set.group('X25519').publicKey(copy));
    t.deepEqual(set.unseal(view, set.seal(copy, view, view), copy), copy);
  }
});

test('OpenSSL agrees with both about a whole body', (t) => {
  const [key, iv, body] = [native.random(16), native.random(16), native.random(32_768)];
  const expected = createCipheriv('aes-128-ctr', key, iv).update(body).toString('hex');
  const digest = createHash('sha256').update(body).digest('hex');
  for (const set of SETS) {
    t.is(toHex(set.aes128Ctr(key, iv, body)), expected);
    t.is(toHex(set.sha256(body)), digest);
  }
});

test('no two labels are the same', (t) => {
  const labels = Object.values(LABELS);
  t.is(new Set(labels).size, labels.length);
  for (const label of labels) t.regex(label, /^panoramix\/v1\/[a-z0-9-]+$/);
});
