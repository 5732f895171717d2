/**
 * Making a header (Sphinx §3.2): the chain of ephemeral keys, then beta and gamma from the last hop to
 * the first. Every hop sees a header of the same length, wherever it stands on the path.
 */

import { concat } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { requireLength, wipe } from '../crypto/primitives.ts';
import { deriveKey, headerStream, mac, masterKey } from './derive.ts';
import { ROUTING_LENGTH_BYTES, SECURITY_BYTES, headerLenOf } from './packet.ts';
import type { Hop, Suite } from './packet.ts';
import { ROUTING_BYTES_MAX } from './routing.ts';

/** A header, and each hop's body key, first hop first. */
export interface BuiltHeader {
  readonly alpha: Uint8Array;
  readonly beta: Uint8Array;
  readonly gamma: Uint8Array;
  /** h_pi of each hop, 16 bytes: what encrypts the body at that hop, and authenticates it at the last. */
  readonly bodyKeys: readonly Uint8Array[];
}

/**
 * A header for the path. Draws from `random`: the secret x, then the padding of beta.
 * @param finalRouting what the last hop reads
 * @throws RangeError where the path does not fit, with the sum, or a public key is of no use: check
 *   paths with `refusePath` and keys with `Group.accepts` where they come in
 */
export function buildHeader(
  suite: Suite,
  hops: readonly Hop[],
  finalRouting: Uint8Array,
  random: Random,
): BuiltHeader {
  // What hop i reads, for all but the last: length, then the routing of hop i + 1.
  const routings = hops.slice(1).map(({ routing }) => withLength(routing));
  requireFit(suite, hops, finalRouting);
  const { alpha, masters } = agreeKeys(suite, hops, random);
  const { primitives } = suite;
  const streamKeys = masters.map((master) => deriveKey(primitives, master, 'header'));
  const filler = makeFiller(suite, streamKeys, routings);

  // The last hop: its routing, random bytes up to where the filler starts, the filler. The padding is
  // random, not zero: zeros would tell the last hop how long the path was.
  const final = withLength(finalRouting);
  const padding = drawExactly(random, suite.betaBytes - filler.length - final.length);
  const lastKey = streamKeys.at(-1) as Uint8Array;
  let beta = concat(headerStream(primitives, lastKey, concat(final, padding)), filler);
  let gamma = headerMac(suite, masters.at(-1) as Uint8Array, beta);

  for (let i = hops.length - 2; i >= 0; i--) {
    const plain = concat(routings[i] as Uint8Array, gamma, beta).subarray(0, suite.betaBytes);
    beta = concat(headerStream(primitives, streamKeys[i] as Uint8Array, plain));
    gamma = headerMac(suite, masters[i] as Uint8Array, beta);
  }
  const bodyKeys = masters.map((master) => deriveKey(primitives, master, 'body'));
  wipe(...masters, ...streamKeys);
  return { alpha, beta, gamma, bodyKeys };
}

/** A length byte, then the routing. */
function withLength(routing: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(routing.length), routing);
}

function requireFit(suite: Suite, hops: readonly Hop[], finalRouting: Uint8Array): void {
  if (hops.length === 0) throw new RangeError('hops: a path has at least one');
  const carried = [...hops.slice(1).map(({ routing }) => routing), finalRouting];
  const tooLong = carried.find(({ length }) => length < 1 || length > ROUTING_BYTES_MAX);
  if (tooLong) throw new RangeError(`routing: 1 to 127 bytes, got ${tooLong.length}`);
  const lengths = hops.slice(1).map(({ routing }) => routing.length);
  const bytes = headerLenOf(lengths, finalRouting.length);
  if (bytes > suite.params.headerLen) {
    const parts = lengths.map((length) => `(1 + ${length} + 16)`);
    const sum = ['32', ...parts, '1', `${finalRouting.length}`].join(' + ');
    throw new RangeError(`hops: the path takes ${bytes} = ${sum} of ${suite.params.headerLen}`);
  }
}

/**
 * alpha_0, and the master key of every hop: alpha_0 = g^x, s_0 = y_0^x, then each exponent gains the
 * blinding factor that the hop before will find in its own shared secret.
 */
function agreeKeys(
  suite: Suite,
  hops: readonly Hop[],
  random: Random,
): { alpha: Uint8Array; masters: Uint8Array[] } {
  const { group, primitives } = suite;
  const exponents = [group.scalarFrom(drawExactly(random, group.secretBytes))];
  const alpha = group.publicKey(exponents[0] as Uint8Array);
  const masters = hops.map(({ publicKey }, i) => {
    const sharedSecret = group.sharedSecret(publicKey, exponents);
    if (sharedSecret === null) throw new RangeError(`hops[${i}].publicKey: no usable element`);
    const master = masterKey(primitives, sharedSecret);
    const factor = deriveKey(primitives, master, 'blinding');
    exponents.push(group.scalarFrom(factor));
    wipe(factor);
    return master;
  });
  wipe(...exponents);
  return { alpha, masters };
}

/**
 * phi (Sphinx §3.2): the end of the last hop's beta. Each hop appends zeros before it decrypts, as many
 * as it takes away in front; this is what those zeros have become at the last hop, so that its MAC fits.
 */
function makeFiller(
  suite: Suite,
  streamKeys: readonly Uint8Array[],
  routings: readonly Uint8Array[],
): Uint8Array {
  let filler = new Uint8Array(0);
  for (const [i, routing] of routings.entries()) {
    const shift = routing.length + SECURITY_BYTES;
    const start = suite.betaBytes - filler.length; // where the filler so far stands in hop i's beta
    const plain = concat(new Uint8Array(start), filler, new Uint8Array(shift));
    const stream = headerStream(suite.primitives, streamKeys[i] as Uint8Array, plain);
    filler = stream.slice(start);
  }
  return filler;
}

function headerMac(suite: Suite, master: Uint8Array, beta: Uint8Array): Uint8Array {
  const key = deriveKey(suite.primitives, master, 'headerMac');
  const gamma = mac(suite.primitives, key, beta);
  wipe(key);
  return gamma;
}

/** That many bytes and no fewer: a source that runs dry must not make a short secret. */
export function drawExactly(random: Random, byteLength: number): Uint8Array {
  const bytes = random(byteLength);
  requireLength('random', bytes, byteLength);
  return bytes;
}

/** Zeros that a hop appends to beta before decrypting: as many as the longest routing takes away. */
export const BETA_EXTENSION_BYTES = ROUTING_LENGTH_BYTES + ROUTING_BYTES_MAX + SECURITY_BYTES;
