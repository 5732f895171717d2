/**
 * From mail to packets: envelope and data become one message, the message fragments, and each
 * fragment a packet on a route of its own. Cover goes through the same last step.
 */
import { concat, fromHex, readUint, writeUint } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import type { Sphinx } from '../sphinx/index.ts';
import { coverMessage, DESTINATIONS, type Destination } from './cover.ts';
import type { Envelope } from './envelope.ts';
import { encodeFragment, split, type Fragment } from './fragment.ts';
import type { Geometry } from './geometry.ts';
import {
  chooseRoute,
  sphinxHops,
  type RouteHop,
  type RouteQuery,
  type RouteReason,
} from './route.ts';

/** In front of the envelope. */
const ENVELOPE_LENGTH_BYTES = 4;

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
      /** Until when every endpoint of its route is open, in ms since 1970. */
      readonly freshUntilMs: number;
    }
  | { readonly kind: 'none'; readonly reason: RouteReason };

/** A packet that carries a fragment, on a fresh random route. */
export function prepareFragment(
  sphinx: Sphinx,
  geometry: Geometry,
  random: Random,
  query: RouteQuery,
  fragment: Fragment,
): PreparedPacket {
  return preparePacket(sphinx, random, query, 'mail', encodeFragment(fragment, geometry));
}

/** A packet that carries nothing, on a fresh random route. */
export function prepareCover(
  sphinx: Sphinx,
  geometry: Geometry,
  random: Random,
  query: RouteQuery,
): PreparedPacket {
  return preparePacket(sphinx, random, query, 'cover', coverMessage(geometry));
}

function preparePacket(
  sphinx: Sphinx,
  random: Random,
  query: RouteQuery,
  destination: Destination,
  message: Uint8Array,
): PreparedPacket {
  const route = chooseRoute(random, query);
  if (route.kind === 'none') return route;
  const hops = sphinxHops(random, route.hops, query.directory.traffic.delayMeanMs);
  return {
    kind: 'packet',
    packet: sphinx.build(hops, DESTINATIONS[destination], message, random),
    first: route.hops[0] as RouteHop,
    freshUntilMs: Math.min(...route.hops.map(({ endpoint }) => endpoint.closesMs)),
  };
}
