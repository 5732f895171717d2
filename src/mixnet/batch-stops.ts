/**
 * Mixing without a chain (design §7, "single endpoints with random routes"): each owner of the mixnet keeps
 * an endpoint of its own, a stop, and whoever sends draws which owners a packet passes, and in which order.
 */
import { decodeBatchParams, encodeBatchParams } from '../api/batch-params.ts';
import { BATCH, type EndpointCreate, type EndpointFields } from '../api/endpoint.ts';
import { nodeAddress } from '../crypto/keys.ts';
import type { GroupName, Primitives, Random } from '../crypto/primitives.ts';
import { relayRouting, type Hop } from '../sphinx/index.ts';
import { shuffle } from './draw.ts';

/** Owners on a route, where the mixnet has so many: as for mail, one honest one hides a packet. */
export const STOPS_PER_ROUTE = 3;

/** One owner's stop. */
export interface Stop {
  readonly peerId: string;
  readonly endpointId: string;
  readonly publicKey: Uint8Array;
}

/** What all owners agree on: their stops are alike. */
export interface StopTerms {
  readonly name: string;
  readonly sizeMin: number;
  readonly sizeMax: number;
  readonly public: boolean;
}

/** `NAME_OWNER_1`, then `_2`: each has a key of its own. */
export function stopIdOf(name: string, peerId: string, number: number): string {
  return `${name}_${peerId.slice(0, 16)}_${number}`;
}

/** Words that bind a stop to its mixnet, for its owner may have others. */
export function stopDescription(mixnetId: string): string {
  return `a stop of ${mixnetId}`;
}

/** `data` with which an owner opens a stop. Nodes and strangers post there, as to a gateway. */
export function stopTerms(
  mixnetId: string,
  stop: Stop,
  group: GroupName,
  terms: StopTerms,
): EndpointCreate {
  const { peerId, endpointId, publicKey } = stop;
  return {
    peer_id: peerId,
    endpoint_id: endpointId,
    endpoint_type: BATCH,
    endpoint_params: encodeBatchParams({ kind: 'mix', group, waitMs: null, publicKey }),
    description: stopDescription(mixnetId),
    status: 'OPEN',
    size_min: terms.sizeMin,
    size_max: terms.sizeMax,
    public: terms.public,
    senders: 'anyone',
  };
}

/** The stop that an owner has signed, or null where it signed something else. */
export function readStop(mixnetId: string, group: GroupName, fields: EndpointFields): Stop | null {
  const params = decodeBatchParams(fields.endpoint_params);
  if (fields.endpoint_type !== BATCH || fields.description !== stopDescription(mixnetId))
    return null;
  if (params?.kind !== 'mix' || params.group !== group) return null;
  const { peer_id: peerId, endpoint_id: endpointId } = fields;
  return { peerId, endpointId, publicKey: params.publicKey };
}

/** A route of different owners, every one equally likely; as many as there are, up to three. */
export function drawStops(random: Random, stops: readonly Stop[]): Stop[] {
  const owners = shuffle(random, [...new Set(stops.map((stop) => stop.peerId))]);
  return owners.slice(0, STOPS_PER_ROUTE).map(
    // The newest of an owner comes last.
    (owner) => stops.findLast((stop) => stop.peerId === owner) as Stop,
  );
}

/** The hops of a route. */
export function stopHops(primitives: Primitives, route: readonly Stop[]): Hop[] {
  return route.map(({ peerId, publicKey }) => ({
    routing: relayRouting(nodeAddress(primitives, peerId, publicKey), 0),
    publicKey,
  }));
}
