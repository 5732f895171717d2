/**
 * One crash run from start to verdict: brings the mixnet up, loads it, has the driver kill, waits until nothing is
 * under way any more, and judges.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Driver, AT_RANDOM, DURING_START } from './driver.ts';
import { endedByThemselves, faultsOf } from './faults.ts';
import { Ledger, type Kill, type Verdict } from './ledger.ts';
import { Load } from './load.ts';
import { Mailboxes } from './mailboxes.ts';
import { startCrashMixnet, untilAllWell, type CrashMixnet } from './mixnet.ts';
import { openProxy, Watcher } from './proxies.ts';
import type { Step } from './step.ts';
import { rowsOf, type StepRow, type Strike } from './table.ts';

export interface RunOptions {
  /** At least so many are accepted. */
  readonly mails: number;
  readonly mailsPerSecond: number;
  readonly ticksPerSecond: number;
  readonly snapshotLifetimeMs: number;
  readonly keyLifetimeMs: number;
  readonly steps: readonly Step[];
  readonly hitsEach: number;
  readonly deathsAtOnce: number;
  /** Kills end then, hit or not. */
  readonly killMsMax: number;
  /** For the last mail to arrive after the last kill. */
  readonly drainMsMax: number;
  readonly random: () => number;
  readonly say: (text: string) => void;
}

export interface RunResult {
  readonly verdict: Verdict;
  readonly strikes: readonly Strike[];
  readonly rows: readonly StepRow[];
  /** How often each step came by, held or not. */
  readonly seen: Readonly<Record<string, number>>;
  /** What must not be; empty for a run that passed. */
  readonly failures: readonly string[];
}

const UNDER_WAY_MAX = 60;
const LOOK_MS = 500;
const PROGRESS_MS = 30_000;
const FLUSH_MS = 5_000;
/** For a second copy, were there one, to come out. */
const SETTLE_MS = 5_000;
/** For a step to come by; a large mail takes a while to be cut. */
const STEP_MS_MAX = 20_000;
const PACE = { downMsMin: 400, downMsMax: 1_500, downMsLong: 6_000, restMs: 500 } as const;
const START_MS_MAX = 90_000;

/** @param signal ends it early, with a verdict on what there is */
export async function runCrash(options: RunOptions, signal: AbortSignal): Promise<RunResult> {
  const { say } = options;
  const watch = new Watcher();
  const { ticksPerSecond, snapshotLifetimeMs, keyLifetimeMs } = options;
  const crash = await startCrashMixnet({
    ticksPerSecond,
    snapshotLifetimeMs,
    keyLifetimeMs,
    openProxy: async (link) => await openProxy(link, watch),
    progress: say,
  });
  try {
    await untilAllWell(crash, START_MS_MAX);
    say('all is well; mail begins');
    return await loadAndKill(crash, watch, options, signal);
  } finally {
    await crash.stop();
  }
}

async function loadAndKill(
  crash: CrashMixnet,
  watch: Watcher,
  options: RunOptions,
  signal: AbortSignal,
): Promise<RunResult> {
  const { mails, mailsPerSecond, killMsMax, say } = options;
  const run = `r${Date.now().toString(36)}`;
  const ledger = new Ledger();
  const kills: Kill[] = [];
  const strikes: Strike[] = [];
  const mailboxes = new Mailboxes(crash.mailFolders, run);
  const load = new Load({
    run,
    ledger,
    ports: crash.submissionPorts,
    mailsPerSecond,
    underWayMax: UNDER_WAY_MAX,
  });
  const driver = new Driver({
    ...options,
    victims: crash.victims,
    watch,
    load,
    endMs: Date.now() + killMsMax,
    waitMsMax: STEP_MS_MAX,
    pace: PACE,
    onKill: (kill) => kills.push(kill),
    onStrike: (strike) => {
      strikes.push(strike);
      say(strikeLine(strike));
    },
  });
  const looking = new AbortController();
  const looks = lookAround(mailboxes, ledger, looking.signal, () =>
    say(progressLine(ledger, strikes.length)),
  );
  const loading = load.run();
  const work = async (): Promise<void> => {
    await driver.run(signal);
    while (ledger.taken < mails && !signal.aborted) await sleep(LOOK_MS);
    load.stop();
    await loading;
    say('no more mail, no more kills; what is under way comes out');
    await drain(crash, ledger, options.drainMsMax, signal);
  };
  // A service manager that gives up ends the run.
  const gaveUp = await Promise.race([work(), crash.supervised]).then(
    () => null,
    (thrown: unknown) => String(thrown),
  );
  load.stop();
  looking.abort();
  await looks;
  for (const copy of await mailboxes.take()) ledger.arrive(copy);
  const verdict = ledger.verdict(kills);
  const rows = rowsOf([...options.steps.map(({ name }) => name), AT_RANDOM, DURING_START], strikes);
  const failures = [
    ...(gaveUp === null ? [] : [gaveUp]),
    ...(signal.aborted ? ['interrupted: what was still under way counts as lost'] : []),
    ...(await endedByThemselves(crash.mixnet)),
    ...faultsOf(verdict, strikes, rows, options.hitsEach),
  ];
  return { verdict, strikes, rows, seen: Object.fromEntries(watch.seen), failures };
}

async function lookAround(
  mailboxes: Mailboxes,
  ledger: Ledger,
  signal: AbortSignal,
  progress: () => void,
): Promise<void> {
  let saidMs = Date.now();
  while (!signal.aborted) {
    for (const copy of await mailboxes.take()) ledger.arrive(copy);
    if (Date.now() - saidMs > PROGRESS_MS) {
      saidMs = Date.now();
      progress();
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Until all that was accepted has arrived; Postfix is asked to try again what it put off. */
async function drain(
  crash: CrashMixnet,
  ledger: Ledger,
  msMax: number,
  signal: AbortSignal,
): Promise<void> {
  let flushedMs = 0;
  for (const endMs = Date.now() + msMax; ledger.underWay > 0 && Date.now() < endMs;) {
    if (signal.aborted) return;
    if (Date.now() - flushedMs > FLUSH_MS) {
      flushedMs = Date.now();
      for (const postfix of crash.postfixes) await postfix.flush().catch(() => undefined);
    }
    await sleep(LOOK_MS);
  }
  await sleep(SETTLE_MS);
}

function strikeLine({ step, moment, victim, wellAfterMs, alarms }: Strike): string {
  const late = alarms === 0 ? '' : `, ${alarms} with a loop alarm`;
  const well = wellAfterMs === null ? 'NOT WELL in a minute' : `well ${seconds(wellAfterMs)} later`;
  return `killed ${victim}: ${step}${moment === null ? '' : `, ${moment}`}; ${well}${late}`;
}

function progressLine(ledger: Ledger, kills: number): string {
  const refusal = ledger.lastRefusal === '' ? '' : `; last refusal: ${ledger.lastRefusal}`;
  return `${ledger.taken} mails accepted, ${ledger.underWay} under way, ${kills} kills${refusal}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
