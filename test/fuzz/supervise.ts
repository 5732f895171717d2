/**
 * Runs a target in a worker and watches it from outside: an input that never comes to an end, or takes the
 * thread with it, is a finding like any other, and the run goes on behind it with the next seed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { placeOf, signatureOf, type Finding } from './finding.ts';
import { PresentInput } from './present.ts';
import type { Order, Summary, Told } from './worker.ts';

/** What is wanted of one target. */
export interface Wish {
  readonly name: string;
  readonly seed: number;
  readonly runs: Order['runs'];
  readonly durationMs: number;
  readonly guided: boolean;
  /** No input may take so long; default half a minute. */
  readonly hangMs?: number;
}

/** What came of it. */
export interface Outcome {
  readonly name: string;
  readonly seed: number;
  readonly elapsedMs: number;
  readonly summary: Summary;
  readonly findings: readonly Finding[];
}

/** Far more than any input takes on however busy a machine: CPU time is judged in the worker itself. */
const HANG_MS = 30_000;
const LOOK_MS = 250;
const INPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Far above what a target uses, far below what would trouble the machine. */
const HEAP_MB_MAX = 512;
/** A target that dies again and again is not told more about by dying more often. */
const RESTARTS_MAX = 5;

const NOTHING: Summary = { runs: 0, corpus: 0, reached: 0, cpuMsMax: 0, grownBytes: 0 };

export async function fuzzTarget(wish: Wish): Promise<Outcome> {
  const startedMs = Date.now();
  const untilMs = startedMs + wish.durationMs;
  const findings = new Map<string, Finding>();
  let summary = NOTHING;
  for (let restart = 0; restart <= RESTARTS_MAX; restart++) {
    const left = typeof wish.runs === 'number' ? wish.runs - summary.runs : wish.runs;
    const seed = wish.seed + restart;
    const part = await runWorker({ ...wish, seed, runs: left }, untilMs);
    for (const finding of part.findings) findings.set(signatureOf(finding), finding);
    summary = sum(summary, part.summary);
    if (!part.died || Date.now() >= untilMs) break;
  }
  const { name, seed } = wish;
  return {
    name,
    seed,
    elapsedMs: Date.now() - startedMs,
    summary,
    findings: [...findings.values()],
  };
}

interface Part {
  readonly summary: Summary;
  readonly findings: readonly Finding[];
  readonly died: boolean;
}

async function runWorker(wish: Wish, untilMs: number): Promise<Part> {
  const scratch = await mkdtemp(join(tmpdir(), 'panoramix-fuzz-'));
  const present = PresentInput.ofLength(INPUT_BYTES_MAX);
  const { name, seed, runs, guided } = wish;
  const order: Order = { name, seed, runs, guided, scratch, untilMs, present: present.buffer };
  const findings: Finding[] = [];
  let summary: Summary | null = null;
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  });
  const blame = (kind: Finding['kind'], what: string, where: string): void => {
    const input = Buffer.from(present.get()).toString('base64');
    findings.push({ target: name, kind, what, where, input, run: present.run, seed });
  };
  worker.on('message', (told: Told) => {
    if (told.kind === 'finding') findings.push(told.finding);
    else summary = told.summary;
  });
  worker.on('error', (error: Error & { code?: string }) => {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    blame(isMemory ? 'memory' : 'exception', String(error), placeOf(error));
  });
  const hangMs = wish.hangMs ?? HANG_MS;
  const watch = watchForHang(present, hangMs, () => {
    blame('hang', `no end within ${hangMs} ms`, '');
    void worker.terminate();
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  clearInterval(watch);
  await rm(scratch, { recursive: true, force: true });
  const died = summary === null;
  return { summary: summary ?? { ...NOTHING, runs: present.run }, findings, died };
}

function watchForHang(present: PresentInput, hangMs: number, hangs: () => void): NodeJS.Timeout {
  let run = -1;
  let sinceMs = Date.now();
  const watch = setInterval(() => {
    if (present.run !== run) {
      run = present.run;
      sinceMs = Date.now();
    } else if (run > 0 && Date.now() - sinceMs > hangMs) {
      clearInterval(watch);
      hangs();
    }
  }, LOOK_MS);
  return watch;
}

function sum(left: Summary, right: Summary): Summary {
  return {
    runs: left.runs + right.runs,
    corpus: Math.max(left.corpus, right.corpus),
    reached: Math.max(left.reached, right.reached),
    cpuMsMax: Math.max(left.cpuMsMax, right.cpuMsMax),
    grownBytes: Math.max(left.grownBytes, right.grownBytes),
  };
}
