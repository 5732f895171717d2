import { createHash } from 'node:crypto';
import test from 'ava';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { concat, fromHex, fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';

const SETS = [portable, native];
const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;
const TEXT = fromUtf8('the same answer everywhere');
const torsion = ED25519_TORSION_SUBGROUP.map((hex) =>
  Point.fromBytes(fromHex(hex) ?? new Uint8Array(0), true),
);

interface Crafted {
  readonly secret?: bigint;
  readonly nonce?: bigint;
  /** Which point of low order is added to the key, and to the commitment. */
  readonly keyTorsion?: number;
  readonly commitmentTorsion?: number;
  /** How often the group's order is added to the response. */
  readonly excess?: bigint;
}

function times(value: bigint) {
  return value === 0n ? Point.ZERO : Point.BASE.multiply(value);
}

function low(index = 0) {
  return torsion[index] ?? Point.ZERO;
}

/** A key and a signature that fulfil the equation up to a point of low order. */
function craft({ secret = 12n, nonce = 34n, ...rest }: Crafted) {
  const key = times(secret).add(low(rest.keyTorsion)).toBytes();
  const commitment = times(nonce).add(low(rest.commitmentTorsion)).toBytes();
  const digest = createHash('sha512').update(commitment).update(key).update(TEXT).digest();
  const challenge = BigInt(`0x${toHex(digest.toReversed())}`) % ORDER;
  const response = ((nonce + challenge * secret) % ORDER) + (rest.excess ?? 0n) * ORDER;
  const responseBytes = fromHex(response.toString(16).padStart(64, '0'))?.toReversed();
  return { key, signature: concat(commitment, responseBytes ?? key) };
}

const table: readonly [string, boolean, Crafted][] = [
  ['as made by the book', true, {}],
  ['with a low-order point in the commitment', false, { commitmentTorsion: 1 }],
  ['with a low-order point in the key', false, { keyTorsion: 1, nonce: 35n }],
  ['with low-order points in both', false, { keyTorsion: 1, commitmentTorsion: 3 }],
  ['by a key of low order', false, { secret: 0n, keyTorsion: 1 }],
  ['by the identity as key', false, { secret: 0n }],
  ['with a commitment of low order', false, { nonce: 0n, commitmentTorsion: 1 }],
  ['with the identity as commitment', false, { nonce: 0n }],
  ['whose response is not reduced', false, { excess: 1n }],
  ['whose response is far too large', false, { excess: 10n }],
];
for (const [what, valid, crafted] of table) {
  test(`a signature ${what} is ${valid ? 'valid' : 'refused'} everywhere`, (t) => {
    const { key, signature } = craft(crafted);
    for (const set of SETS) t.is(set.verify(key, TEXT, signature), valid, set.name);
  });
}

test('where a challenge happens to cancel a low-order point, both sets still agree', (t) => {
  let valid = 0;
  for (let i = 0; i < 48; i++) {
    const { key, signature } = craft({ nonce: BigInt(i + 1), keyTorsion: i % 8 });
    const [first, second] = SETS.map((set) => set.verify(key, TEXT, signature));
    t.is(first, second, `nonce ${i + 1}`);
    if (first) valid += 1;
  }
  t.true(valid > 6 && valid < 48, 'both outcomes occur');
});

test('points that are not canonical are refused as key and as commitment', (t) => {
  const { key, signature } = craft({});
  // y = p + 1 is the identity again; y with the sign of x = 0 set is no encoding at all.
  const encodings = [`ee${'ff'.repeat(30)}7f`, `01${'00'.repeat(30)}80`, `02${'00'.repeat(31)}`];
  for (const hex of [...encodings, 'ff'.repeat(32), '00'.repeat(32)]) {
    const point = fromHex(hex) ?? key;
    for (const set of SETS) {
      t.false(set.verify(point, TEXT, signature), `${set.name} key ${hex}`);
      t.false(set.verify(key, TEXT, concat(point, signature.subarray(32))), `${set.name} ${hex}`);
    }
  }
});

test('verify says no, and never throws, whatever its lengths', (t) => {
  const secret = native.random(32);
  for (const set of SETS) {
    const publicKey = set.signingPublicKey(secret);
    const signature = set.sign(secret, TEXT);
    t.true(set.verify(publicKey, TEXT, signature));
    t.true(set.verify(publicKey, new Uint8Array(0), set.sign(secret, new Uint8Array(0))));
    for (const length of [0, 31, 33, 63, 64, 65, 128]) {
      if (length !== 32) t.false(set.verify(new Uint8Array(length).fill(5), TEXT, signature));
      if (length !== 64) t.false(set.verify(publicKey, TEXT, new Uint8Array(length).fill(5)));
    }
    t.false(set.verify(publicKey, TEXT, concat(signature, new Uint8Array(1))));
    t.false(set.verify(publicKey, TEXT.subarray(1), signature));
  }
});

test('a signature with any one bit changed is refused', (t) => {
  const secret = native.random(32);
  const publicKey = native.signingPublicKey(secret);
  const signature = native.sign(secret, TEXT);
  for (let bit = 0; bit < 512; bit++) {
    const bad = Uint8Array.from(signature);
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
    t.false(native.verify(publicKey, TEXT, bad), `bit ${bit}`);
    if (bit % 32 === 0) t.false(portable.verify(publicKey, TEXT, bad), `bit ${bit}`);
  }
});
