/**
 * One target, in a thread of its own: seeds first, then what is made of them, for as long as is wanted.
 * What reaches new code joins the corpus. Everything follows from the seed, the times apart.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { startCoverage, type Coverage } from './coverage.ts';
import { signatureOf, type Finding } from './finding.ts';
import { mutate } from './mutation.ts';
import { PresentInput } from './present.ts';
import { createDice, type Dice } from './random.ts';
import { shrink } from './shrink.ts';
import type { Target } from './target.ts';
import { PLANTED } from './planted-faults.ts';
import { TARGETS } from './targets/index.ts';
import { tryInput } from './try-input.ts';

/** What the supervisor wants. */
export interface Order {
  readonly name: string;
  readonly seed: number;
  readonly scratch: string;
  readonly present: SharedArrayBuffer;
  /** Inputs, at most: a number, what the target says for the short form, or as many as the time allows. */
  readonly runs: number | 'short' | null;
  /** When to stop, ms since 1970. */
  readonly untilMs: number;
  /** Whether inputs that reach new code are kept; then the same seed gives the same corpus only mostly. */
  readonly guided: boolean;
}

/** What a worker tells. */
export type Told =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'done'; readonly summary: Summary };

export interface Summary {
  readonly runs: number;
  readonly corpus: number;
  /** Characters of our source that were run; 0 where that was not asked. */
  readonly reached: number;
  readonly cpuMsMax: number;
  /** Memory in use at the end more than after the first part of the run, bytes. */
  readonly grownBytes: number;
}

/** Asked after so many inputs what code they have reached. */
const BATCH = 48;
/** What is kept of the inputs that reach new code. */
const CORPUS_MAX = 4_000;
/** Memory after warming up; from here on it must stay. */
const WARM_RUNS = 2_000;
const GROWN_BYTES_MAX = 24 * 1024 * 1024;

class Run {
  readonly #order: Order;
  readonly #target: Target;
  readonly #present: PresentInput;
  readonly #dice: Dice;
  readonly #coverage: Coverage | null;
  readonly #corpus: Uint8Array[];
  readonly #dictionary: readonly Uint8Array[];
  readonly #known = new Set<string>();
  #runs = 0;
  #cpuMsMax = 0;
  #warmBytes: number | null = null;

  constructor(order: Order, target: Target) {
    this.#order = order;
    this.#target = target;
    this.#present = new PresentInput(order.present);
    this.#dice = createDice(order.seed);
    this.#coverage = order.guided ? startCoverage((url) => OURS.test(url)) : null;
    this.#corpus = [...target.seeds];
    this.#dictionary = target.dictionary.map((word) => Buffer.from(word, 'latin1'));
  }

  async all(): Promise<Summary> {
    for (const seed of this.#target.seeds) await this.#one(seed);
    this.#coverage?.take().mark();
    while (this.#goesOn()) await this.#batch();
    const bytes = memoryBytes() - this.#corpus.reduce((sum, { length }) => sum + length, 0);
    const grownBytes = this.#warmBytes === null ? 0 : bytes - this.#warmBytes;
    if (grownBytes > GROWN_BYTES_MAX) {
      const what = `memory has grown by more than ${GROWN_BYTES_MAX} bytes`;
      this.#tell({ kind: 'memory', what, where: '' }, new Uint8Array());
    }
    const reached = this.#coverage?.reached ?? 0;
    this.#coverage?.close();
    const summary = { runs: this.#runs, corpus: this.#corpus.length, reached, grownBytes };
    return { ...summary, cpuMsMax: this.#cpuMsMax };
  }

  async #batch(): Promise<void> {
    const inputs: Uint8Array[] = [];
    while (inputs.length < BATCH && this.#goesOn()) {
      const input = this.#next();
      inputs.push(input);
      await this.#one(input);
    }
    if (this.#warmBytes === null && this.#runs >= WARM_RUNS) this.#warmBytes = memoryBytes();
    if (this.#coverage !== null) await this.#keepNew(this.#coverage, inputs);
  }

  /** Keeps those of the inputs that reach new code: asked one by one, where any of them did. */
  async #keepNew(coverage: Coverage, inputs: readonly Uint8Array[]): Promise<void> {
    const together = coverage.take();
    if (!together.isNew) return;
    for (const input of inputs) {
      await this.#one(input);
      const alone = coverage.take();
      if (alone.isNew && this.#corpus.length < CORPUS_MAX) this.#corpus.push(input);
      alone.mark();
    }
    // What was reached once and not again, such as by a timer, would be new in every batch.
    together.mark();
  }

  #next(): Uint8Array {
    const { mutations, inputBytesMax } = this.#target;
    const corpus = this.#corpus;
    // Seeds are good, and a step from what is good lies most that must not pass; the newest have been tried least.
    const from = this.#dice.once(3) ? Math.max(0, corpus.length - 16) : 0;
    const end = this.#dice.once(3) ? this.#target.seeds.length : corpus.length;
    const base = this.#dice.pick(corpus.slice(Math.min(from, end - 1), end));
    return mutate(base, mutations, {
      dice: this.#dice,
      dictionary: this.#dictionary,
      other: this.#dice.pick(corpus),
      inputBytesMax,
    });
  }

  async #one(input: Uint8Array): Promise<void> {
    this.#runs++;
    this.#present.set(input);
    const { fault, cpuMs } = await tryInput(this.#target, input);
    this.#cpuMsMax = Math.max(this.#cpuMsMax, cpuMs);
    if (fault === null) return;
    const signature = this.#signature(fault);
    if (this.#known.has(signature)) return;
    this.#known.add(signature);
    const isStill = async (smaller: Uint8Array): Promise<boolean> => {
      this.#present.set(smaller);
      const again = (await tryInput(this.#target, smaller)).fault;
      return again !== null && this.#signature(again) === signature;
    };
    this.#tell(fault, await shrink(input, isStill));
  }

  #signature(fault: Pick<Finding, 'kind' | 'what' | 'where'>): string {
    const { name: target, seed } = this.#order;
    return signatureOf({ ...fault, target, run: 0, seed });
  }

  #tell(fault: Pick<Finding, 'kind' | 'what' | 'where'>, input: Uint8Array): void {
    const { name: target, seed } = this.#order;
    const finding: Finding = {
      ...fault,
      target,
      seed,
      run: this.#runs,
      input: Buffer.from(input).toString('base64'),
    };
    tell({ kind: 'finding', finding });
  }

  #goesOn(): boolean {
    const { runs, untilMs } = this.#order;
    const most = runs === 'short' ? this.#target.shortRuns : (runs ?? Number.POSITIVE_INFINITY);
    return this.#runs < most && Date.now() < untilMs;
  }
}

/** Our source, in whatever folder it lies; and what tests of the fuzzer plant. */
const OURS = /\/(?:(?:src|filters|controller)\/[\w./-]+|planted-faults)\.ts$/;

function tell(told: Told): void {
  parentPort?.postMessage(told);
}

/** What is in use once garbage is gone. */
function memoryBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

const order = workerData as Order;
const load = TARGETS[order.name] ?? PLANTED[order.name];
if (load === undefined) throw new Error(`there is no target ${order.name}`);
const target = await (await load())(order.scratch);
try {
  tell({ kind: 'done', summary: await new Run(order, target).all() });
} finally {
  await target.close?.();
}
