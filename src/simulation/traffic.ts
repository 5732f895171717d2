/**
 * What a mixnet's constant rates cost and carry: bandwidth, the share that is cover, how full mixes are,
 * and the most that can go to one exit. Sums, beside what the simulation counted.
 */
import type { Directory } from '../mixnet/directory.ts';
import { fragmentsOf } from '../mixnet/fragment.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import type { Counts, Submission } from './network-options.ts';
import type { SimulationSpec } from './spec.ts';

export interface TrafficReport {
  /** Packets that arrive at each mix per second, by the sum and as counted over all nodes that relay. */
  readonly packetsPerSecondAndMix: number;
  readonly packetsPerSecondAndMixCounted: number;
  /** Packets in a mix on average: λ/μ (Loopix §4.3.1 asks for 2 at least). */
  readonly occupancy: number;
  /** Bytes that leave one node in a day, as text of JSON messages. */
  readonly gatewayBytesPerDay: number;
  readonly mixBytesPerDay: number;
  /** Share of the gateways' packets that carried nothing. */
  readonly coverShare: number;
  /** Bytes on all links for one byte of mail; null where there was no mail. */
  readonly bytesPerMailByte: number | null;
  /** Bytes of mail that one gateway can send to one other exit per hour. */
  readonly exitBytesPerHour: number;
  /** Share of the ticks to one exit that mail takes, on average: near 1 it waits long, above it for ever. */
  readonly load: number;
}

/** A packet travels as base64url, 4 bytes for 3; what HTTP adds is 1 to 2 % of 44 kB. */
const TEXT_FACTOR = 4 / 3;
const DAY_S = 86_400;

export function trafficReport(
  spec: SimulationSpec,
  room: {
    readonly directory: Directory;
    readonly geometry: Geometry;
    readonly packetBytes: number;
  },
  counts: Counts,
  mail: readonly Submission[],
): TrafficReport {
  const { directory, geometry, packetBytes } = room;
  const { providers, mixes, providersMix, ticksPerSecond, loopsPerSecond, mixesPerRoute } = spec;
  const relays = mixes + (providersMix ? providers : 0);
  const loopMixes = Math.min(mixesPerRoute, relays - 1);
  // Each tick's packet passes its mixes, and so does its ack.
  const passing =
    2 * ticksPerSecond * providers * mixesPerRoute + mixes * loopsPerSecond * loopMixes;
  const packetsPerSecondAndMix = passing / relays;
  const seconds = spec.hours * 3600;
  const emitted = counts.ticks + counts.acks + counts.loops;
  const textBytes = packetBytes * TEXT_FACTOR;
  const relayed = packetsPerSecondAndMix;
  const gatewayPerSecond = 2 * ticksPerSecond + (providersMix ? relayed : 0);
  const mailBytes = mail.reduce((sum, { bytes }) => sum + bytes, 0);
  const fragments = mail.reduce((sum, { bytes }) => sum + fragmentsOf(bytes, geometry), 0);
  const perExit = ticksPerSecond * exitShare(directory);
  return {
    packetsPerSecondAndMix,
    packetsPerSecondAndMixCounted: (counts.hops - emitted) / relays / seconds,
    occupancy: (packetsPerSecondAndMix * spec.delayMeanMs) / 1000,
    gatewayBytesPerDay: gatewayPerSecond * textBytes * DAY_S,
    mixBytesPerDay: (relayed + loopsPerSecond) * textBytes * DAY_S,
    coverShare: counts.ticks === 0 ? 1 : counts.cover / counts.ticks,
    bytesPerMailByte: mailBytes === 0 ? null : (counts.hops * textBytes) / mailBytes,
    exitBytesPerHour: perExit * 3600 * geometry.fragmentBytes,
    load: fragments / seconds / (providers * (providers - 1)) / perExit,
  };
}

/** Share of a gateway's ticks that go to one exit: all weights are equal here. */
function exitShare(directory: Directory): number {
  return 1 / directory.nodes.filter(({ roles }) => roles.includes('gateway')).length;
}
