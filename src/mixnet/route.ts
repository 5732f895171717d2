/**
 * Which way a packet goes: mixes of different owners, none of them the sender's or the recipient's
 * provider, then the exit gateway; and how long each mix holds it. Every packet draws its own.
 */
import type { Random } from '../crypto/primitives.ts';
import { relayRouting, type Hop } from '../sphinx/index.ts';
import { drawDelayMs } from './delay.ts';
import { openEndpoint, type Directory, type DirectoryNode } from './directory.ts';
import { drawOne } from './draw.ts';

type Endpoint = DirectoryNode['endpoints'][number];

/** One position of a route. */
export interface RouteHop {
  readonly node: DirectoryNode;
  readonly endpoint: Endpoint;
}

/**
 * Why there is no route now. All of them pass with another directory, so mail waits.
 * - `exit-unknown`: the directory has no such gateway
 * - `exit-closed`: the exit has no open endpoint
 * - `mixes-too-few`: fewer owners with an open mix than the snapshot's mixes per route
 */
export type RouteReason = 'exit-unknown' | 'exit-closed' | 'mixes-too-few';

export type RouteChoice =
  | { readonly kind: 'route'; readonly hops: readonly RouteHop[] }
  | { readonly kind: 'none'; readonly reason: RouteReason };

/** From whom, to whom and when a packet goes. */
export interface RouteQuery {
  readonly directory: Directory;
  /** Peer id of the gateway that sends; its owner's mixes are left out. */
  readonly entry: string;
  /** Peer id of the exit gateway. */
  readonly exit: string;
  readonly nowMs: number;
}

/**
 * Draws a route: `mixesPerRoute` mixes, then the exit.
 *
 * The only relaxation is the snapshot's `mixesPerRoute`, which owners of a small mixnet may agree
 * to be below 3; that mixes have different owners, and never those of the two ends, always holds.
 * Owners are drawn first and their mixes then: more machines buy no larger share of the routes.
 */
export function chooseRoute(random: Random, query: RouteQuery): RouteChoice {
  const exitNode = query.directory.nodes.find(
    (node) => node.peerId === query.exit && node.roles.includes('gateway'),
  );
  if (exitNode === undefined) return { kind: 'none', reason: 'exit-unknown' };
  const exitEndpoint = openEndpoint(exitNode, query.nowMs);
  if (exitEndpoint === null) return { kind: 'none', reason: 'exit-closed' };

  const mixes = mixesByOwner(query, exitNode.owner);
  const hops: RouteHop[] = [];
  while (hops.length < query.directory.traffic.mixesPerRoute) {
    const owner = drawOne(random, [...mixes.keys()]);
    if (owner === null) return { kind: 'none', reason: 'mixes-too-few' };
    hops.push(drawOne(random, mixes.get(owner) ?? []) as RouteHop);
    mixes.delete(owner);
  }
  return { kind: 'route', hops: [...hops, { node: exitNode, endpoint: exitEndpoint }] };
}

/**
 * How many more owners with an open mix a route needs, 0 where it can be drawn: for set-up and
 * `status`, which say so before mail waits.
 */
export function ownersMissing(query: RouteQuery): number {
  const exitNode = query.directory.nodes.find((node) => node.peerId === query.exit);
  const owners = mixesByOwner(query, exitNode?.owner ?? '').size;
  return Math.max(0, query.directory.traffic.mixesPerRoute - owners);
}

/**
 * The route as Sphinx hops. `hops[i + 1].routing` is what hop i reads: the address of hop i + 1 and
 * how long to hold the packet at hop i, drawn here from the snapshot's mean.
 */
export function sphinxHops(
  random: Random,
  route: readonly RouteHop[],
  delayMeanMs: number,
): readonly Hop[] {
  return route.map(({ endpoint }, position) => ({
    publicKey: endpoint.publicKey,
    routing: relayRouting(endpoint.address, position > 0 ? drawDelayMs(random, delayMeanMs) : 0),
  }));
}

function mixesByOwner(query: RouteQuery, exitOwner: string): Map<string, RouteHop[]> {
  const entryOwner = query.directory.nodes.find(({ peerId }) => peerId === query.entry)?.owner;
  const byOwner = new Map<string, RouteHop[]>();
  for (const node of query.directory.nodes) {
    if (!node.roles.includes('mix') || node.paused) continue;
    if (node.peerId === query.entry || node.peerId === query.exit) continue;
    if (node.owner === entryOwner || node.owner === exitOwner) continue;
    const endpoint = openEndpoint(node, query.nowMs);
    if (endpoint === null) continue;
    byOwner.set(node.owner, [...(byOwner.get(node.owner) ?? []), { node, endpoint }]);
  }
  return byOwner;
}
