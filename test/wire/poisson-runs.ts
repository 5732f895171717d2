/**
 * Made-up runs of known difference, to see that the statistics find what is there and nothing else: every
 * link is a Poisson stream of its own, and one change at a time is put into the runs with mail.
 */
import type { Random } from '../../src/crypto/primitives.ts';
import { drawExponentialMs } from '../../src/mixnet/delay.ts';
import type { Run, Watched, WireEvent } from './recording.ts';

/** Four gateways and three mixes; windows of a hundred mean delays. */
export const WATCHED: Watched = {
  gateways: ['a', 'b', 'c', 'd'],
  mixes: ['m1', 'm2', 'm3'],
  delayMeanMs: 1000,
  windowMs: 50_000,
};

const RATE_PER_LINK = 0.5;
const BYTES = 1000;

/** What differs in runs with mail. */
export interface Difference {
  /** Rate of everything that leaves the first gateway, against the others'. */
  readonly rateOut?: number;
  /** Share of what enters the second gateway that is answered at a fixed lag. */
  readonly echo?: number;
  /** Share of packets out of the first gateway that are a byte longer. */
  readonly longer?: number;
  /** The first gateway's stream is gathered in bursts, at the same rate. */
  readonly bursts?: true;
}

/** One run of so many windows. */
export function poissonRun(
  random: Random,
  hasMail: boolean,
  windows: number,
  difference: Difference = {},
): Run {
  const endMs = windows * WATCHED.windowMs;
  const applied = hasMail ? difference : {};
  const events: WireEvent[] = [];
  const nodes = [...WATCHED.gateways, ...WATCHED.mixes];
  for (const from of nodes) {
    for (const to of nodes) {
      if (from === to || (from.length === 1 && to.length === 1)) continue;
      const rate = RATE_PER_LINK * (from === 'a' ? (applied.rateOut ?? 1) : 1);
      for (
        let atMs = drawExponentialMs(random, 1000 / rate);
        atMs < endMs;
        atMs += drawExponentialMs(random, 1000 / rate)
      ) {
        const isLonger = from === 'a' && chance(random, applied.longer);
        const burstMs = from === 'a' && applied.bursts ? 10_000 : 1;
        events.push({
          atMs: Math.floor(atMs / burstMs) * burstMs + (atMs % (burstMs === 1 ? 1 : 2000)),
          from,
          to,
          bytes: isLonger ? BYTES + 1 : BYTES,
        });
        if (to === 'b' && chance(random, applied.echo)) {
          events.push({ atMs: atMs + 20, from: 'b', to: 'm1', bytes: BYTES });
        }
      }
    }
  }
  return {
    hasMail,
    startMs: 0,
    endMs,
    events: events.toSorted((left, right) => left.atMs - right.atMs),
  };
}

function chance(random: Random, share: number | undefined): boolean {
  return share !== undefined && (random(2)[0] as number) / 256 < share;
}
