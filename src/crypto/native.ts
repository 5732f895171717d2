/**
 * The primitives for Node: node:crypto where OpenSSL is fastest (AES, SHA-256), libsodium for
 * curve 25519 and sealing. node:crypto would have to import every private key into a key object, 30 µs
 * for the blinding factor of each packet; libsodium multiplies raw bytes in 30 µs all told.
 */

import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import sodium from 'sodium-native';
import { p224 } from './p224.ts';
import { SEAL_NONCE_BYTES, SEAL_OVERHEAD_BYTES, requireLength, wipe } from './primitives.ts';
import type { Primitives } from './primitives.ts';
import { x25519Group } from './x25519.ts';

const x25519Native = x25519Group(
  (scalar, element) => {
    const product = new Uint8Array(32);
    try {
      sodium.crypto_scalarmult(product, scalar, element);
      return product;
    } catch {
      return null; // libsodium refuses low-order points; the lengths were checked before
    }
  },
  (secret) => {
    const product = new Uint8Array(32);
    sodium.crypto_scalarmult_base(product, secret);
    return product;
  },
);

/** Runs on Node. */
export const native: Primitives = {
  name: 'native',

  random: (byteLength) => view(randomBytes(byteLength)),

  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return view(hash.digest());
  },

  hmacSha256(key, ...parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return view(mac.digest());
  },

  aes128Ctr: (key, iv, data) => view(createCipheriv('aes-128-ctr', key, iv).update(data)),

  group: (name) => (name === 'X25519' ? x25519Native : p224),

  sign(secret, text) {
    const { publicKey, secretKey } = signingKeys(secret);
    const signature = new Uint8Array(64);
    sodium.crypto_sign_detached(signature, text, secretKey);
    wipe(secretKey, publicKey);
    return signature;
  },

  verify(publicKey, text, signature) {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    return sodium.crypto_sign_verify_detached(signature, text, publicKey);
  },

  signingPublicKey(secret) {
    const { publicKey, secretKey } = signingKeys(secret);
    wipe(secretKey);
    return publicKey;
  },

  seal(key, plain, context) {
    requireLength('seal key', key, 32);
    const sealed = new Uint8Array(plain.length + SEAL_OVERHEAD_BYTES);
    const nonce = sealed.subarray(0, SEAL_NONCE_BYTES);
    nonce.set(randomBytes(SEAL_NONCE_BYTES));
    const rest = sealed.subarray(SEAL_NONCE_BYTES);
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(rest, plain, context, null, nonce, key);
    return sealed;
  },

  unseal(key, sealed, context) {
    requireLength('seal key', key, 32);
    if (sealed.length < SEAL_OVERHEAD_BYTES) return null;
    const nonce = sealed.subarray(0, SEAL_NONCE_BYTES);
    const plain = new Uint8Array(sealed.length - SEAL_OVERHEAD_BYTES);
    const rest = sealed.subarray(SEAL_NONCE_BYTES);
    try {
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, rest, context, nonce, key);
      return plain;
    } catch {
      return null;
    }
  },
};

function signingKeys(seed: Uint8Array): { publicKey: Uint8Array; secretKey: Uint8Array } {
  requireLength('signing secret', seed, 32);
  const publicKey = new Uint8Array(32);
  const secretKey = new Uint8Array(64);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

/** A Buffer as the plain array that pure code expects: `slice` of a Buffer would not copy. */
function view(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
