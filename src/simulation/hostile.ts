/**
 * How likely it is that all mixes of a way are hostile: who sees a packet at every hop sees which gateway
 * wrote to which. Every packet draws a way of its own, so a mail of many fragments gives many chances.
 */
import type { Random } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { hostileWayChance, onceAmong } from './closed-forms.ts';
import { gatewayName } from './made-directory.ts';
import { drawTrip } from './packet.ts';

/** For a mail of so many fragments, each sent once. */
export interface HostileChance {
  readonly fragments: number;
  /** That all mixes of at least one fragment's way are hostile, by the closed form and by drawn ways. */
  readonly chance: number;
  readonly simulated: number;
}

export interface HostileReport {
  /** Peer ids. */
  readonly mixes: readonly string[];
  /** For one way. An ack takes another one: a fragment and its ack have two chances. */
  readonly oneWay: number;
  readonly byFragments: readonly HostileChance[];
}

const DRAWN_WAYS = 100_000;

/** With the first `hostile` mixes of the directory working together, between the first two gateways. */
export function hostileReport(
  random: Random,
  directory: Directory,
  hostile: number,
  fragmentCounts: readonly number[],
): HostileReport {
  const [entry, exit] = [gatewayName(1), gatewayName(2)];
  const eligible = directory.nodes.filter(
    ({ peerId, roles }) => roles.includes('mix') && peerId !== entry && peerId !== exit,
  );
  // Mixes of their own first, for those of providers protect their own owners' mail.
  const ranked = eligible.toSorted((left, right) => left.weight - right.weight);
  const mixes = ranked.slice(0, hostile).map(({ peerId }) => peerId);
  const { mixesPerRoute } = directory.traffic;
  const oneWay = hostileWayChance(eligible.length, mixes.length, mixesPerRoute);
  const drawn = drawHostileWays(random, directory, { entry, exit }, new Set(mixes));
  return {
    mixes,
    oneWay,
    byFragments: fragmentCounts.map((fragments) => ({
      fragments,
      chance: onceAmong(oneWay, fragments),
      simulated: shareOfGroups(drawn, fragments),
    })),
  };
}

function drawHostileWays(
  random: Random,
  directory: Directory,
  ends: { readonly entry: string; readonly exit: string },
  hostile: ReadonlySet<string>,
): readonly boolean[] {
  if (hostile.size === 0) return [];
  return Array.from({ length: DRAWN_WAYS }, () => {
    const trip = drawTrip(random, { directory, ...ends, nowMs: 0 });
    return trip.kind === 'trip' && trip.out.nodes.slice(0, -1).every((node) => hostile.has(node));
  });
}

/** Share of mails of so many fragments of which at least one met a hostile way. */
function shareOfGroups(ways: readonly boolean[], fragments: number): number {
  const mails = Math.floor(ways.length / fragments);
  if (mails === 0) return 0;
  let met = 0;
  for (let mail = 0; mail < mails; mail++) {
    if (ways.slice(mail * fragments, (mail + 1) * fragments).includes(true)) met += 1;
  }
  return met / mails;
}
