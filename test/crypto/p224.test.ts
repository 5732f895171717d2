import { ECDH, createECDH } from 'node:crypto';
import test from 'ava';
import { concat, fromHex, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';

const ORDER = 'ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d';
const PRIME = 'ffffffffffffffffffffffffffffffff000000000000000000000001';
const GENERATOR = '02b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21';
const group = portable.group('P-224');

function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (!bytes) throw new Error(`not hex: ${text}`);
  return bytes;
}

function scalar(value: bigint): Uint8Array {
  return hex(value.toString(16).padStart(56, '0'));
}

test('OpenSSL computes the same public keys and shared x coordinates', (t) => {
  for (let i = 0; i < 5; i++) {
    const [ours, theirs] = [createECDH('secp224r1'), createECDH('secp224r1')];
    ours.generateKeys();
    const secret = scalar(BigInt(`0x${ours.getPrivateKey('hex')}`));
    t.is(toHex(group.publicKey(secret)), ours.getPublicKey('hex', 'compressed'));
    const element = hex(theirs.generateKeys('hex', 'compressed'));
    const x = ours.computeSecret(element).toString('hex');
    const shared = group.sharedSecret(element, [secret]) ?? element;
    t.is(shared.length, 57);
    t.is(toHex(shared.subarray(1, 29)), x);
    const product = group.multiply(element, secret) ?? shared;
    t.is(toHex(product.subarray(1)), x);
    const whole = ECDH.convertKey(product, 'secp224r1', undefined, 'hex', 'uncompressed');
    t.is(toHex(shared), whole, 'and the same y');
  }
});

test('multiples of the generator are those of the order that the standard names', (t) => {
  const n = BigInt(`0x${ORDER}`);
  const minus = `03${GENERATOR.slice(2)}`;
  t.is(toHex(group.publicKey(scalar(1n))), GENERATOR);
  t.is(toHex(group.publicKey(scalar(n - 1n))), minus);
  t.is(toHex(group.publicKey(scalar(n + 1n))), GENERATOR, 'secrets are taken modulo the order');
  t.throws(() => group.publicKey(scalar(0n)), { instanceOf: RangeError });
  t.throws(() => group.publicKey(scalar(n)), { instanceOf: RangeError });
  t.is(group.multiply(hex(GENERATOR), scalar(0n)), null, 'the identity has no encoding');
  t.is(group.sharedSecret(hex(GENERATOR), [scalar(n), scalar(2n)]), null);
});

/** What a peer may send for a point. */
const HOSTILE = {
  nothing: '',
  'the identity': '00',
  'the identity, filled': '00'.repeat(29),
  'zeros with a sign': `02${'00'.repeat(28)}`,
  'x of no point': `02${'00'.repeat(27)}04`,
  'x equal to the prime': `02${PRIME}`,
  'x of a point, plus the prime': `02ffffffffffffffffffffffffffffffff000000000000000000000002`,
  'the largest x': `03${'ff'.repeat(28)}`,
  'a point cut short': GENERATOR.slice(0, -2),
  'a point and a byte': `${GENERATOR}00`,
  'a bare x': GENERATOR.slice(2),
  'an uncompressed mark': `04${GENERATOR.slice(2)}`,
  'a hybrid mark': `06${GENERATOR.slice(2)}`,
  'an uncompressed point': `04${GENERATOR.slice(2)}bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34`,
};
for (const [what, encoding] of Object.entries(HOSTILE)) {
  test(`${what} is of no use as a point`, (t) => {
    t.is(group.multiply(hex(encoding), scalar(7n)), null);
    t.is(group.sharedSecret(hex(encoding), [scalar(7n)]), null);
    t.false(group.accepts(hex(encoding)));
  });
}

test('random bytes are points exactly where OpenSSL says so', (t) => {
  for (let i = 0; i < 60; i++) {
    const element = concat(Uint8Array.of(2 + (i % 2)), native.random(28));
    let known = true;
    try {
      ECDH.convertKey(element, 'secp224r1');
    } catch {
      known = false;
    }
    t.is(group.accepts(element), known, toHex(element));
  }
});

test('short scalars are read big-endian, long ones and odd ones are a bug', (t) => {
  t.deepEqual(group.scalarFrom(Uint8Array.of(1, 2)), scalar(258n));
  t.throws(() => group.scalarFrom(new Uint8Array(29)), { instanceOf: RangeError });
  t.throws(() => group.publicKey(new Uint8Array(27)), { instanceOf: RangeError });
  t.is(native.group('P-224'), group, 'both sets share the curve');
});
