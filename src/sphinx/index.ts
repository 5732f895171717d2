/**
 * The packet format of the mixnet: Sphinx (Danezis and Goldberg, IEEE S&P 2009), byte for byte as the
 * reference implementation `sphinxmix` makes it. README.md has the layout.
 */

import type { Primitives, Random } from '../crypto/primitives.ts';
import { requireLength } from '../crypto/primitives.ts';
import { buildPacket } from './build.ts';
import { SECURITY_BYTES, createSuite } from './packet.ts';
import type { Drop, Hop, SphinxParams } from './packet.ts';
import { contentBytesMax, messageBytesMax, openForward } from './payload.ts';
import type { Payload } from './payload.ts';
import { peelBody, peelHeader } from './peel.ts';
import type { Peeled, PeeledHeader } from './peel.ts';
import { createSurb, decodeSurb, encodeSurb, makeReply, openReply, surbBytes } from './surb.ts';
import type { CreatedSurb, Surb } from './surb.ts';

export { refuseParams, refusePath } from './packet.ts';
export type { Drop, DropReason, Hop, PathKind, SphinxParams } from './packet.ts';
export type { Payload } from './payload.ts';
export type { Peeled, PeeledHeader } from './peel.ts';
export { deliverRouting, readRouting, relayRouting, replyRouting } from './routing.ts';
export type { Routing } from './routing.ts';
export type { CreatedSurb, Surb } from './surb.ts';

/**
 * Packets of one set of parameters. What comes from peers (packets, bodies, encoded reply blocks) may be
 * anything and gives a value; RangeError is for our own bugs: wrong sizes, unchecked keys.
 */
export interface Sphinx {
  readonly params: SphinxParams;
  /** Every packet's length: alpha + beta + gamma + delta. */
  readonly packetBytes: number;
  /** Bytes of each part of a packet, which stand one after the other. */
  readonly partBytes: { readonly [part in 'alpha' | 'beta' | 'gamma' | 'delta']: number };
  /** Every encoded reply block's length. */
  readonly surbBytes: number;
  /** The longest message of a reply. */
  readonly replyBytesMax: number;
  /** The longest message beside a dest of that length; -1 where there is no room at all. */
  messageBytesMax(destBytes: number): number;
  /** A packet along `hops` that delivers `[dest, message]` to the last of them. */
  build(hops: readonly Hop[], dest: Uint8Array, message: Uint8Array, random?: Random): Uint8Array;
  /** Length, point, MAC, routing: cheap. Ask the replay journal for its tag before `peelBody`. */
  peelHeader(secret: Uint8Array, packet: Uint8Array): PeeledHeader | Drop;
  /** The body and the next alpha; takes a header once. */
  peelBody(header: PeeledHeader): Peeled;
  /** Both stages, for tools and tests. */
  peel(secret: Uint8Array, packet: Uint8Array): Peeled | Drop;
  /** The payload at the end of a path, with `macKey` and `delta` of the last hop's `Peeled`. */
  openForward(macKey: Uint8Array, delta: Uint8Array): Payload | Drop;
  /** A reply block that leads along `hops`, the last of which is its maker's own node. */
  createSurb(hops: readonly Hop[], dest: Uint8Array, random?: Random): CreatedSurb;
  encodeSurb(surb: Surb): Uint8Array;
  decodeSurb(bytes: Uint8Array): Surb | null;
  /** The packet that carries a message along a reply block. */
  reply(surb: Surb, message: Uint8Array): Uint8Array;
  /** The message of a reply, with the keys kept under its id. */
  openReply(keytuple: readonly Uint8Array[], delta: Uint8Array): Uint8Array | Drop;
}

/**
 * Packets of these parameters.
 * @throws RangeError, with the sum, where they cannot work; `refuseParams` says so beforehand
 */
export function createSphinx(params: SphinxParams, primitives: Primitives): Sphinx {
  const suite = createSuite(params, primitives);
  const { bodyLen } = params;
  return {
    params,
    packetBytes: suite.packetBytes,
    partBytes: {
      alpha: suite.group.elementBytes,
      beta: suite.betaBytes,
      gamma: SECURITY_BYTES,
      delta: bodyLen,
    },
    surbBytes: surbBytes(suite),
    replyBytesMax: contentBytesMax(bodyLen),
    messageBytesMax: (destBytes) => messageBytesMax(bodyLen, destBytes),
    build: (hops, dest, message, random = primitives.random) =>
      buildPacket(suite, hops, dest, message, random),
    peelHeader: (secret, packet) => peelHeader(suite, secret, packet),
    peelBody: (header) => peelBody(suite, header),
    peel(secret, packet) {
      const header = peelHeader(suite, secret, packet);
      return header.kind === 'drop' ? header : peelBody(suite, header);
    },
    openForward(macKey, delta) {
      requireLength('macKey', macKey, SECURITY_BYTES);
      return openForward(primitives, bodyLen, macKey, delta);
    },
    createSurb: (hops, dest, random = primitives.random) => createSurb(suite, hops, dest, random),
    encodeSurb,
    decodeSurb: (bytes) => decodeSurb(suite, bytes),
    reply: (surb, message) => makeReply(suite, surb, message),
    openReply: (keytuple, delta) => openReply(suite, keytuple, delta),
  };
}
