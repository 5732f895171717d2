/**
 * Packets without their bytes: who sends what along which nodes, and how long each keeps it. Sphinx is
 * not run, for all packets have one size; ways and delays are drawn by the product's own functions, in
 * the order in which mixnet/prepare.ts draws them.
 */
import type { Random } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { chooseReturn, chooseRoute, type RouteReason } from '../mixnet/route.ts';
import type { WaitingFragment } from './mail.ts';

/** What only the sender and the last node of a packet know. */
export type PacketKind = 'fragment' | 'cover' | 'ack' | 'loop';

/** One way: nodes without its first, and how long each but the last keeps the packet. */
export interface Way {
  readonly nodes: readonly string[];
  readonly delaysMs: readonly number[];
}

/** A packet on its way. */
export interface SimulatedPacket {
  readonly kind: PacketKind;
  /** Who built it and put it on its first link. */
  readonly from: string;
  readonly way: Way;
  /** The way of the answer that its exit is to send; null for acks and loops. */
  readonly back: Way | null;
  /** What it carries, or what it acks; null for cover, its ack, and loops. */
  readonly fragment: WaitingFragment | null;
  /** By which its sender knows its return. */
  readonly tripId: string;
  /** When its sender, or the sender of what it answers, put it on the wire. */
  readonly sentMs: number;
  /** Places of its way where its tag is known: bit i for node i. */
  seen: number;
  /** Places of its way where an alarmed node has held it. */
  held: number;
}

/** A way out and one back, as a sender draws them for a fragment or cover. */
export interface Trip {
  readonly out: Way;
  readonly back: Way;
  /** All hops, without the sender. */
  readonly nodes: readonly string[];
  /** Sum of the delays that the sender has drawn. */
  readonly delayMs: number;
}

/** A drawn trip, or why there is none now. */
export type TripChoice =
  ({ readonly kind: 'trip' } & Trip) | { readonly kind: 'none'; readonly reason: RouteReason };

/** The trip of a gateway's packet: to an exit, and its ack back to the gateway. */
export function drawTrip(
  random: Random,
  query: {
    readonly directory: Directory;
    readonly entry: string;
    readonly exit: string;
    readonly nowMs: number;
  },
): TripChoice {
  const { directory, entry, exit } = query;
  const route = chooseRoute(random, query);
  if (route.kind === 'none') return route;
  const answerMs = route.arrivesMs + directory.traffic.delayMeanMs;
  const back = chooseReturn(random, { directory, from: exit, me: entry, nowMs: answerMs });
  if (back.kind === 'none') return back;
  const { delaysMs } = route;
  const { delaysMs: backDelaysMs } = back;
  const outNodes = route.hops.map(({ node }) => node.peerId);
  const backNodes = back.hops.map(({ node }) => node.peerId);
  return {
    kind: 'trip',
    out: { nodes: outNodes, delaysMs },
    back: { nodes: backNodes, delaysMs: backDelaysMs },
    nodes: [...outNodes, ...backNodes.slice(0, -1)],
    delayMs: sum(delaysMs) + sum(backDelaysMs),
  };
}

/** The trip of a loop: through other mixes back to the node itself. Null where there are none. */
export function drawLoop(
  random: Random,
  query: { readonly directory: Directory; readonly me: string; readonly nowMs: number },
): (Way & { readonly delayMs: number }) | null {
  const route = chooseReturn(random, { ...query, from: query.me });
  if (route.kind === 'none') return null;
  const { delaysMs } = route;
  return { nodes: route.hops.map(({ node }) => node.peerId), delaysMs, delayMs: sum(delaysMs) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
