/**
 * Which way a packet goes: mixes of different owners, none of them the sender's or the recipient's
 * provider, then the exit gateway; and how long each mix holds it. Every packet draws its own. Delays
 * come first: they say when the packet arrives at each hop, and so with which of its keys it is made.
 */
import type { Random } from '../crypto/primitives.ts';
import { relayRouting, type Hop } from '../sphinx/index.ts';
import { drawDelayMs } from './delay.ts';
import { openEndpoint, type Directory, type DirectoryNode } from './directory.ts';
import { chosenUntilMs } from './key-epochs.ts';
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
 * - `exit-closed`: the exit has no open endpoint when the packet would arrive
 * - `mixes-too-few`: fewer owners with an open mix than the snapshot's mixes per route
 * - `self-closed`: the directory has no open endpoint of ours to which a reply could come
 */
export type RouteReason = 'exit-unknown' | 'exit-closed' | 'mixes-too-few' | 'self-closed';

/** A way that a packet can take. */
export interface Route {
  readonly hops: readonly RouteHop[];
  /** How long each hop but the last holds the packet. */
  readonly delaysMs: readonly number[];
  /** When the packet is expected at the last hop, ms since 1970. */
  readonly arrivesMs: number;
  /** How much later than at the query's time it may start and still find every hop's key in use. */
  readonly slackMs: number;
  /** How much later it may start and would still be made with the same keys. */
  readonly sameKeysMs: number;
}

export type RouteChoice =
  ({ readonly kind: 'route' } & Route) | { readonly kind: 'none'; readonly reason: RouteReason };

/** From whom, to whom and when a packet goes. */
export interface RouteQuery {
  readonly directory: Directory;
  /** Peer id of the gateway that sends; its owner's mixes are left out. */
  readonly entry: string;
  /** Peer id of the exit gateway. */
  readonly exit: string;
  /** When the packet leaves for its first hop, ms since 1970. */
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
  const { mixesPerRoute } = query.directory.traffic;
  const { delaysMs, arrivalsMs } = drawTimes(random, query);
  const exitEndpoint = openEndpoint(exitNode, arrivalsMs[mixesPerRoute] as number);
  if (exitEndpoint === null) return { kind: 'none', reason: 'exit-closed' };

  const hops = drawMixes(random, mixesByOwner(query, exitNode.owner), arrivalsMs);
  if (hops.length < mixesPerRoute) return { kind: 'none', reason: 'mixes-too-few' };
  return routeOf([...hops, { node: exitNode, endpoint: exitEndpoint }], delaysMs, arrivalsMs);
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
    /** When the reply is expected to leave for its first hop, ms since 1970. */
    readonly nowMs: number;
  },
): RouteChoice {
  const { directory, from, me, nowMs } = query;
  const node = directory.nodes.find(({ peerId }) => peerId === me);
  if (node === undefined) return { kind: 'none', reason: 'self-closed' };
  const { delaysMs, arrivalsMs } = drawTimes(random, query);
  const mixes = mixesByOwner({ directory, entry: from, exit: me, nowMs }, node.owner);
  const least = from === me ? 1 : directory.traffic.mixesPerRoute;
  const hops = drawMixes(random, mixes, arrivalsMs);
  const endpoint = openEndpoint(node, arrivalsMs[hops.length] as number);
  if (endpoint === null) return { kind: 'none', reason: 'self-closed' };
  if (hops.length < least) return { kind: 'none', reason: 'mixes-too-few' };
  return routeOf([...hops, { node, endpoint }], delaysMs, arrivalsMs);
}

/**
 * How many more owners with an open mix a route needs, 0 where it can be drawn: for set-up and
 * `status`, which say so before mail waits.
 */
export function ownersMissing(query: RouteQuery): number {
  const exitNode = query.directory.nodes.find((node) => node.peerId === query.exit);
  const byOwner = mixesByOwner(query, exitNode?.owner ?? '');
  const owners = openAt(byOwner, query.nowMs).length;
  return Math.max(0, query.directory.traffic.mixesPerRoute - owners);
}

