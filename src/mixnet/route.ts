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
 * - `self-closed`: the directory has no open endpoint of ours to which a reply could come
 */
export type RouteReason = 'exit-unknown' | 'exit-closed' | 'mixes-too-few' | 'self-closed';

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

  const { mixesPerRoute } = query.directory.traffic;
  const hops = drawMixes(random, mixesByOwner(query, exitNode.owner), mixesPerRoute);
  if (hops.length < mixesPerRoute) return { kind: 'none', reason: 'mixes-too-few' };
  return { kind: 'route', hops: [...hops, { node: exitNode, endpoint: exitEndpoint }] };
}

/**
 * Draws the way back of a reply block: other mixes by the same rule, then the sender's own node. From
 * an exit to the entry, or, where `from` is the sender itself, a loop; a loop takes as many mixes as
 * there are where they are fewer than on a route, for it protects nobody's mail.
 */
export function chooseReturn(
  random: Random,
  query: {
    readonly directory: Directory;
    /** Peer id of who will post the reply; its owner's mixes are left out. */
    readonly from: string;
    /** Peer id of the sender, to whom the reply comes. */
    readonly me: string;
    readonly nowMs: number;
  },
): RouteChoice {
  const { directory, from, me, nowMs } = query;
  const node = directory.nodes.find(({ peerId }) => peerId === me);
  const endpoint = node && openEndpoint(node, nowMs);
  if (!endpoint) return { kind: 'none', reason: 'self-closed' };
  const mixes = mixesByOwner({ directory, entry: from, exit: me, nowMs }, node.owner);
  const { mixesPerRoute } = directory.traffic;
  const least = from === me ? 1 : mixesPerRoute;
  const hops = drawMixes(random, mixes, mixesPerRoute);
  if (hops.length < least) return { kind: 'none', reason: 'mixes-too-few' };
  return { kind: 'route', hops: [...hops, { node, endpoint }] };
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

/** How long each mix of a route holds the packet, in ms, drawn from the snapshot's mean. */
export function drawDelays(
  random: Random,
  route: readonly RouteHop[],
  delayMeanMs: number,
): readonly number[] {
  return route.slice(1).map(() => drawDelayMs(random, delayMeanMs));
}

/**
 * The route as Sphinx hops. `hops[i + 1].routing` is what hop i reads: the address of hop i + 1 and
 * how long to hold the packet at hop i.
 * @param delaysMs as `drawDelays` gives them: one for each hop but the last
 */
export function sphinxHops(
  route: readonly RouteHop[],
  delaysMs: readonly number[],
): readonly Hop[] {
  return route.map(({ endpoint }, position) => ({
    publicKey: endpoint.publicKey,
    routing: relayRouting(endpoint.address, delaysMs[position - 1] ?? 0),
  }));
}

/** Mixes of different owners in the order in which they are passed, fewer where there are too few. */
function drawMixes(
  random: Random,
  byOwner: Map<string, RouteHop[]>,
  mixesPerRoute: number,
): RouteHop[] {
  const hops: RouteHop[] = [];
  while (hops.length < mixesPerRoute) {
    const owner = drawOne(random, [...byOwner.keys()]);
    if (owner === null) break;
    hops.push(drawOne(random, byOwner.get(owner) ?? []) as RouteHop);
    byOwner.delete(owner);
  }
  return hops;
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
