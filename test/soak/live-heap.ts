/**
 * Preloaded (`node --import`) into the programs of a mixnet: at SIGUSR2 a program collects its garbage and
 * writes what is left into a file of its own. What it holds on to shows there within minutes; in resident
 * memory a small leak hides behind garbage for hours.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** What a program writes. */
export interface LiveHeap {
  /** Objects and what they hold outside of the heap, in bytes, after collecting. */
  readonly liveBytes: number;
  /** Longest that the event loop was held up since it was asked last, and 99 of 100, in ms. */
  readonly heldUpMsMax: number;
  readonly heldUpMs99: number;
}

/** Where programs write, by their process id; without it nothing is done. */
export const HEAP_FOLDER = 'PANORAMIX_SOAK_FOLDER';

/** As often as once: buffers that were collected are given back by another thread, a moment later. */
const COLLECTIONS = 3;
const LOOP_STEP_MS = 10;
const NS_PER_MS = 1e6;

const folder = process.env[HEAP_FOLDER];
if (folder !== undefined && isMainThread) answerIn(folder);

function answerIn(into: string): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const delays = monitorEventLoopDelay({ resolution: LOOP_STEP_MS });
  delays.enable();
  const answer = async (): Promise<void> => {
    const heldUp = {
      heldUpMsMax: Math.max(0, delays.max / NS_PER_MS - LOOP_STEP_MS),
      heldUpMs99: Math.max(0, delays.percentile(99) / NS_PER_MS - LOOP_STEP_MS),
    };
    for (let i = 0; i < COLLECTIONS; i++) {
      collect();
      await nextTurn();
    }
    const { heapUsed, external } = process.memoryUsage();
    const live: LiveHeap = { liveBytes: heapUsed + external, ...heldUp };
    const path = join(into, `${process.pid}.json`);
    writeFileSync(`${path}.draft`, JSON.stringify(live));
    renameSync(`${path}.draft`, path);
    // What collecting itself took is none of the program's doing.
    delays.reset();
  };
  process.on('SIGUSR2', () => void answer());
}
