/**
 * X25519 (RFC 7748) as a packet's group, over a scalar multiplication that a set of primitives brings.
 * Everything that decides whether an element is of use stands here, so that both sets decide alike.
 */

import { requireLength } from './primitives.ts';
import type { Group } from './primitives.ts';

const BYTES = 32;

/** Multiplies as RFC 7748 §5 does, clamping included; null (or zeros) for points of low order. */
export type Multiply = (scalar: Uint8Array, element: Uint8Array) => Uint8Array | null;

/** The group over one multiplication and its fixed-base form. */
export function x25519Group(multiply: Multiply, publicKey: Group['publicKey']): Group {
  const multiplyChecked = (element: Uint8Array, scalar: Uint8Array): Uint8Array | null => {
    requireLength('scalar', scalar, BYTES);
    if (!isCanonical(element)) return null;
    const product = multiply(scalar, element);
    // A low-order point times a clamped scalar, a multiple of the cofactor, is zero: RFC 7748 §6.1.
    return product === null || isZero(product) ? null : product;
  };
  return {
    name: 'X25519',
    elementBytes: BYTES,
    secretBytes: BYTES,
    publicKey(secret) {
      requireLength('secret', secret, BYTES);
      return publicKey(secret);
    },
    multiply: multiplyChecked,
    sharedSecret(element, scalars) {
      let product: Uint8Array | null = element;
      for (const scalar of scalars) product = product && multiplyChecked(product, scalar);
      return product;
    },
    scalarFrom(bytes) {
      if (bytes.length > BYTES) throw new RangeError('scalar: longer than 32 bytes');
      const scalar = new Uint8Array(BYTES);
      scalar.set(bytes);
      return scalar;
    },
    accepts(element) {
      return multiplyChecked(element, new Uint8Array(BYTES)) !== null;
    },
  };
}

/**
 * Whether these are 32 bytes below 2^255 - 19, little-endian. RFC 7748 would take other encodings of
 * the same point too; no sender makes them, and refusing them leaves a packet one form only.
 */
function isCanonical(element: Uint8Array): boolean {
  if (element.length !== BYTES) return false;
  if ((element[31] as number) !== 0x7f) return (element[31] as number) < 0x7f;
  for (let i = 30; i > 0; i--) if (element[i] !== 0xff) return true;
  return (element[0] as number) < 0xed;
}

function isZero(bytes: Uint8Array): boolean {
  let any = 0;
  for (const byte of bytes) any |= byte;
  return any === 0;
}
