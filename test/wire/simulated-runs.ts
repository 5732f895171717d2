/**
 * Runs of the simulated mixnet, which is the product's own ticks, routes, delays, acks and resends under
 * a fake clock: four gateways, three mixes, mail in bursts from the first gateway to the second or none.
 */
import { drawBelow, drawUnit } from '../../src/mixnet/draw.ts';
import { drawExponentialMs } from '../../src/mixnet/delay.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { native } from '../../src/crypto/native.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import type { Behaviour } from '../../src/simulation/behaviour.ts';
import type { Faults } from '../../src/simulation/network-options.ts';
import {
  gatewayName,
  madeDirectory,
  MAIL_PARAMS,
  mixName,
} from '../../src/simulation/made-directory.ts';
import { SimulatedNetwork } from '../../src/simulation/network.ts';
import { seededStreams } from '../../src/simulation/seeded.ts';
import { describeWindows } from './features.ts';
import type { Run, Watched, WireEvent } from './recording.ts';
import type { WindowedRun } from './verdict.ts';

/** What the wizard founds a mail mixnet with. */
const TRAFFIC = {
  delayMeanMs: 2000,
  ticksPerSecond: 2,
  loopsPerSecond: 0.5,
  mixesPerRoute: 3,
  expiryMs: 5 * 86_400_000,
} as const;

/** A minute is some 120 ticks of a gateway, and a quarter of them go to each exit. */
export const WATCHED: Watched = {
  gateways: [1, 2, 3, 4].map(gatewayName),
  mixes: [1, 2, 3].map(mixName),
  delayMeanMs: TRAFFIC.delayMeanMs,
  windowMs: 60_000,
};

/** Until the mixes are as full as they will be: a packet and its ack take 16 s. */
const WARM_UP_MS = 60_000;
/**
 * Bursts come at random, a minute apart on average, each of one to nine mails of 1 kB to 1 MB: some 26
 * fragments, where ticks carry 30 a minute to one exit. So mail waits most of the time, and what hangs on
 * it shows most.
 */
const BURST_MEAN_MS = 60_000;
const MAILS_MAX = 9;
const MAIL_BYTES_MIN = 1000;
const MAIL_BYTES_MAX = 1_000_000;

const geometry = geometryOf(createSphinx(MAIL_PARAMS, native));
const { packetBytes } = createSphinx(MAIL_PARAMS, native);
const directory = madeDirectory({ providers: 4, mixes: 3 }, TRAFFIC);

/** In what a mixnet differs from an honest one without faults. */
export interface Scenario {
  /** A planted leak. */
  readonly leak?: Partial<Behaviour>;
  /** What the outside does, whether mail flows or not. */
  readonly faults?: Faults;
}

/** One run: its seed gives everything, and no two runs share one. */
export interface SimulatedRun extends Scenario {
  readonly seed: number;
  readonly hasMail: boolean;
  readonly windows: number;
}

/** What the wire shows in one run. */
export function simulateRun({ seed, hasMail, windows, leak, faults }: SimulatedRun): Run {
  const events: WireEvent[] = [];
  const startMs = WARM_UP_MS;
  const endMs = startMs + windows * WATCHED.windowMs;
  const randomFor = seededStreams(seed);
  const network = new SimulatedNetwork({
    directory,
    geometry,
    packetBytes,
    randomFor,
    onWire: (event) => {
      if (event.atMs >= startMs) events.push(event);
    },
    ...(leak && { behaviour: leak }),
    ...(faults && { faults }),
  });
  if (hasMail) submitBursts(network, endMs, randomFor('mail'));
  network.runUntil(endMs);
  return { hasMail, startMs, endMs, events };
}

/** So many runs, every other one with mail, each described and then forgotten. */
export function describeRuns(
  runs: number,
  windows: number,
  firstSeed: number,
  scenario: Scenario = {},
): WindowedRun[] {
  return Array.from({ length: runs }, (_, i) => {
    const hasMail = i % 2 === 0;
    const run = simulateRun({ ...scenario, seed: firstSeed + i, hasMail, windows });
    return { hasMail, windows: describeWindows(WATCHED, run) };
  });
}

function submitBursts(
  network: SimulatedNetwork,
  endMs: number,
  random: (byteLength: number) => Uint8Array,
): void {
  const [from, to] = WATCHED.gateways as [string, string];
  for (
    let atMs = drawExponentialMs(random, BURST_MEAN_MS);
    atMs < endMs;
    atMs += drawExponentialMs(random, BURST_MEAN_MS)
  ) {
    for (let mails = 1 + drawBelow(random, MAILS_MAX); mails > 0; mails--) {
      // Many small ones and few large ones: the logarithm of the size is uniform.
      const bytes = Math.round(
        MAIL_BYTES_MIN * (MAIL_BYTES_MAX / MAIL_BYTES_MIN) ** drawUnit(random),
      );
      network.submit({ atMs, from, to, bytes });
    }
  }
}
