/** Runs one input and says what was wrong, if anything was. */
import { placeOf, type FindingKind } from './finding.ts';
import { Violation, type Target } from './target.ts';

export interface Fault {
  readonly kind: FindingKind;
  readonly what: string;
  readonly where: string;
}

/** What one input came to. */
export interface Tried {
  readonly fault: Fault | null;
  readonly cpuMs: number;
}

const CPU_MS_MAX = 150;
/** A collection of garbage, or a compilation, may fall into one run; not into all of these. */
const REPEATS_OF_SLOW = 3;

export async function tryInput(target: Target, input: Uint8Array): Promise<Tried> {
  const limitMs = target.cpuMsMax ?? CPU_MS_MAX;
  const first = await tryOnce(target, input);
  if (first.fault !== null || first.cpuMs <= limitMs) return first;
  let cpuMs = first.cpuMs;
  for (let i = 0; i < REPEATS_OF_SLOW; i++) {
    cpuMs = Math.min(cpuMs, (await tryOnce(target, input)).cpuMs);
  }
  if (cpuMs <= limitMs) return { fault: null, cpuMs };
  const what = `an input costs more than ${limitMs} ms of CPU`;
  return { fault: { kind: 'slow', what, where: '' }, cpuMs };
}

async function tryOnce(target: Target, input: Uint8Array): Promise<Tried> {
  const before = process.threadCpuUsage();
  // What a parser changes in place must not reach the corpus.
  const copy = input.slice();
  let fault: Fault | null = null;
  try {
    const running = target.run(copy);
    if (running !== undefined) await running;
    if (!Buffer.from(copy.buffer).equals(input)) {
      fault = { kind: 'violation', what: 'the input was changed in place', where: '' };
    }
  } catch (thrown) {
    const kind = thrown instanceof Violation ? 'violation' : 'exception';
    fault = { kind, what: String(thrown), where: placeOf(thrown) };
  }
  const { user, system } = process.threadCpuUsage(before);
  return { fault, cpuMs: (user + system) / 1000 };
}
