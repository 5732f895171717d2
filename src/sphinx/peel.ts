/**
 * What a hop does with a packet (Sphinx §3.6), in two stages, for the order of work is lengths, point,
 * MAC, replay tag, commit, body: `peelHeader` is cheap and its tag says whether the packet was seen
 * before; `peelBody` does the wide-block work. A peer may send anything: that is a drop, never an
 * exception.
 */

import { concat, equalBytes } from '../bytes.ts';
import { requireLength, wipe } from '../crypto/primitives.ts';
import { deriveKey, headerStream, mac, masterKey } from './derive.ts';
import { BETA_EXTENSION_BYTES } from './header.ts';
import { decryptWide } from './lioness.ts';
import { ROUTING_LENGTH_BYTES, SECURITY_BYTES, drop, splitPacket } from './packet.ts';
import type { Drop, Suite } from './packet.ts';
import { ROUTING_BYTES_MAX, readRouting } from './routing.ts';
import type { Routing } from './routing.ts';

/**
 * A packet whose header was in order. Plain data, so that it may cross to another thread; it holds
 * secrets (`macKey`, `blinding`) and must not be logged.
 */
export interface PeeledHeader {
  readonly kind: 'header';
  /** 16 bytes, the same for every copy of a packet: remember it, and drop what comes again. */
  readonly tag: Uint8Array;
  readonly routing: Routing;
  /** The routing as it stood in the header. */
  readonly routingBytes: Uint8Array;
  /** Key of the body at this hop, 16 bytes; at the last hop it opens the payload. */
  readonly macKey: Uint8Array;
  /** Factor for the next alpha; `peelBody` wipes it. */
  readonly blinding: Uint8Array;
  readonly alpha: Uint8Array;
  readonly nextBeta: Uint8Array;
  readonly nextGamma: Uint8Array;
  readonly delta: Uint8Array;
}

/** A peeled packet. */
export interface Peeled {
  readonly kind: 'peeled';
  readonly tag: Uint8Array;
  /** A secret: wipe it when the payload has been opened. */
  readonly macKey: Uint8Array;
  readonly routing: Routing;
  readonly routingBytes: Uint8Array;
  /** The packet for the next hop, alpha ‖ beta ‖ gamma ‖ delta. */
  readonly out: Uint8Array;
  /** The body in `out`, as a view. */
  readonly delta: Uint8Array;
}

/**
 * The cheap half: length, point, MAC, routing.
 * @param secret of the endpoint's mix key; RangeError where its length is wrong, for it is ours
 * @param packet as it came; it is not changed, and must stay as it is until `peelBody`
 */
export function peelHeader(
  suite: Suite,
  secret: Uint8Array,
  packet: Uint8Array,
): PeeledHeader | Drop {
  const { group, primitives, betaBytes } = suite;
  requireLength('secret', secret, group.secretBytes);
  const parts = splitPacket(suite, packet);
  if (parts === null) return drop('packet-length');

  const sharedSecret = group.sharedSecret(parts.alpha, [secret]);
  if (sharedSecret === null) return drop('point-invalid');
  const master = masterKey(primitives, sharedSecret);
  if (!macMatches(suite, master, parts)) {
    wipe(master);
    return drop('mac-mismatch');
  }

  // Zeros appended before decrypting become the end of the next hop's beta.
  const extended = concat(parts.beta, new Uint8Array(BETA_EXTENSION_BYTES));
  const streamKey = deriveKey(primitives, master, 'header');
  const plain = headerStream(primitives, streamKey, extended);
  const tag = deriveKey(primitives, master, 'tag');
  const macKey = deriveKey(primitives, master, 'body');
  const blinding = deriveKey(primitives, master, 'blinding');
  wipe(master, streamKey);

  // A factor of 0 (once in 2^128) has no next alpha; it also is what `peelBody` leaves behind.
  const read = isZero(blinding) ? 'point-invalid' : readHeader(plain, betaBytes);
  if (typeof read === 'string') {
    wipe(macKey, blinding);
    return drop(read);
  }
  const { alpha, delta } = parts;
  return { kind: 'header', tag, macKey, blinding, alpha, delta, ...read };
}

/** The costly half, once for each header: the next alpha and the body. */
export function peelBody(suite: Suite, header: PeeledHeader): Peeled {
  const { group, primitives } = suite;
  const { tag, macKey, routing, routingBytes, blinding } = header;
  if (isZero(blinding)) throw new RangeError('peelBody: takes a header once');
  // A usable point stays usable under every factor but 0, for the order of each group is prime.
  const alpha = group.multiply(header.alpha, group.scalarFrom(blinding)) as Uint8Array;
  wipe(blinding);

  const out = new Uint8Array(suite.packetBytes);
  out.set(alpha);
  out.set(header.nextBeta, alpha.length);
  out.set(header.nextGamma, alpha.length + suite.betaBytes);
  const delta = out.subarray(suite.packetBytes - suite.params.bodyLen);
  decryptWide(primitives, macKey, header.delta, delta);
  return { kind: 'peeled', tag, macKey, routing, routingBytes, out, delta };
}

function macMatches(
  { primitives }: Suite,
  master: Uint8Array,
  { beta, gamma }: { readonly beta: Uint8Array; readonly gamma: Uint8Array },
): boolean {
  const key = deriveKey(primitives, master, 'headerMac');
  const expected = mac(primitives, key, beta);
  wipe(key);
  return equalBytes(expected, gamma);
}

/**
 * A decrypted header: length byte, routing, next gamma, next beta. The MAC says that the sender wrote
 * it, not that the sender means well: the length byte may point beyond what was sent, into the zeros.
 */
function readHeader(
  plain: Uint8Array,
  betaBytes: number,
):
  | Pick<PeeledHeader, 'routing' | 'routingBytes' | 'nextGamma' | 'nextBeta'>
  | 'routing-malformed'
  | 'routing-unknown' {
  const length = plain[0] as number;
  const end = ROUTING_LENGTH_BYTES + length;
  if (length > ROUTING_BYTES_MAX || end > betaBytes) return 'routing-malformed';
  const routingBytes = plain.slice(ROUTING_LENGTH_BYTES, end);
  const routing = readRouting(routingBytes);
  if (typeof routing === 'string') return routing;
  const betaStart = end + SECURITY_BYTES;
  const goesOn = routing.kind === 'relay' || routing.kind === 'other';
  if (goesOn && betaStart > betaBytes) return 'routing-malformed';
  const nextGamma = plain.slice(end, betaStart);
  return {
    routing,
    routingBytes,
    nextGamma,
    nextBeta: plain.slice(betaStart, betaStart + betaBytes),
  };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
