/**
 * Building a packet (Sphinx §3.3): a header for the path, then the payload under every hop's body key,
 * the last hop's innermost.
 */

import { concat } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { wipe } from '../crypto/primitives.ts';
import { buildHeader } from './header.ts';
import { encryptWide } from './lioness.ts';
import type { Hop, Suite } from './packet.ts';
import { encodePayload, packBody } from './payload.ts';
import { deliverRouting } from './routing.ts';

/**
 * A packet for the path, alpha ‖ beta ‖ gamma ‖ delta.
 * @param hops the mixes, then the exit
 * @param dest what the message is, 1 to 127 bytes
 * @param message at most `messageBytesMax(dest.length)`
 * @param random what the secret and the header's padding are drawn from
 * @throws RangeError where something does not fit
 */
export function buildPacket(
  suite: Suite,
  hops: readonly Hop[],
  dest: Uint8Array,
  message: Uint8Array,
  random: Random,
): Uint8Array {
  const { primitives, params } = suite;
  const header = buildHeader(suite, hops, deliverRouting(), random);
  const exitKey = header.bodyKeys.at(-1) as Uint8Array;
  let delta = packBody(primitives, params.bodyLen, exitKey, encodePayload(dest, message));
  let spare: Uint8Array = new Uint8Array(delta.length);
  for (const key of header.bodyKeys.toReversed()) {
    encryptWide(primitives, key, delta, spare);
    [delta, spare] = [spare, delta];
  }
  wipe(...header.bodyKeys, spare);
  return concat(header.alpha, header.beta, header.gamma, delta);
}
