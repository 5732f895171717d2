/**
 * The primitives in JavaScript alone, on @noble: what browsers run, and the second opinion on
 * `native.ts`. Slower by an order of magnitude, and in constant time only as far as an engine allows.
 */

import { ctr } from '@noble/ciphers/aes.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concat, equalBytes, toHex } from '../bytes.ts';
import { p224 } from './p224.ts';
import { SEAL_NONCE_BYTES, SEAL_OVERHEAD_BYTES, requireLength } from './primitives.ts';
import type { Primitives } from './primitives.ts';
import { x25519Group } from './x25519.ts';

const RANDOM_BYTES_AT_ONCE = 65_536; // the most that getRandomValues gives in one call

const x25519Portable = x25519Group(
  (scalar, element) => {
    try {
      return x25519.scalarMult(scalar, element);
    } catch {
      return null; // noble refuses low-order points with an exception
    }
  },
  (secret) => x25519.scalarMultBase(secret),
);

/** Runs wherever JavaScript does. */
export const portable: Primitives = {
  name: 'portable',

  random(byteLength) {
    const bytes = new Uint8Array(byteLength);
    for (let start = 0; start < byteLength; start += RANDOM_BYTES_AT_ONCE) {
      crypto.getRandomValues(bytes.subarray(start, start + RANDOM_BYTES_AT_ONCE));
    }
    return bytes;
  },

  sha256(...parts) {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },

  hmacSha256(key, ...parts) {
    const mac = hmac.create(sha256, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  },

  aes128Ctr(key, iv, data) {
    requireLength('AES key', key, 16);
    return ctr(key, iv).encrypt(data);
  },

  group: (name) => (name === 'X25519' ? x25519Portable : p224),

  sign: (secret, text) => ed25519.sign(text, secret),

  verify(publicKey, text, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    try {
      return verifyWithoutCofactor(publicKey, text, signature);
    } catch {
      return false; // noble refuses what is no canonical point with an exception
    }
  },

  signingPublicKey: (secret) => ed25519.getPublicKey(secret),

  seal(key, plain, context) {
    const nonce = portable.random(SEAL_NONCE_BYTES);
    return concat(nonce, xchacha20poly1305(key, nonce, context).encrypt(plain));
  },

  unseal(key, sealed, context) {
    requireLength('seal key', key, 32);
    if (sealed.length < SEAL_OVERHEAD_BYTES) return null;
    const nonce = sealed.subarray(0, SEAL_NONCE_BYTES);
    try {
      return xchacha20poly1305(key, nonce, context).decrypt(sealed.subarray(SEAL_NONCE_BYTES));
    } catch {
      return null;
    }
  },
};

/**
 * RFC 8032 §5.1.7 with the equation as written there, S·B = R + k·A, not multiplied by 8: noble's own
 * `verify` multiplies and libsodium's does not, and a signature made to fall between the two would be
 * valid for half of the nodes.
 */
function verifyWithoutCofactor(
  publicKey: Uint8Array,
  text: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { Point } = ed25519;
  const commitmentBytes = signature.subarray(0, 32);
  const response = littleEndian(signature.subarray(32));
  if (response >= Point.Fn.ORDER) return false;
  const key = Point.fromBytes(publicKey, false);
  const commitment = Point.fromBytes(commitmentBytes, false);
  if (key.isSmallOrder() || commitment.isSmallOrder()) return false;
  const challenge = littleEndian(sha512(concat(commitmentBytes, publicKey, text)));
  const expected = Point.BASE.multiplyUnsafe(response).subtract(
    key.multiplyUnsafe(challenge % Point.Fn.ORDER),
  );
  return equalBytes(expected.toBytes(), commitmentBytes);
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`);
}
