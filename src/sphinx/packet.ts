/**
 * The packet as bytes: parameters, the size of every part, and cutting a packet into its parts.
 * alpha is the ephemeral group element, beta the encrypted routing, gamma the header's MAC, delta the
 * body. README.md has the layout; here are its sums.
 */

import type { Group, GroupName, Primitives } from '../crypto/primitives.ts';
import { DELIVER_ROUTING_BYTES, RELAY_ROUTING_BYTES, replyRoutingBytes } from './routing.ts';

/** The security parameter k of Sphinx §3.1: bytes of MACs, symmetric keys, tags and reply ids. */
export const SECURITY_BYTES = 16;

/** HEADER_LEN counts beta and 32 bytes beside it, whatever group alpha lives in (as in the reference). */
export const HEADER_LEN_BESIDE_BETA = 32;

/** A length byte in front of each hop's routing. */
export const ROUTING_LENGTH_BYTES = 1;

// A body must hold the smallest payload: MAC 16, [dest of 1, message of 0] in msgpack 1 + 3 + 2,
// end mark 1; and the wide-block cipher needs two blocks. The larger of 23 and 32.
const BODY_LEN_MIN = 2 * SECURITY_BYTES;
/** Beyond these nobody has measured anything; they only stop a typing error from filling memory. */
const HEADER_LEN_MAX = 65_535;
const BODY_LEN_MAX = 16_777_216;

/** What all packets of a mixnet share: D4.2's GROUP, HEADER_LEN and BODY_LEN. */
export interface SphinxParams {
  readonly group: GroupName;
  /** HEADER_LEN: bytes of beta + 32. */
  readonly headerLen: number;
  /** BODY_LEN: bytes of delta. */
  readonly bodyLen: number;
}

/** A hop as the sender sees it. */
export interface Hop {
  /** What the header carries *about* this hop, for the one before it; the first hop's is not carried. */
  readonly routing: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Why a packet, or a body, is refused; the same word in log, metric, answer and test. */
export type DropReason =
  | 'packet-length'
  | 'point-invalid'
  | 'mac-mismatch'
  | 'routing-malformed'
  | 'routing-unknown'
  | 'body-length'
  | 'body-mac-mismatch'
  | 'payload-malformed';

/** A refused packet. */
export interface Drop {
  readonly kind: 'drop';
  readonly reason: DropReason;
}

/** A refusal by its name. */
export function drop(reason: DropReason): Drop {
  return { kind: 'drop', reason };
}

/** The parts of a packet, as views of it. */
export interface PacketParts {
  readonly alpha: Uint8Array;
  readonly beta: Uint8Array;
  readonly gamma: Uint8Array;
  readonly delta: Uint8Array;
}

/** Parameters with all that follows from them; what the other files of this folder work with. */
export interface Suite {
  readonly params: SphinxParams;
  readonly primitives: Primitives;
  readonly group: Group;
  readonly betaBytes: number;
  /** alpha + beta + gamma + delta. */
  readonly packetBytes: number;
}

/** @throws RangeError, with the sum, where the parameters cannot work */
export function createSuite(params: SphinxParams, primitives: Primitives): Suite {
  const refusal = refuseParams(params);
  if (refusal !== null) throw new RangeError(refusal);
  const group = primitives.group(params.group);
  const betaBytes = params.headerLen - HEADER_LEN_BESIDE_BETA;
  return {
    params,
    primitives,
    group,
    betaBytes,
    packetBytes: group.elementBytes + betaBytes + SECURITY_BYTES + params.bodyLen,
  };
}

/** Why no packet can be made with these parameters, as a sentence with the sum, or null. */
export function refuseParams({ group, headerLen, bodyLen }: SphinxParams): string | null {
  if (group !== 'X25519' && group !== 'P-224') return `GROUP ${String(group)} is not known`;
  if (!Number.isSafeInteger(headerLen) || headerLen > HEADER_LEN_MAX) {
    return `HEADER_LEN ${headerLen} is no whole number up to ${HEADER_LEN_MAX}`;
  }
  if (!Number.isSafeInteger(bodyLen) || bodyLen > BODY_LEN_MAX) {
    return `BODY_LEN ${bodyLen} is no whole number up to ${BODY_LEN_MAX}`;
  }
  if (bodyLen < BODY_LEN_MIN) {
    return `BODY_LEN ${bodyLen} is below ${BODY_LEN_MIN} = 2 × 16, the least that the wide-block cipher takes`;
  }
  return refusePath({ headerLen }, 1, 'forward');
}

/** Which way a path goes: `forward` ends at an exit, `reply` brings a reply block home. */
export type PathKind = 'forward' | 'reply';

/**
 * Why a header of this HEADER_LEN cannot carry a path, as a sentence with the sum, or null where it
 * can. Each hop after the first takes a length byte, its relay routing and a MAC; the last reads its
 * final routing, which for a reply is flag, empty dest and a 16-byte id.
 */
export function refusePath(
  { headerLen }: Pick<SphinxParams, 'headerLen'>,
  hopCount: number,
  kind: PathKind,
): string | null {
  if (!Number.isSafeInteger(hopCount) || hopCount < 1) return `a path of ${hopCount} hops is none`;
  const finalBytes = kind === 'forward' ? DELIVER_ROUTING_BYTES : replyRoutingBytes(0);
  const bytes = headerLenOf(Array(hopCount - 1).fill(RELAY_ROUTING_BYTES), finalBytes);
  if (headerLen >= bytes) return null;
  return (
    `HEADER_LEN ${headerLen} does not carry a ${kind} path of ${hopCount} hops: it takes ` +
    `${bytes} = 32 + ${hopCount - 1} × (1 + ${RELAY_ROUTING_BYTES} + 16) + 1 + ${finalBytes}`
  );
}

/** The HEADER_LEN that a path takes: routings of all hops but the first, and the final routing. */
export function headerLenOf(routingBytes: readonly number[], finalBytes: number): number {
  return routingBytes.reduce(
    (sum, bytes) => sum + ROUTING_LENGTH_BYTES + bytes + SECURITY_BYTES,
    HEADER_LEN_BESIDE_BETA + ROUTING_LENGTH_BYTES + finalBytes,
  );
}

/** The parts of a packet, or null where its length is not the one that all packets have. */
export function splitPacket(suite: Suite, packet: Uint8Array): PacketParts | null {
  if (packet.length !== suite.packetBytes) return null;
  const betaStart = suite.group.elementBytes;
  const gammaStart = betaStart + suite.betaBytes;
  const deltaStart = gammaStart + SECURITY_BYTES;
  return {
    alpha: packet.subarray(0, betaStart),
    beta: packet.subarray(betaStart, gammaStart),
    gamma: packet.subarray(gammaStart, deltaStart),
    delta: packet.subarray(deltaStart),
  };
}
