/**
 * What is said of a capture: the observer's verdict on its packets, whether the other requests differ,
 * whether all packets and their answers have one length, and whether links keep to the announced rates.
 */
import { seededRandom } from '../../src/simulation/seeded.ts';
import { PACKET, watchedReal, type CapturedRun } from './capture.ts';
import { describeRequests, lengthsOf } from './captured-requests.ts';
import { describeWindows, featureNames } from './features.ts';
import { permutationTest } from './permutation.ts';
import { GATEWAYS, MIXES } from './recorded-mixnet.ts';
import { judge, P_ALARM, PERMUTATIONS, type Verdict } from './verdict.ts';

/** By which a capture was made. */
export interface CaptureRates {
  readonly ticksPerSecond: number;
  readonly delayMeanMs: number;
  readonly windowMs: number;
}

/** The whole judgement. */
export interface CaptureVerdict {
  readonly packets: Verdict;
  /** Of all requests by kind, their number and lengths. */
  readonly requests: { readonly pValue: number; readonly strongest: string };
  /** Different lengths of packets on the wire, and of what is answered to them: one each. */
  readonly packetLengths: readonly number[];
  readonly answerLengths: readonly number[];
  /** Links that do not keep to the announced rate, with mail or without. */
  readonly rateFaults: readonly string[];
  readonly mails: number;
  readonly isCaught: boolean;
}

/** Of a Poisson count, so far off once in two million; dozens of counts are looked at. */
const DEVIATIONS_MAX = 5;

/** Judges a capture of both kinds of runs. */
export function judgeCapture(runs: readonly CapturedRun[], rates: CaptureRates): CaptureVerdict {
  const watched = watchedReal(rates.delayMeanMs, rates.windowMs);
  const windowed = runs.map((run) => ({
    hasMail: run.hasMail,
    windows: describeWindows(watched, run),
  }));
  const names = featureNames(watched);
  const packets = judge(windowed, { names, random: seededRandom('capture') });
  const requests = describeRequests(runs);
  const byRequest = permutationTest(requests.rows, {
    random: seededRandom('requests'),
    permutations: PERMUTATIONS,
  });
  const posted = runs.flatMap(({ exchanges }) => exchanges.filter(({ what }) => what === PACKET));
  const faults = [false, true].flatMap((hasMail) =>
    rateFaults(
      runs.filter((run) => run.hasMail === hasMail),
      rates.ticksPerSecond,
    ),
  );
  const packetLengths = [...lengthsOf(posted, 'bytes').keys()];
  return {
    packets,
    requests: {
      pValue: byRequest.pValue,
      strongest: requests.names[byRequest.column] as string,
    },
    packetLengths,
    answerLengths: [...lengthsOf(posted, 'answerBytes').keys()],
    rateFaults: faults,
    mails: runs.reduce((sum, { mails }) => sum + mails, 0),
    isCaught:
      packets.isCaught ||
      byRequest.pValue <= P_ALARM ||
      packetLengths.length > 1 ||
      faults.length > 0,
  };
}

/** Links to and from gateways whose packets over all these runs are not as many as the rates give. */
function rateFaults(runs: readonly CapturedRun[], ticksPerSecond: number): string[] {
  const ms = runs.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
  const events = runs.flatMap((run) => run.events);
  // A gateway sends its ticks and, of equal weights, as many acks, over all mixes alike; as many come.
  const announced = (2 * ticksPerSecond * ms) / 1000 / MIXES.length;
  return GATEWAYS.flatMap((gateway) =>
    MIXES.flatMap((mix) => [[gateway, mix] as const, [mix, gateway] as const]),
  ).flatMap(([from, to]) => {
    const count = events.filter((event) => event.from === from && event.to === to).length;
    const isNear = Math.abs(count - announced) <= DEVIATIONS_MAX * Math.sqrt(announced);
    return isNear ? [] : [`${from}>${to}: ${count}, announced ${Math.round(announced)}`];
  });
}
