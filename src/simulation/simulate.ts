/**
 * One simulation from a specification to a report: mail flows for some hours while an observer of all
 * wires follows every packet; then hostile ways and n-1 attacks are tried.
 */
import type { Primitives } from '../crypto/primitives.ts';
import type { Directory } from '../mixnet/directory.ts';
import { fragmentsOf } from '../mixnet/fragment.ts';
import { geometryOf, type Geometry } from '../mixnet/geometry.ts';
import { createSphinx } from '../sphinx/index.ts';
import { AnonymityWatch } from './anonymity.ts';
import { arrivals } from './arrivals.ts';
import { attackTrials } from './attack.ts';
import { hostileReport } from './hostile.ts';
import type { SimulatedMail } from './mail.ts';
import { gatewayName, madeDirectory, mixName } from './made-directory.ts';
import { SimulatedNetwork } from './network.ts';
import type { Counts, Submission } from './network-options.ts';
import type { SimulationReport } from './report.ts';
import { Sample, spreadOf } from './sample.ts';
import { seededStreams } from './seeded.ts';
import { refuseSpec, type SimulationSpec } from './spec.ts';
import { trafficReport } from './traffic.ts';
import { warningsOf } from './warnings.ts';

/** What is being worked on, and how far that is, 0 to 1. */
export type OnProgress = (doing: 'mail' | 'attacks', share: number) => void;

const HOUR_MS = 3_600_000;
const STEPS = 200;
/** After so many mean delays a mix that began empty is as full as it gets. */
const WARM_UP_MEANS = 30;
/** How long mail that was submitted in time may still take. */
const DRAIN_MS_MAX = 24 * HOUR_MS;
/** Mean delays for which a hostile controller waits until the mix has sent on what it had. */
const FLUSH_MEANS = Array.from({ length: 41 }, (_, i) => i / 2);
const FRAGMENT_COUNTS = [1, 3, 10, 30, 100, 300, 1000];

/**
 * Runs it; the same specification gives the same report.
 * @throws RangeError where `refuseSpec` has a reason
 */
export function simulate(
  spec: SimulationSpec,
  primitives: Primitives,
  onProgress: OnProgress = () => undefined,
): SimulationReport {
  const refusal = refuseSpec(spec);
  if (refusal !== null) throw new RangeError(refusal);
  const directory = directoryOf(spec);
  const sphinx = createSphinx(spec.params, primitives);
  const base = {
    directory,
    geometry: geometryOf(sphinx),
    packetBytes: sphinx.packetBytes,
    exitDelayMeanMs: spec.exitDelayMeanMs,
  };
  const streams = seededStreams(spec.seed);
  const fromMs = WARM_UP_MEANS * spec.delayMeanMs;
  const untilMs = fromMs + spec.hours * HOUR_MS;
  const strict = new AnonymityWatch('strict', directory, fromMs);
  const loopix = new AnonymityWatch('loopix', directory, fromMs);
  const network = new SimulatedNetwork({
    ...base,
    randomFor: streams,
    faults: { loss: spec.loss, duplication: spec.duplication },
    onWire: (event, packet) => {
      strict.onWire(event, packet);
      loopix.onWire(event, packet);
    },
    onTaken: (atMs, node, packet) => {
      strict.onTaken(atMs, node, packet);
      loopix.onTaken(atMs, node, packet);
    },
  });
  const mail = [...arrivals(streams('mail'), mailLoad(spec), fromMs, untilMs)];
  const counts = run(network, mail, { fromMs, untilMs }, onProgress);
  // What is seen while the last mails arrive would depend on how many they are.
  const anonymity = {
    strict: strict.report(),
    loopix: loopix.report(),
    senderBitsPercentiles: percentiles(strict.senderBits()),
  };
  drain(network);
  const traffic = trafficReport(spec, base, counts, mail);
  const attack =
    spec.attacks === 0
      ? null
      : attackTrials({
          network: base,
          mix: mixName(1),
          trials: spec.attacks,
          flushesMs: FLUSH_MEANS.map((means) => means * spec.delayMeanMs),
          randomFor: (trial) => seededStreams(`${spec.seed}/attack/${trial}`),
          onTrial: (trial) => onProgress('attacks', (trial + 1) / spec.attacks),
        });
  const report = {
    spec,
    traffic,
    latency: latencyOf(network.mails, spec, base.geometry),
    anonymity,
    hostile: hostileReport(streams('hostile'), directory, spec.hostile, FRAGMENT_COUNTS),
    delivery: deliveryOf(network),
    attack,
  };
  return { ...report, warnings: warningsOf(report) };
}

