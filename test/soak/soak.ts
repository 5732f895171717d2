/**
 * A whole mixnet under steady mail, watched from outside: resident memory and processor time of every
 * process each second, what each program holds on to a few times, packets as controllers count them. The
 * long run (`npm run soak`) and the short one in the tests are this, for longer or shorter.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DemoOptions } from '../../src/cli/demo/layout.ts';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { HeapAsker } from './ask-heap.ts';
import { Load, type LoadFigures, type LoadOptions } from './load.ts';
import { openMailbox } from './mailbox.ts';
import { processesOf } from './processes.ts';
import { Watch, type ProcessSeries } from './watch.ts';

export interface SoakOptions extends Omit<LoadOptions, 'doors'> {
  /** How long mail is handed in. */
  readonly runMs: number;
  /** Its beginning, which is not judged: code is compiled, heaps find their size. */
  readonly warmUpMs: number;
  /** How often programs are asked what they hold on to, after the warm-up. */
  readonly heapTimes: number;
  /** How long the last mail may take. */
  readonly patienceMs: number;
  readonly mixnet: Pick<DemoOptions, 'ticksPerSecond' | 'delayMeanMs' | 'exitDelayMeanMs'> &
    Partial<DemoOptions>;
  /** Ends the run before its time: it throws, and all programs are stopped. */
  readonly signal?: AbortSignal;
  /** Told about once a minute how it goes. */
  readonly say: (line: string) => void;
}

export interface SoakFigures {
  readonly processes: readonly ProcessSeries[];
  readonly load: LoadFigures;
  /** After the warm-up: how long, and what happened meanwhile. */
  readonly judged: {
    readonly seconds: number;
    readonly mails: number;
    /** Messages that all controllers took. */
    readonly packets: number;
  };
}

const SAY_MS = 60_000;
const CHECK_MS = 1_000;
const PROVIDERS = ['alpha', 'beta'];

/** Starts a mixnet, loads it, stops it. */
export async function soak(options: SoakOptions): Promise<SoakFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-soak-'));
  const heaps = new HeapAsker();
  const undo: (() => Promise<void> | void)[] = [
    () => rmSync(folder, { recursive: true, force: true }),
    () => heaps.end(),
  ];
  try {
    const ports = await freePorts(2 * PROVIDERS.length);
    let load: Load | null = null;
    for (const port of ports) {
      const mailbox = await openMailbox(port, (mail) => load?.note(mail));
      undo.push(() => mailbox.close());
    }
    const providers = PROVIDERS.map((name, i) => ({
      name,
      domains: [`${name}.example`],
      deliverPort: ports[2 * i] as number,
      reinjectPort: ports[2 * i + 1] as number,
    }));
    const mixnet = await DemoMixnet.start(
      { mixes: 3, ...options.mixnet, folder, providers },
      options.say,
    );
    undo.push(() => mixnet.stop());
    const doors = providers.map(({ name, domains }) => ({
      domain: domains[0] as string,
      smtpPort: mixnet.gateway(name).smtpPort,
    }));
    load = new Load({ ...options, doors });
    return await run(options, mixnet, load, heaps);
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

async function run(
  options: SoakOptions,
  mixnet: DemoMixnet,
  load: Load,
  heaps: HeapAsker,
): Promise<SoakFigures> {
  const watch = new Watch(mixnet, await processesOf(mixnet), heaps);
  const { runMs, warmUpMs, heapTimes, patienceMs, say } = options;
  const saying = setInterval(() => say(watch.line(load.figures())), SAY_MS);
  watch.start();
  load.start();
  try {
    const startMs = performance.now();
    await mixnetRuns(mixnet, options, startMs + warmUpMs);
    const before = { ...(await watch.mark()), mails: load.figures().delivered };
    for (let i = 0; i < heapTimes; i++) {
      await watch.askLive();
      const share = (i + 1) / heapTimes;
      await mixnetRuns(mixnet, options, startMs + warmUpMs + share * (runMs - warmUpMs));
    }
    await watch.askLive();
    const after = { ...(await watch.mark()), mails: load.figures().delivered };
    await load.stop(patienceMs, options.signal);
    return {
      processes: watch.series(before.processor, after.processor),
      load: load.figures(),
      judged: {
        seconds: after.seconds - before.seconds,
        mails: after.mails - before.mails,
        packets: after.packets - before.packets,
      },
    };
  } finally {
    clearInterval(saying);
    watch.stop();
  }
}

/** Waits until a time of the steady clock; throws where a program has ended by itself, or we are to end. */
async function mixnetRuns(
  mixnet: DemoMixnet,
  { signal }: SoakOptions,
  untilMs: number,
): Promise<void> {
  while (performance.now() < untilMs) {
    mixnet.check();
    await sleep(Math.min(CHECK_MS, untilMs - performance.now()), undefined, { signal });
  }
}
