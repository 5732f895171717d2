/** Packets as a hostile sender makes them: a valid MAC over whatever he likes. */

import { concat } from '../../src/bytes.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { deriveKey, headerStream, mac, masterKey } from '../../src/sphinx/derive.ts';
import { encryptWide } from '../../src/sphinx/lioness.ts';
import type { Sphinx } from '../../src/sphinx/index.ts';

/**
 * A packet for one hop whose header decrypts to `plain` (cut or filled with zeros to the length of beta)
 * and whose body decrypts to `body`, where one is given.
 */
export function forgePacket(
  sphinx: Sphinx,
  primitives: Primitives,
  publicKey: Uint8Array,
  plain: Uint8Array,
  body?: Uint8Array,
): Uint8Array {
  const group = primitives.group(sphinx.params.group);
  const secret = primitives.random(group.secretBytes);
  const shared = group.sharedSecret(publicKey, [secret]);
  if (shared === null) throw new Error('the test brought a bad key');
  const master = masterKey(primitives, shared);
  const padded = new Uint8Array(sphinx.partBytes.beta);
  padded.set(plain.subarray(0, padded.length));
  const beta = headerStream(primitives, deriveKey(primitives, master, 'header'), padded);
  const gamma = mac(primitives, deriveKey(primitives, master, 'headerMac'), beta);
  const delta = new Uint8Array(sphinx.partBytes.delta);
  if (body) encryptWide(primitives, deriveKey(primitives, master, 'body'), body, delta);
  return concat(group.publicKey(secret), beta, gamma, delta);
}

/** What a header decrypts to: a length byte, the routing, and then anything. */
export function withLengthByte(routing: Uint8Array, lengthByte = routing.length): Uint8Array {
  return concat(Uint8Array.of(lengthByte), routing);
}