function directoryOf(spec: SimulationSpec): Directory {
  const { providers, mixes, providersMix } = spec;
  const { delayMeanMs, ticksPerSecond, loopsPerSecond, mixesPerRoute } = spec;
  const expiryMs = 5 * 24 * HOUR_MS;
  const traffic = { delayMeanMs, ticksPerSecond, loopsPerSecond, mixesPerRoute, expiryMs };
  return madeDirectory({ providers, mixes, providersMix }, traffic, spec.params);
}

function mailLoad(spec: SimulationSpec) {
  const gateways = Array.from({ length: spec.providers }, (_, i) => gatewayName(i + 1));
  const mailsPerDayAndGateway = spec.users * spec.mailsPerDay;
  return { gateways, mailsPerDayAndGateway, sizes: spec.sizes, burst: spec.burst };
}

/** Lets the hours pass; what was counted in them, the time before left out. */
function run(
  network: SimulatedNetwork,
  mail: readonly Submission[],
  { fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number },
  onProgress: OnProgress,
): Counts {
  network.runUntil(fromMs);
  const before = { ...network.counts };
  for (const submission of mail) network.submit(submission);
  for (let step = 1; step <= STEPS; step++) {
    network.runUntil(fromMs + ((untilMs - fromMs) * step) / STEPS);
    onProgress('mail', step / STEPS);
  }
  const after = { ...network.counts };
  for (const name of Object.keys(after) as (keyof Counts)[]) after[name] -= before[name];
  return after;
}

/** Mail that is under way arrives, or shows that there is too much of it. */
function drain(network: SimulatedNetwork): void {
  const endMs = network.nowMs + DRAIN_MS_MAX;
  while (network.nowMs < endMs && network.mails.some(isUnderWay)) {
    network.runUntil(network.nowMs + HOUR_MS / 12);
  }
}

function isUnderWay({ deliveredMs }: SimulatedMail): boolean {
  return deliveredMs === null;
}

function latencyOf(
  mails: readonly SimulatedMail[],
  { sizes }: SimulationSpec,
  geometry: Geometry,
): SimulationReport['latency'] {
  const first = new Sample();
  for (const { firstKeptMs, submittedMs } of mails) {
    if (firstKeptMs !== null) first.add(firstKeptMs - submittedMs);
  }
  const bySize = sizes.map(({ bytes }) => {
    const kept = new Sample();
    const delivered = new Sample();
    for (const mail of mails.filter((one) => one.bytes === bytes)) {
      if (mail.keptMs !== null) kept.add(mail.keptMs - mail.submittedMs);
      if (mail.deliveredMs !== null) delivered.add(mail.deliveredMs - mail.submittedMs);
    }
    const fragments = fragmentsOf(bytes, geometry);
    return {
      bytes,
      fragments,
      keptMs: spreadOf(kept),
      deliveredMs: spreadOf(delivered),
      deliveredPercentilesMs: percentiles(delivered.sorted()),
    };
  });
  return { firstFragmentMs: spreadOf(first), bySize };
}

function deliveryOf({ mails, counts }: SimulatedNetwork): SimulationReport['delivery'] {
  const fragments = mails.reduce((sum, mail) => sum + mail.fragments, 0);
  return {
    mails: mails.length,
    delivered: mails.filter(({ deliveredMs }) => deliveredMs !== null).length,
    resends: fragments === 0 ? 0 : counts.resends / fragments,
    duplicates: fragments === 0 ? 0 : counts.duplicates / fragments,
    lostPackets: counts.lost,
  };
}

function percentiles(sorted: readonly number[]): readonly number[] {
  if (sorted.length === 0) return [];
  const last = sorted.length - 1;
  return Array.from({ length: 101 }, (_, i) => sorted[Math.round((i / 100) * last)] as number);
}
