import test from 'ava';
import { fromHex, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { x25519Group } from '../../src/crypto/x25519.ts';

const FF30 = 'ff'.repeat(30);

/** Every encoding of every point of low order: RFC 7748 §6.1 and libsodium's table of them. */
const LOW_ORDER = {
  '0': '00'.repeat(32),
  '1': `01${'00'.repeat(31)}`,
  'of order 8': 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  'of order 8, the other': '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'p - 1': `ec${FF30}7f`,
  p: `ed${FF30}7f`,
  'p + 1': `ee${FF30}7f`,
  '2^255': `${'00'.repeat(31)}80`,
  '2^255 + 1': `01${'00'.repeat(30)}80`,
  'of order 8 + 2^255': 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880',
  'of order 8, the other, + 2^255':
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7',
  '2p - 1': `d9${FF30}ff`,
  '2p': `da${FF30}ff`,
  '2p + 1': `db${FF30}ff`,
  'p - 1 + 2^255': `ec${FF30}ff`,
};

/** Other forms of good points, which RFC 7748 §5 would reduce. */
const NOT_CANONICAL = {
  'p + 9': `f6${FF30}7f`,
  '2^255 - 1': `ff${FF30}7f`,
  '2^255 + 9': `09${'00'.repeat(30)}80`,
  '2^256 - 1': `ff${FF30}ff`,
};

function hex(text: string): Uint8Array {
  return fromHex(text) ?? new Uint8Array(0);
}

for (const primitives of [portable, native]) {
  const group = primitives.group('X25519');
  const { name } = primitives;
  const secret = primitives.random(32);

  test(`${name}: multiplies as RFC 7748 §5.2 and §6.1 say`, (t) => {
    t.is(
      toHex(
        group.multiply(
          hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c'),
          hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'),
        ) ?? secret,
      ),
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    );
    const alice = hex('77076d0a7318a57d3c16c17251b26645df4c5c2a7b9e8a2d4e0e9b5c1b6a7b2c');
    const base = hex(`09${'00'.repeat(31)}`);
    t.deepEqual(group.publicKey(alice), group.multiply(base, alice));
  });

  for (const [what, encoding] of Object.entries({ ...LOW_ORDER, ...NOT_CANONICAL })) {
    test(`${name}: the point ${what} is of no use`, (t) => {
      t.is(hex(encoding).length, 32);
      t.is(group.multiply(hex(encoding), secret), null);
      t.is(group.sharedSecret(hex(encoding), [secret]), null);
      t.is(group.sharedSecret(hex(encoding), [secret, secret]), null);
      t.false(group.accepts(hex(encoding)));
    });
  }

  test(`${name}: the largest canonical encodings are read`, (t) => {
    for (const encoding of [`eb${FF30}7f`, `ff${'ff'.repeat(29)}fe7f`, `ff${FF30}7e`]) {
      t.not(group.multiply(hex(encoding), secret), null, encoding);
    }
  });

  test(`${name}: elements of a wrong length are of no use, own scalars of one are a bug`, (t) => {
    for (const length of [0, 31, 33, 64]) {
      t.is(group.multiply(new Uint8Array(length).fill(9), secret), null);
      t.false(group.accepts(new Uint8Array(length).fill(9)));
      const wrong = new Uint8Array(length);
      t.throws(() => group.publicKey(wrong), { instanceOf: RangeError });
      t.throws(() => group.multiply(group.publicKey(secret), wrong), { instanceOf: RangeError });
    }
    t.throws(() => group.scalarFrom(new Uint8Array(33)), { instanceOf: RangeError });
  });

  test(`${name}: two sides come to one secret, also by several factors in any order`, (t) => {
    const [a, b] = [primitives.random(32), group.scalarFrom(primitives.random(16))];
    const base = group.publicKey(secret);
    t.deepEqual(group.multiply(group.publicKey(a), secret), group.multiply(base, a));
    t.deepEqual(group.sharedSecret(base, [a, b]), group.sharedSecret(base, [b, a]));
    t.true(group.accepts(base));
    t.deepEqual(group.scalarFrom(Uint8Array.of(5)), Uint8Array.from([5, ...Array(31).fill(0)]));
  });
}

test('zeros that a multiplication might return for a low-order point are of no use either', (t) => {
  const group = x25519Group(
    () => new Uint8Array(32),
    (secret) => secret,
  );
  t.is(group.multiply(hex(`09${'00'.repeat(31)}`), new Uint8Array(32)), null);
});
