/**
 * A mixnet of real processes through many key epochs, mail flowing all the while: how it went, in figures.
 * epochs.test.ts asks it of a few short epochs, with programs that are stopped; `npm run epochs` of half
 * an hour.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../redis/search-bytes.ts';
import { DiskProbe, type DiskFigures } from './disk-probe.ts';
import { KeyWatch, type Opened, type WatchedKey } from './key-watch.ts';
import { countsByRun, countsOf, drops, keyRefusals, type Counts } from './node-counts.ts';
import { startRealMixnet, type RealMixnet, type RealOptions } from './real-mixnet.ts';
import { SteadyMail, type MailFigures } from './steady-mail.ts';

/** Something that is done to the mixnet while mail flows. */
export interface Disturbance {
  /** After the first mail. */
  readonly atMs: number;
  readonly what: string;
  readonly act: (real: RealMixnet) => Promise<void>;
}

export interface EpochRun {
  readonly keyLifetimeMs: number;
  readonly snapshotLifetimeMs: number;
  readonly ticksPerSecond: number;
  /** Both directions together. */
  readonly mailsPerSecond: number;
  /** How long mail is handed in. */
  readonly runMs: number;
  /** How long the last mail may take. */
  readonly patienceMs: number;
  readonly disturbances?: readonly Disturbance[];
  /** Ends it early: rejects once all programs are stopped. */
  readonly signal?: AbortSignal;
  readonly mixnet?: RealOptions;
  /** Told about once a minute how it goes, and of each disturbance. */
  readonly say: (line: string) => void;
  /** Between two looks at how it goes. */
  readonly progressMs: number;
}

/** Keys of one node. */
export interface NodeKeys {
  readonly node: string;
  readonly keys: readonly WatchedKey[];
  readonly ended: readonly WatchedKey[];
  readonly counts: Counts;
  readonly refusals: Counts;
  /** Of its first run alone: until it was stopped for the first time. */
  readonly first: Counts;
}

