/**
 * What a soak has shown: which process grows, what a packet costs in which program, which mail is missing.
 */
import type { SoakFigures } from './soak.ts';
import { trendOf, type Trend, type TrendOptions } from './trend.ts';
import type { ProcessSeries } from './watch.ts';

/** One process, judged. */
export interface ProcessVerdict {
  readonly name: string;
  readonly kind: ProcessSeries['kind'];
  /** Memory of its own and shared, as the kernel counts it. */
  readonly resident: Trend;
  /** What it holds on to. */
  readonly live: Trend;
  /** What a Redis keeps on purpose of what passed while it was watched. */
  readonly keptBytes: number;
  readonly heldUpMsMax: number;
  readonly processorMs: number;
}

/** All that a run has shown. */
export interface SoakVerdict {
  readonly processes: readonly ProcessVerdict[];
  /** Why the run has failed; empty where it has not. */
  readonly failures: readonly string[];
}

/** Of what programs hold few points exist, each without garbage: 1 MB is seen above a few hundred kB of noise. */
export const LIVE: TrendOptions = { blocks: Number.POSITIVE_INFINITY, bytesMax: 1024 * 1024 };
/**
 * A node keeps a packet's tag until its key ends (24 bytes, src/redis/README.md), a controller the hash of
 * each of the last 32768 messages (130 bytes, controller/messages/page.ts).
 */
const KEPT_OF_PACKET = { node: 32, controller: 160 } as const;
const REMEMBERED = 32_768;
/**
 * A gateway remembers for 14 days that a mail was accepted, and that one was delivered, by names under keyed
 * hashes; and of each delivered one, 100 MB of them, what a bounce may need (src/redis/return-store.ts).
 */
const KEPT_OF_MAIL = 2_048;

/** Judges a run; by default a long one, whose programs have found their size before they are asked. */
export function judgeSoak(
  figures: SoakFigures,
  warmUpSeconds: number,
  ofLive: TrendOptions = LIVE,
): SoakVerdict {
  const { packets, mails } = figures.judged;
  // Each node has a controller of its own, and a like share of all packets.
  const nodes = Math.max(1, figures.processes.filter(({ kind }) => kind === 'controller').length);
  const processes = figures.processes.map((process): ProcessVerdict => {
    const { name, kind, heldUpMsMax, processorMs } = process;
    const keptBytes = keptOf(kind, { packets: packets / nodes, mails });
    const resident = process.resident.filter(({ seconds }) => seconds >= warmUpSeconds);
    return {
      name,
      kind,
      resident: trendOf(resident),
      live: trendOf(process.live, ofLive),
      keptBytes,
      heldUpMsMax,
      processorMs,
    };
  });
  return { processes, failures: [...processes.flatMap(growthOf), ...lossesOf(figures)] };
}

/** What a Redis may have more at the end of a run than at its beginning. */
function keptOf(
  kind: ProcessSeries['kind'],
  { packets, mails }: { readonly packets: number; readonly mails: number },
): number {
  if (kind === "controller's Redis") {
    return Math.min(packets, REMEMBERED) * KEPT_OF_PACKET.controller;
  }
  if (!kind.endsWith('Redis')) return 0;
  const ofMails = kind === "gateway's Redis" ? mails * KEPT_OF_MAIL : 0;
  return packets * KEPT_OF_PACKET.node + ofMails;
}

function growthOf({ name, resident, live, keptBytes }: ProcessVerdict): string[] {
  return [
    ...grown(`${name}: resident memory`, resident, keptBytes),
    ...grown(`${name}: what it holds`, live, keptBytes),
  ];
}

function grown(what: string, trend: Trend, keptBytes: number): string[] {
  if (trend.verdict !== 'grows' || trend.grownBytes <= keptBytes + trend.noticedBytes) return [];
  const perMinute = (trend.bytesPerMinute / 1024).toFixed(0);
  return [`${what} grows by ${perMinute} kB a minute, ${megabytes(trend.grownBytes)} MB in all`];
}

function lossesOf({ load }: SoakFigures): string[] {
  const { accepted, delivered, exact, twice, refused, submitted } = load;
  return [
    ...(accepted === submitted ? [] : [`${submitted - accepted} mails were never accepted`]),
    ...(delivered === accepted ? [] : [`${accepted - delivered} mails did not arrive in time`]),
    ...(exact === delivered ? [] : [`${delivered - exact} mails were altered`]),
    ...(twice === 0 ? [] : [`${twice} mails came twice`]),
    ...(refused === null ? [] : [`a gateway refused a mail: ${refused}`]),
  ];
}

/** The verdict as lines of text. */
export function tableOf(figures: SoakFigures, { processes }: SoakVerdict): string[] {
  const { load, judged } = figures;
  const { submitted, accepted, delivered, exact, twice, deferred, large } = load;
  const width = Math.max(...processes.map(({ name }) => name.length));
  const head = ['resident MB', 'kB/min (99 % between)', 'noticed MB', 'holds MB', 'kB/min'];
  return [
    `mails ${submitted}, accepted ${accepted} (${deferred} times 4xx before), delivered ${delivered}, byte for byte ${exact}, twice ${twice}`,
    ...(large.submitted > 0
      ? [
          `of them large ${large.submitted}, accepted ${large.accepted}, delivered ${large.delivered}`,
        ]
      : []),
    `after 250: median ${inSeconds(load.medianMs)}, 95 % ${inSeconds(load.p95Ms)}, latest ${inSeconds(load.latestMs)}`,
    `judged ${Math.round(judged.seconds)} s: ${(judged.mails / judged.seconds).toFixed(1)} mails/s, ${(judged.packets / judged.seconds).toFixed(0)} packets/s at all controllers together`,
    '',
    [''.padEnd(width), ...head, 'held up ms', 'processor'].join('  '),
    ...processes.map((one) => processLine(one, width, judged.seconds)),
    '',
    ...costLines(figures),
  ];
}

function processLine(one: ProcessVerdict, width: number, forSeconds: number): string {
  const { name, resident, live, heldUpMsMax, processorMs, kind } = one;
  const bounds = `${kilobytes(resident.lowBytesPerMinute)} to ${kilobytes(resident.highBytesPerMinute)}`;
  return [
    name.padEnd(width),
    megabytes(resident.medianBytes).padStart(11),
    `${kilobytes(resident.bytesPerMinute)} (${bounds})`.padStart(21),
    megabytes(resident.noticedBytes).padStart(10),
    megabytes(live.medianBytes).padStart(8),
    kilobytes(live.bytesPerMinute).padStart(6),
    (kind.endsWith('Redis') ? '' : heldUpMsMax.toFixed(0)).padStart(10),
    `${(processorMs / forSeconds / 10).toFixed(1)} %`.padStart(9),
  ].join('  ');
}

/** Processor time by program, for each packet that a controller took: a packet's way is eight of those. */
export function costLines({ processes, judged }: SoakFigures): string[] {
  const kinds = [...new Set(processes.map(({ kind }) => kind))];
  const perPacket = (some: readonly ProcessSeries[]): number =>
    some.reduce((sum, { processorMs }) => sum + processorMs, 0) / judged.packets;
  return [
    ...kinds.map((kind) => {
      const some = processes.filter((one) => one.kind === kind);
      return `${kind.padEnd(18)} ${perPacket(some).toFixed(2)} ms of processor for each packet of all`;
    }),
    `${'together'.padEnd(18)} ${perPacket(processes).toFixed(2)} ms`,
  ];
}

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function kilobytes(bytes: number): string {
  return (bytes / 1024).toFixed(0);
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
