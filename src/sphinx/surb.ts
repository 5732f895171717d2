/**
 * Single-use reply blocks (Sphinx §3.4): a ready-made header that leads back to its maker. Who holds one
 * can send one message along it, without knowing where it goes.
 */

import { concat } from '../bytes.ts';
import { ADDRESS_BYTES } from '../crypto/keys.ts';
import type { Random } from '../crypto/primitives.ts';
import { requireLength, wipe } from '../crypto/primitives.ts';
import { buildHeader, drawExactly } from './header.ts';
import { decryptWide, encryptWide } from './lioness.ts';
import { SECURITY_BYTES } from './packet.ts';
import type { Drop, Hop, Suite } from './packet.ts';
import { packBody, unpackBody } from './payload.ts';
import { readRouting, relayRouting, replyRouting } from './routing.ts';

/** A reply block, as its maker hands it out. */
export interface Surb {
  /** Routing of the first hop: where a packet made from this block goes first. */
  readonly first: Uint8Array;
  readonly alpha: Uint8Array;
  readonly beta: Uint8Array;
  readonly gamma: Uint8Array;
  /** A secret shared by maker and holder: the key of the body's innermost layer, 16 bytes. */
  readonly ktilde: Uint8Array;
}

/** A reply block with what its maker keeps. */
export interface CreatedSurb {
  /** 16 random bytes that come back with the reply. */
  readonly id: Uint8Array;
  /** ktilde, then the body key of each hop: secrets, kept under the id until the reply is open. */
  readonly keytuple: readonly Uint8Array[];
  readonly surb: Surb;
}

/**
 * A reply block for the path.
 * @param hops the mixes, then the node that takes the reply: its maker's own
 * @param dest what the last hop reads beside the id; may be empty
 * @throws RangeError where the path does not fit
 */
export function createSurb(
  suite: Suite,
  hops: readonly Hop[],
  dest: Uint8Array,
  random: Random,
): CreatedSurb {
  // Drawn in the reference's order: id, then the header's, then ktilde.
  const id = drawExactly(random, SECURITY_BYTES);
  const { alpha, beta, gamma, bodyKeys } = buildHeader(suite, hops, replyRouting(dest, id), random);
  const ktilde = drawExactly(random, SECURITY_BYTES);
  const first = (hops[0] as Hop).routing;
  return {
    id,
    keytuple: [Uint8Array.from(ktilde), ...bodyKeys],
    surb: { first, alpha, beta, gamma, ktilde },
  };
}

/**
 * The packet that carries a message along a reply block; use a block once, for its header is one
 * packet's header and the second is dropped as a replay.
 * @param message at most BODY_LEN - 17 bytes
 * @throws RangeError where it does not fit
 */
export function makeReply(suite: Suite, surb: Surb, message: Uint8Array): Uint8Array {
  const { primitives, params } = suite;
  requireLength('surb.alpha', surb.alpha, suite.group.elementBytes);
  requireLength('surb.beta', surb.beta, suite.betaBytes);
  requireLength('surb.gamma', surb.gamma, SECURITY_BYTES);
  requireLength('surb.ktilde', surb.ktilde, SECURITY_BYTES);
  const body = packBody(primitives, params.bodyLen, surb.ktilde, message);
  const delta = new Uint8Array(body.length);
  encryptWide(primitives, surb.ktilde, body, delta);
  return concat(surb.alpha, surb.beta, surb.gamma, delta);
}

/**
 * The message of a reply. Each hop on its way has decrypted the body once; the maker, who knows all
 * their keys, encrypts as often, last hop first.
 * @param keytuple what `createSurb` gave under the reply's id; not changed
 * @param delta the body as it left the last hop
 */
export function openReply(
  suite: Suite,
  keytuple: readonly Uint8Array[],
  delta: Uint8Array,
): Uint8Array | Drop {
  const { primitives, params } = suite;
  if (keytuple.length < 2) throw new RangeError('keytuple: ktilde and the key of each hop');
  for (const key of keytuple) requireLength('keytuple', key, SECURITY_BYTES);
  const [ktilde, ...bodyKeys] = keytuple as [Uint8Array, ...Uint8Array[]];
  if (delta.length !== params.bodyLen) return { kind: 'drop', reason: 'body-length' };
  let body = Uint8Array.from(delta);
  let spare = new Uint8Array(body.length);
  for (const key of bodyKeys.toReversed()) {
    encryptWide(primitives, key, body, spare);
    [body, spare] = [spare, body];
  }
  decryptWide(primitives, ktilde, body, spare);
  wipe(body);
  return unpackBody(primitives, params.bodyLen, ktilde, spare);
}

/** Bytes of an encoded reply block: address 16 + alpha + beta + gamma 16 + ktilde 16. */
export function surbBytes(suite: Suite): number {
  return (
    ADDRESS_BYTES + suite.group.elementBytes + suite.betaBytes + SECURITY_BYTES + SECURITY_BYTES
  );
}

/**
 * A reply block as bytes, all blocks of a mixnet the same length. The first hop is kept as its address;
 * the delay in its routing is nobody's, for whoever posts the reply is no hop.
 * @throws RangeError where the first hop's routing is not one that `relayRouting` makes
 */
export function encodeSurb(surb: Surb): Uint8Array {
  const routing = readRouting(surb.first);
  if (typeof routing === 'string' || routing.kind !== 'relay') {
    throw new RangeError('surb.first: not a relay routing with an address');
  }
  return concat(routing.address, surb.alpha, surb.beta, surb.gamma, surb.ktilde);
}

/** The inverse of `encodeSurb`, in an array of its own, or null where the length is another. */
export function decodeSurb(suite: Suite, bytes: Uint8Array): Surb | null {
  if (bytes.length !== surbBytes(suite)) return null;
  let offset = 0;
  const take = (length: number): Uint8Array => bytes.slice(offset, (offset += length));
  return {
    first: relayRouting(take(ADDRESS_BYTES), 0),
    alpha: take(suite.group.elementBytes),
    beta: take(suite.betaBytes),
    gamma: take(SECURITY_BYTES),
    ktilde: take(SECURITY_BYTES),
  };
}
