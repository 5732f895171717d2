/**
 * Keys that programs hold: a peer's identity (Ed25519) and an endpoint's mix key. Their secrets are
 * not enumerable, so that no log line, JSON text or copy by spread carries one.
 */

import { fromHex, fromUtf8, toHex } from '../bytes.ts';
import { LABELS, requireLength } from './primitives.ts';
import type { Group, Primitives } from './primitives.ts';

/** Bytes of an address that a packet's routing carries. */
export const ADDRESS_BYTES = 16;

/** Who a peer is. The peer id is its Ed25519 public key in 64 hex digits (D4.2 §6.2.1 `key_id`). */
export interface Identity {
  /** The 32-byte Ed25519 seed. */
  readonly secret: Uint8Array;
  readonly peerId: string;
}

/** The key pair of an endpoint: packets for it are made with the public key, opened with the secret. */
export interface MixKey {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A fresh identity. */
export function createIdentity(primitives: Primitives): Identity {
  return identityFromSecret(primitives, primitives.random(32));
}

/** The identity of a 32-byte Ed25519 seed; RangeError where it has another length. */
export function identityFromSecret(primitives: Primitives, secret: Uint8Array): Identity {
  requireLength('identity secret', secret, 32);
  return withSecret({ peerId: toHex(primitives.signingPublicKey(secret)) }, secret);
}

/** A fresh mix key of the group. */
export function createMixKey(primitives: Primitives, group: Group): MixKey {
  return mixKeyFromSecret(group, primitives.random(group.secretBytes));
}

/** The mix key of a stored secret; RangeError where it does not fit the group. */
export function mixKeyFromSecret(group: Group, secret: Uint8Array): MixKey {
  return withSecret({ publicKey: group.publicKey(secret) }, secret);
}

/**
 * The 16 bytes by which a packet names its next hop: the first of SHA-256(label ‖ peer id ‖ mix public
 * key). It names one key of one peer, so a rotated key is another address. The peer id is 32 bytes, the
 * label is fixed: no two inputs run together to the same bytes.
 *
 * @param peerId 64 hex digits; RangeError otherwise
 */
export function nodeAddress(
  primitives: Primitives,
  peerId: string,
  mixPublicKey: Uint8Array,
): Uint8Array {
  const peer = fromHex(peerId);
  if (peer?.length !== 32) throw new RangeError('peer id: expected 64 hex digits');
  const digest = primitives.sha256(fromUtf8(LABELS.nodeAddress), peer, mixPublicKey);
  return digest.slice(0, ADDRESS_BYTES);
}

/** The secret is copied: what the caller does with its array afterwards changes nothing here. */
function withSecret<T extends object>(shown: T, secret: Uint8Array): T & { secret: Uint8Array } {
  const value = Uint8Array.from(secret);
  return Object.freeze(Object.defineProperty(shown, 'secret', { value })) as T & {
    secret: Uint8Array;
  };
}