/** How a run went. */
export interface EpochFigures {
  readonly mail: MailFigures;
  readonly nodes: readonly NodeKeys[];
  /** Spellings of a secret that the search found where a test had put it. */
  readonly planted: readonly string[];
  /** Ended keys that lie in a file of a node or a controller, and what is left where theirs were. */
  readonly findings: readonly Finding[];
  readonly remains: readonly Finding[];
  readonly opened: Opened;
  /** Of the disk that all programs sync to. */
  readonly disk: DiskFigures;
  /** When the first mail was handed in, and the last key was looked at: Unix ms. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The next key opens when a quarter of the last one's life is left. */
export const PERIOD_SHARE = 3 / 4;
/** A key is destroyed so much of its life after it has closed, at the latest. */
export const DRAIN_SHARE = 1 / 4;
const SEALED_LOOK_MS = 2_000;

/** Starts a mixnet, runs it through its epochs, stops it, and counts. */
export async function runEpochs(run: EpochRun): Promise<EpochFigures> {
  const { keyLifetimeMs, snapshotLifetimeMs, ticksPerSecond, say } = run;
  const real = await startRealMixnet({
    ...run.mixnet,
    keyLifetimeMs,
    snapshotLifetimeMs,
    ticksPerSecond,
  });
  const watch = new KeyWatch(real);
  const mail = new SteadyMail(real, run.mailsPerSecond);
  const probe = new DiskProbe(real.folder);
  const ending = new AbortController();
  try {
    watch.start();
    probe.start();
    const fromMs = Date.now();
    mail.start();
    const looking = Promise.all([
      repeat(ending.signal, SEALED_LOOK_MS, () => watch.tryLiving()),
      repeat(ending.signal, run.progressMs, async () =>
        say(
          `${progressLine(real, watch, mail, fromMs)}; a sync took at most ${seconds(probe.longestSince())}`,
        ),
      ),
    ]);
    looking.catch(() => undefined);
    await disturb(run, real);
    const { signal } = run;
    await sleep(Math.max(0, fromMs + run.runMs - Date.now()), undefined, {
      ...(signal && { signal }),
    });
    await mail.stop(run.patienceMs);
    const untilMs = Date.now();
    ending.abort();
    await looking;
    const disk = await probe.stop();
    const [first] = watch.keys();
    const planted = first === undefined ? [] : await watch.plant(first);
    // While all stores are up: what they hold in their files is what whoever takes the disk has.
    let opened = await watch.openWithWhatIsLeft();
    const lastTryMs = Date.now() + run.patienceMs;
    while (opened.ofLiving === 0 && Date.now() < lastTryMs) {
      // Where the machine is busy, all keys that were looked at may have ended meanwhile.
      await watch.tryLiving();
      opened = await watch.openWithWhatIsLeft();
    }
    watch.stop();
    const findings = await watch.searchEnded();
    for (const node of real.mixnet.nodes) await node.stop();
    return {
      mail: mail.figures(),
      nodes: nodesOf(real, watch),
      planted,
      findings,
      remains: watch.searchRemains(),
      opened,
      disk,
      fromMs,
      untilMs,
    };
  } finally {
    ending.abort();
    mail.abandon();
    watch.stop();
    await probe.stop().catch(() => undefined);
    await real.stop();
  }
}

/** So many keys a node has at least ended within a time, from its start on. */
export function endedAtLeast(forMs: number, keyLifetimeMs: number): number {
  const firstEndsMs = (1 + DRAIN_SHARE) * keyLifetimeMs;
  return Math.floor((forMs - firstEndsMs) / (PERIOD_SHARE * keyLifetimeMs)) + 1;
}

/** The figures as lines of text. */
export function tableOf({ mail, nodes, opened, disk }: EpochFigures): string[] {
  const width = Math.max(...nodes.map(({ node }) => node.length), 'node'.length);
  return [
    `mails ${mail.submitted}, delivered ${mail.delivered}, byte for byte ${mail.exact}, twice ${mail.twice}`,
    `${disk.syncs} syncs of 4 kB beside them: median ${disk.medianMs.toFixed(1)} ms, longest ${seconds(disk.longestMs)}`,
    `latency median ${seconds(mail.medianMs)}, 95 % ${seconds(mail.p95Ms)}, latest ${seconds(mail.latestMs)}`,
    `${'node'.padEnd(width)}  keys  ended  refused for a key  all that did not go its way`,
    ...nodes.map(({ node, keys, ended, refusals, counts }) => {
      const refused = Object.values(refusals).reduce((sum, times) => sum + times, 0);
      const cells = [String(keys.length).padStart(4), String(ended.length).padStart(5)];
      return `${node.padEnd(width)}  ${cells.join('  ')}  ${String(refused).padStart(17)}  ${dropsOf(counts)}`;
    }),
    `with ${opened.tried} keys and hashes that are left packets of ${opened.ofEnded.length} ended keys open, and of ${opened.ofLiving} that live`,
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function dropsOf(counts: Counts): string {
  const all = Object.entries(drops(counts)).map(([name, times]) => `${name} ${times}`);
  return all.join(', ') || '-';
}

async function disturb({ disturbances = [], say }: EpochRun, real: RealMixnet): Promise<void> {
  const startMs = performance.now();
  for (const { atMs, what, act } of disturbances) {
    await sleep(Math.max(0, startMs + atMs - performance.now()));
    say(what);
    await act(real);
  }
}

function progressLine(real: RealMixnet, watch: KeyWatch, mail: SteadyMail, fromMs: number): string {
  // A program that has ended by itself would otherwise be seen only in what is missing.
  real.mixnet.check();
  const { submitted, delivered, exact, twice, medianMs, p95Ms } = mail.figures();
  const keys = real.mixnet.peers.map(
    ({ name }) => `${name} ${watch.ended(name).length}/${watch.keys(name).length}`,
  );
  return (
    `${Math.round((Date.now() - fromMs) / 1000)} s: ${delivered} of ${submitted} mails, ${exact} exact, ` +
    `${twice} twice, median ${Math.round(medianMs)} ms, 95 % ${Math.round(p95Ms)} ms; ended/keys ${keys.join(', ')}`
  );
}

function nodesOf(real: RealMixnet, watch: KeyWatch): NodeKeys[] {
  return real.mixnet.peers.map(({ name }) => {
    const counts = countsOf(real, name);
    return {
      node: name,
      keys: watch.keys(name),
      ended: watch.ended(name),
      counts,
      refusals: keyRefusals(counts),
      first: countsByRun(real, name)[0] ?? {},
    };
  });
}

async function repeat(
  signal: AbortSignal,
  pauseMs: number,
  act: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await act();
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}
