/**
 * pi (Sphinx §3.1): the wide-block cipher over the whole body. Changing one bit of the input changes
 * every bit of the output, so a body that was touched on its way says nothing when it arrives. LIONESS
 * (Anderson and Biham 1996) with AES-128-CTR and SHA-256 in the reference's arrangement of four rounds:
 * the short part (16 bytes) is keyed by a hash of the long one, the long part by the short as counter.
 */

import type { Primitives } from '../crypto/primitives.ts';
import { SECURITY_BYTES } from './packet.ts';

const FIRST_ROUND = Uint8Array.of(0x31); // the digit 1
const THIRD_ROUND = Uint8Array.of(0x33); // the digit 3

/** Writes the encryption of `block` to `out`, of the same length; they must not overlap. */
export function encryptWide(
  primitives: Primitives,
  key: Uint8Array,
  block: Uint8Array,
  out: Uint8Array,
): void {
  applyRounds(primitives, key, block, out, [FIRST_ROUND, THIRD_ROUND], 'hash-first');
}

/** Writes the decryption of `block` to `out`, of the same length; they must not overlap. */
export function decryptWide(
  primitives: Primitives,
  key: Uint8Array,
  block: Uint8Array,
  out: Uint8Array,
): void {
  applyRounds(primitives, key, block, out, [THIRD_ROUND, FIRST_ROUND], 'stream-first');
}

/** Two pairs of rounds; decryption is the same rounds backwards, each round being its own inverse. */
function applyRounds(
  primitives: Primitives,
  key: Uint8Array,
  block: Uint8Array,
  out: Uint8Array,
  labels: readonly [Uint8Array, Uint8Array],
  order: 'hash-first' | 'stream-first',
): void {
  let short = block.subarray(0, SECURITY_BYTES);
  let long = block.subarray(SECURITY_BYTES);
  for (const label of labels) {
    if (order === 'stream-first') long = primitives.aes128Ctr(key, short, long);
    const digest = primitives.sha256(long, key, label);
    short = primitives.aes128Ctr(key, digest.subarray(0, SECURITY_BYTES), short);
    if (order === 'hash-first') long = primitives.aes128Ctr(key, short, long);
  }
  out.set(short);
  out.set(long, SECURITY_BYTES);
}
