/**
 * P-224 (secp224r1, SEC 2 §2.6.2; D4.2's GROUP 713) as a packet's group. noble has the formulas but
 * not this curve by name, and node:crypto's ECDH gives the x coordinate only, where the format hashes
 * both; so the two sets of primitives share this file.
 */

import { weierstrass } from '@noble/curves/abstract/weierstrass.js';
import { toHex } from '../bytes.ts';
import { requireLength } from './primitives.ts';
import type { Group } from './primitives.ts';

const PRIME = 2n ** 224n - 2n ** 96n + 1n;
const ORDER = 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn;

const Point = weierstrass({
  p: PRIME,
  n: ORDER,
  h: 1n,
  a: PRIME - 3n,
  b: 0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4n,
  Gx: 0xb70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21n,
  Gy: 0xbd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34n,
});
type Point = InstanceType<typeof Point>;

const ELEMENT_BYTES = 29; // 1, the sign of y, + 28, x
const SECRET_BYTES = 28;

/** The group with compressed points as elements and 28-byte big-endian scalars. */
export const p224: Group = {
  name: 'P-224',
  elementBytes: ELEMENT_BYTES,
  secretBytes: SECRET_BYTES,

  publicKey(secret) {
    const scalar = readScalar(secret);
    if (scalar === 0n) throw new RangeError('secret: a multiple of the order of P-224');
    return Point.BASE.multiply(scalar).toBytes(true);
  },

  multiply(element, scalar) {
    return multiplyPoint(element, [scalar])?.toBytes(true) ?? null;
  },

  sharedSecret(element, scalars) {
    return multiplyPoint(element, scalars)?.toBytes(false) ?? null;
  },

  scalarFrom(bytes) {
    if (bytes.length > SECRET_BYTES) throw new RangeError('scalar: longer than 28 bytes');
    const scalar = new Uint8Array(SECRET_BYTES);
    scalar.set(bytes, SECRET_BYTES - bytes.length);
    return scalar;
  },

  accepts(element) {
    return readPoint(element) !== null;
  },
};

/** Scalars are multiplied modulo the order first: one multiplication of the point for all of them. */
function multiplyPoint(element: Uint8Array, scalars: readonly Uint8Array[]): Point | null {
  const product = scalars.reduce((all, scalar) => (all * readScalar(scalar)) % ORDER, 1n);
  const point = readPoint(element);
  return point === null || product === 0n ? null : point.multiply(product);
}

/** A point, or null: wrong length or first byte, x not below the prime, no point with that x. */
function readPoint(element: Uint8Array): Point | null {
  if (element.length !== ELEMENT_BYTES || (element[0] !== 2 && element[0] !== 3)) return null;
  try {
    return Point.fromBytes(element); // the cofactor is 1: every point but the identity generates all
  } catch {
    return null;
  }
}

function readScalar(bytes: Uint8Array): bigint {
  requireLength('scalar', bytes, SECRET_BYTES);
  return BigInt(`0x${toHex(bytes)}`) % ORDER;
}