/**
 * The route as Sphinx hops. `hops[i + 1].routing` is what hop i reads: the address of hop i + 1 and
 * how long to hold the packet at hop i.
 */
export function sphinxHops({ hops, delaysMs }: Pick<Route, 'hops' | 'delaysMs'>): readonly Hop[] {
  return hops.map(({ endpoint }, position) => ({
    publicKey: endpoint.publicKey,
    routing: relayRouting(endpoint.address, delaysMs[position - 1] ?? 0),
  }));
}

/** A delay for each mix of a full route, from the snapshot's mean, and when a packet arrives at each hop. */
function drawTimes(
  random: Random,
  { directory, nowMs }: { readonly directory: Directory; readonly nowMs: number },
): { readonly delaysMs: readonly number[]; readonly arrivalsMs: readonly number[] } {
  const { mixesPerRoute, delayMeanMs } = directory.traffic;
  const delaysMs = Array.from({ length: mixesPerRoute }, () => drawDelayMs(random, delayMeanMs));
  const arrivalsMs = [nowMs];
  for (const delayMs of delaysMs) arrivalsMs.push((arrivalsMs.at(-1) as number) + delayMs);
  return { delaysMs, arrivalsMs };
}

/** A loop may have fewer hops than delays were drawn: the first ones hold for them. */
function routeOf(
  hops: readonly RouteHop[],
  delaysMs: readonly number[],
  arrivalsMs: readonly number[],
): RouteChoice {
  const slacksMs = hops.map(({ endpoint }, i) => endpoint.closesMs - (arrivalsMs[i] as number));
  const sameKeysMs = hops.map(({ node, endpoint }, i) => {
    return chosenUntilMs(node.endpoints, endpoint) - (arrivalsMs[i] as number);
  });
  return {
    kind: 'route',
    hops,
    delaysMs: delaysMs.slice(0, hops.length - 1),
    arrivesMs: arrivalsMs[hops.length - 1] as number,
    slackMs: Math.min(...slacksMs),
    sameKeysMs: Math.min(...sameKeysMs),
  };
}

/**
 * Mixes of different owners in the order in which they are passed, fewer where there are too few: each one
 * of those that have a key in use when the packet arrives at its place.
 */
function drawMixes(
  random: Random,
  byOwner: ReadonlyMap<string, readonly DirectoryNode[]>,
  arrivalsMs: readonly number[],
): RouteHop[] {
  const left = new Map(byOwner);
  const hops: RouteHop[] = [];
  // The last arrival is at the end of the route.
  for (const arrivalMs of arrivalsMs.slice(0, -1)) {
    const drawn = drawOne(random, openAt(left, arrivalMs));
    if (drawn === null) break;
    hops.push(drawOne(random, drawn.mixes) as RouteHop);
    left.delete(drawn.owner);
  }
  return hops;
}

/** Owners with a mix that has a key in use at a time, and those mixes with that key. */
function openAt(
  byOwner: ReadonlyMap<string, readonly DirectoryNode[]>,
  atMs: number,
): readonly { readonly owner: string; readonly mixes: readonly RouteHop[] }[] {
  return [...byOwner].flatMap(([owner, nodes]) => {
    const mixes = nodes.flatMap((node) => {
      const endpoint = openEndpoint(node, atMs);
      return endpoint === null ? [] : [{ node, endpoint }];
    });
    return mixes.length === 0 ? [] : [{ owner, mixes }];
  });
}

function mixesByOwner(query: RouteQuery, exitOwner: string): Map<string, DirectoryNode[]> {
  const entryOwner = query.directory.nodes.find(({ peerId }) => peerId === query.entry)?.owner;
  const byOwner = new Map<string, DirectoryNode[]>();
  for (const node of query.directory.nodes) {
    if (!node.roles.includes('mix') || node.paused) continue;
    if (node.peerId === query.entry || node.peerId === query.exit) continue;
    if (node.owner === entryOwner || node.owner === exitOwner) continue;
    byOwner.set(node.owner, [...(byOwner.get(node.owner) ?? []), node]);
  }
  return byOwner;
}
