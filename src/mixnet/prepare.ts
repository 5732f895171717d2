/**
 * From mail to packets: envelope and data become one message, the message fragments, and each
 * fragment a packet on a route of its own. Cover goes through the same last step.
 */
import { concat, fromHex, readUint, writeUint } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import type { Sphinx } from '../sphinx/index.ts';
import { buildAck } from './ack.ts';
import { coverMessage, DESTINATIONS, type Destination } from './cover.ts';
import type { Directory } from './directory.ts';
import type { Envelope } from './envelope.ts';
import { encodeFragment, split, type Fragment } from './fragment.ts';
import type { Geometry } from './geometry.ts';
import {
  chooseReturn,
  chooseRoute,
  sphinxHops,
  type RouteHop,
  type RouteQuery,
  type RouteReason,
} from './route.ts';

/** In front of the envelope. */
const ENVELOPE_LENGTH_BYTES = 4;
/** A reply block's dest is empty (design §6): its id finds the rest. */
const NO_DEST = new Uint8Array();

/** Envelope and data as one message: length of the envelope (4), the signed envelope, the data. */
export function joinMail(signedEnvelope: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(writeUint(signedEnvelope.length, ENVELOPE_LENGTH_BYTES), signedEnvelope, data);
}

/** How long `joinMail` makes it. */
export function joinedBytes(signedEnvelope: Uint8Array, data: Uint8Array): number {
  return ENVELOPE_LENGTH_BYTES + signedEnvelope.length + data.length;
}

/** The inverse of `joinMail`, or null where the message is too short. */
export function splitMail(
  message: Uint8Array,
): { readonly signedEnvelope: Uint8Array; readonly data: Uint8Array } | null {
  if (message.length < ENVELOPE_LENGTH_BYTES) return null;
  const end = ENVELOPE_LENGTH_BYTES + readUint(message, 0, ENVELOPE_LENGTH_BYTES);
  if (end > message.length) return null;
  return {
    signedEnvelope: message.subarray(ENVELOPE_LENGTH_BYTES, end),
    data: message.subarray(end),
  };
}

/** The fragments of a mail; the same mail gives the same ones, so that doing it twice is harmless. */
export function fragmentMail(
  envelope: Pick<Envelope, 'messageId' | 'expiryMs'>,
  signedEnvelope: Uint8Array,
  data: Uint8Array,
  geometry: Geometry,
): Fragment[] {
  const messageId = fromHex(envelope.messageId);
  if (messageId?.length !== 16) throw new RangeError('a message id has 32 hex digits');
  return split(
    joinMail(signedEnvelope, data),
    { messageId, expiryMs: envelope.expiryMs },
    geometry,
  );
}

/** A packet ready to go, or why there is none now. */
export type PreparedPacket =
  | {
      readonly kind: 'packet';
      readonly packet: Uint8Array;
      /** Where it goes first. */
      readonly first: RouteHop;
      /** Until when it may leave and find every key of its way out and back in use, ms since 1970. */
      readonly freshUntilMs: number;
      /** Until when it would be made with the same keys, ms since 1970. */
      readonly sameKeysUntilMs: number;
      /** What its sender keeps to know and to read the answer. */
      readonly reply: { readonly id: Uint8Array; readonly keytuple: readonly Uint8Array[] };
      readonly trip: {
        /** Peer ids of all hops out and back, without the sender. */
        readonly nodes: readonly string[];
        /** Sum of the delays drawn for them; an exit adds its own for the ack. */
        readonly delayMs: number;
      };
    }
  | { readonly kind: 'none'; readonly reason: RouteReason };

/** A packet that carries a fragment, on a fresh random route, with a reply block on another. */
export function prepareFragment(
  sphinx: Sphinx,
  geometry: Geometry,
  random: Random,
  query: RouteQuery,
  fragment: Fragment,
): PreparedPacket {
  return preparePacket(sphinx, random, query, 'mail', (replyBlock) =>
    encodeFragment(fragment, geometry, replyBlock),
  );
}

/** A packet that carries nothing but its reply block. */
export function prepareCover(
  sphinx: Sphinx,
  geometry: Geometry,
  random: Random,
  query: RouteQuery,
): PreparedPacket {
  return preparePacket(sphinx, random, query, 'cover', (replyBlock) =>
    coverMessage(geometry, replyBlock),
  );
}

/** A loop: a reply block that we answer ourselves, so that the packet comes back through other mixes. */
export function prepareLoop(
  sphinx: Sphinx,
  random: Random,
  query: { readonly directory: Directory; readonly me: string; readonly nowMs: number },
): PreparedPacket {
  const back = prepareReturn(sphinx, random, { ...query, from: query.me });
  if (back.kind === 'none') return back;
  const loop = buildAck(sphinx, back.replyBlock, 'kept');
  if (loop === null) throw new RangeError('our own reply block cannot be read');
  return {
    kind: 'packet',
    packet: loop.packet,
    first: back.hops[0] as RouteHop,
    freshUntilMs: query.nowMs + back.slackMs,
    sameKeysUntilMs: query.nowMs + back.sameKeysMs,
    reply: back.reply,
    // The last hop is ourselves.
    trip: { nodes: back.hops.slice(0, -1).map(peerIdOf), delayMs: back.delayMs },
  };
}

function preparePacket(
  sphinx: Sphinx,
  random: Random,
  query: RouteQuery,
  destination: Destination,
  messageWith: (replyBlock: Uint8Array) => Uint8Array,
): PreparedPacket {
  const { directory, entry, exit, nowMs } = query;
  const route = chooseRoute(random, query);
  if (route.kind === 'none') return route;
  // The exit draws a delay of its own for the answer; its mean is what is known of it.
  const answerMs = route.arrivesMs + directory.traffic.delayMeanMs;
  const ends = { directory, from: exit, me: entry, nowMs: answerMs };
  const back = prepareReturn(sphinx, random, ends);
  if (back.kind === 'none') return back;
  const message = messageWith(back.replyBlock);
  const nodes = [...route.hops, ...back.hops.slice(0, -1)].map(peerIdOf);
  return {
    kind: 'packet',
    packet: sphinx.build(sphinxHops(route), DESTINATIONS[destination], message, random),
    first: route.hops[0] as RouteHop,
    freshUntilMs: nowMs + Math.min(route.slackMs, back.slackMs),
    sameKeysUntilMs: nowMs + Math.min(route.sameKeysMs, back.sameKeysMs),
    reply: back.reply,
    trip: { nodes, delayMs: sum(route.delaysMs) + back.delayMs },
  };
}

/** A reply block on a fresh random way, with what its maker keeps. */
function prepareReturn(sphinx: Sphinx, random: Random, query: Parameters<typeof chooseReturn>[1]) {
  const route = chooseReturn(random, query);
  if (route.kind === 'none') return route;
  const { id, keytuple, surb } = sphinx.createSurb(sphinxHops(route), NO_DEST, random);
  const replyBlock = sphinx.encodeSurb(surb);
  return { ...route, replyBlock, reply: { id, keytuple }, delayMs: sum(route.delaysMs) };
}

function peerIdOf({ node }: RouteHop): string {
  return node.peerId;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
