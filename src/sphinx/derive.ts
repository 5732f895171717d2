/**
 * The keys of one hop, all from its shared secret: Sphinx §3.1's hashes h_b, h_rho, h_mu, h_pi and
 * h_tau, as the reference makes them. The labels are the reference's, not ours: they are the format.
 */

import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { wipe } from '../crypto/primitives.ts';
import { SECURITY_BYTES } from './packet.ts';

const AES_KEY_PREFIX = fromUtf8('aes_key:');
const ZEROS = new Uint8Array(SECURITY_BYTES);

/** A key is one block of the hop's key stream, and these are the counters at which it is taken. */
const FLAVORS = {
  blinding: fromUtf8('hbhbhbhbhbhbhbhb'),
  header: fromUtf8('hrhohrhohrhohrho'),
  headerMac: fromUtf8('hmu:hmu:hmu:hmu:'),
  body: fromUtf8('hpi:hpi:hpi:hpi:'),
  tag: fromUtf8('htauhtauhtauhtau'),
};

/** What a key is for. `tag` is no key: it names the packet in a replay journal. */
export type KeyPurpose = keyof typeof FLAVORS;

/** The 16-byte master key of a hop; the shared secret is wiped. */
export function masterKey(primitives: Primitives, sharedSecret: Uint8Array): Uint8Array {
  const digest = primitives.sha256(AES_KEY_PREFIX, sharedSecret);
  const key = digest.slice(0, SECURITY_BYTES);
  wipe(sharedSecret, digest);
  return key;
}

/** The 16 bytes for one purpose: AES-128 of the flavor, as counter mode over a block of zeros. */
export function deriveKey(
  primitives: Primitives,
  master: Uint8Array,
  purpose: KeyPurpose,
): Uint8Array {
  return primitives.aes128Ctr(master, FLAVORS[purpose], ZEROS);
}

/** rho (Sphinx §3.1): the header's stream cipher. Each key encrypts once, so the counter starts at 0. */
export function headerStream(
  primitives: Primitives,
  key: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  return primitives.aes128Ctr(key, ZEROS, data);
}

/** mu (Sphinx §3.1): HMAC-SHA-256, the first 16 bytes. */
export function mac(primitives: Primitives, key: Uint8Array, data: Uint8Array): Uint8Array {
  return primitives.hmacSha256(key, data).slice(0, SECURITY_BYTES);
}
