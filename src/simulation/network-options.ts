/**
 * What a simulated network is made of, who looks on, and what it counts.
 */
import type { Directory } from '../mixnet/directory.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import type { Behaviour } from './behaviour.ts';
import type { SimulatedMail } from './mail.ts';
import type { SimulatedPacket } from './packet.ts';
import type { RandomFor } from './seeded.ts';

/** One packet on one link, as somebody on the wire sees it; the last links into exits included. */
export interface WireEvent {
  readonly atMs: number;
  /** Peer ids. */
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

/** What the outside does to packets. Chances are per packet and link. */
export interface Faults {
  /** Taken by the next hop's controller and never seen again. */
  readonly loss?: number;
  /** Handed out twice. */
  readonly duplication?: number;
  /** Nodes that stand still for a time; with `forgets` all that they held and were sent is gone. */
  readonly outages?: readonly Outage[];
  /** Nodes that run, while their controllers hand out nothing of what comes for them. */
  readonly cutOffs?: readonly CutOff[];
}

/** A controller that holds back from one time to another, in ms of the simulation. */
export interface CutOff {
  readonly node: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A node that is down from one time to another, in ms of the simulation. */
export interface Outage extends CutOff {
  readonly forgets?: boolean;
}

/** Who looks on. */
export interface Observers {
  /** Each packet on each link, at the time when it leaves; the packet is what no observer knows. */
  readonly onWire?: (event: WireEvent, packet: SimulatedPacket) => void;
  /** Each packet that a node takes, replays and lost ones apart. */
  readonly onTaken?: (atMs: number, node: string, packet: SimulatedPacket) => void;
  /** A mail that its exit has handed to Postfix. */
  readonly onDelivered?: (mail: SimulatedMail) => void;
}

/** A mixnet to simulate. */
export interface NetworkOptions extends Observers {
  readonly directory: Directory;
  /** The room in a packet, and a packet's length. */
  readonly geometry: Geometry;
  readonly packetBytes: number;
  readonly randomFor: RandomFor;
  /** From one node to the next, posting and polling included; 20 where none is given. */
  readonly linkMs?: number;
  /** Mean of the time that an exit keeps a complete mail; the product's default is 20 s. */
  readonly exitDelayMeanMs?: number;
  /**
   * How often each node asks its loops whether too few come back, and holds what it forwards while they
   * say so. 0 for never, which is faster: without faults it changes next to nothing.
   */
  readonly judgeLoopsMs?: number;
  /** Which nodes do; all where none is named. */
  readonly judges?: readonly string[];
  readonly faults?: Faults;
  /** Other than the product's: for tests that plant a leak. */
  readonly behaviour?: Partial<Behaviour>;
}

/** A mail that somebody submits at a gateway. */
export interface Submission {
  readonly atMs: number;
  /** Peer ids of the two gateways. */
  readonly from: string;
  readonly to: string;
  /** Of the whole message: envelope and data. */
  readonly bytes: number;
}

/** How often each thing happened; fragments and acks are counted where they end. */
export interface Counts {
  ticks: number;
  fragments: number;
  cover: number;
  loops: number;
  acks: number;
  /** Packets on links. */
  hops: number;
  resends: number;
  /** Fragments that came once more after they had been kept. */
  duplicates: number;
  replayed: number;
  lost: number;
  held: number;
  /** Judgements of loops, and those of them that alarmed. */
  judgements: number;
  alarms: number;
  /** Mails that an entry refuses because they have too many fragments. */
  tooLarge: number;
}

/** Nothing has happened yet. */
export function noCounts(): Counts {
  return {
    ticks: 0,
    fragments: 0,
    cover: 0,
    loops: 0,
    acks: 0,
    hops: 0,
    resends: 0,
    duplicates: 0,
    replayed: 0,
    lost: 0,
    held: 0,
    judgements: 0,
    alarms: 0,
    tooLarge: 0,
  };
}
