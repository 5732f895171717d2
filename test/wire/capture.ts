/**
 * Records a real mixnet in runs, some idle and some with mail in bursts from the first gateway to the
 * second, in an order drawn beforehand. Between runs there is time for all mail to arrive.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../src/crypto/primitives.ts';
import { drawBelow, drawUnit, shuffle } from '../../src/mixnet/draw.ts';
import { GATEWAYS, MIXES, type RecordedMixnet } from './recorded-mixnet.ts';
import type { SeenExchange } from './recorder.ts';
import type { Run, Watched, WireEvent } from './recording.ts';

/** Packets, as opposed to polls, releases, and what nodes agree on. */
export const PACKET = 'POST /panoramix/messages';

export interface CaptureOptions {
  readonly random: Random;
  /** Of each kind; after one run of each in random order comes the next of each. */
  readonly runsOfEach: number;
  readonly runMs: number;
  /** Pause after each run, at least. */
  readonly gapMs: number;
  /** Bursts of mail in a run, each of one to four mails of 1 to 60 kB. */
  readonly burstsPerRun: number;
  /** Which kinds there are; both where none are given. */
  readonly kinds?: readonly boolean[];
  readonly progress?: (text: string) => void;
}

/** A run with all that was asked of controllers in it, packets or not. */
export interface CapturedRun extends Run {
  readonly exchanges: readonly SeenExchange[];
  readonly mails: number;
}

const MAILS_MAX = 4;
const MAIL_BYTES_MAX = 60_000;
/** Mail that has not arrived this long after its run is lost. */
const ARRIVAL_MS_MAX = 120_000;

/** Who is watched in a capture. */
export function watchedReal(delayMeanMs: number, windowMs: number): Watched {
  return { gateways: GATEWAYS, mixes: MIXES, delayMeanMs, windowMs };
}

/** Records all runs, one after the other. Throws where a mail does not arrive or a program ends. */
export async function capture(
  recorded: RecordedMixnet,
  options: CaptureOptions,
): Promise<CapturedRun[]> {
  const { random, runsOfEach, gapMs, progress, kinds: each = [true, false] } = options;
  const kinds = Array.from({ length: runsOfEach }, () => shuffle(random, each)).flat();
  const runs: CapturedRun[] = [];
  for (const hasMail of kinds) {
    const run = await captureRun(recorded, hasMail, options);
    runs.push(run);
    progress?.(`run ${runs.length} of ${kinds.length}: ${run.events.length} packets`);
    await sleep(gapMs);
    for (const endMs = Date.now() + ARRIVAL_MS_MAX; recorded.underWay() > 0; await sleep(100)) {
      recorded.mixnet.check();
      if (Date.now() > endMs) throw new Error(`${recorded.underWay()} mails have not arrived`);
    }
  }
  return runs;
}

async function captureRun(
  recorded: RecordedMixnet,
  hasMail: boolean,
  options: CaptureOptions,
): Promise<CapturedRun> {
  const { random, runMs, burstsPerRun } = options;
  const bursts = Array.from({ length: hasMail ? burstsPerRun : 0 }, () => ({
    // In the first three quarters, so that what follows from it is still in the run.
    afterMs: drawUnit(random) * 0.75 * runMs,
    sizes: Array.from({ length: 1 + drawBelow(random, MAILS_MAX) }, () =>
      drawBelow(random, MAIL_BYTES_MAX),
    ),
  }));
  const first = recorded.recorder.exchanges.length;
  const startMs = performance.timeOrigin + performance.now();
  const sending = Promise.all(
    bursts.map(async ({ afterMs, sizes }) => {
      await sleep(afterMs);
      await Promise.all(sizes.map((bytes) => recorded.submit(bytes)));
    }),
  );
  await Promise.all([sleep(runMs), sending]);
  const endMs = startMs + runMs;
  const exchanges = recorded.recorder.exchanges
    .slice(first)
    .filter(({ atMs }) => atMs >= startMs && atMs < endMs);
  const mails = bursts.reduce((sum, { sizes }) => sum + sizes.length, 0);
  return { hasMail, startMs, endMs, events: packetsOf(recorded, exchanges), exchanges, mails };
}

/** The packets among what was asked, by names of nodes. */
function packetsOf(recorded: RecordedMixnet, exchanges: readonly SeenExchange[]): WireEvent[] {
  return exchanges
    .filter(({ what }) => what === PACKET)
    .map(({ atMs, by, to, bytes }) => ({ atMs, from: recorded.nameOf(by) ?? by, to, bytes }))
    .toSorted((left, right) => left.atMs - right.atMs);
}
