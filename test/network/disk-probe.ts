/**
 * How long a sync takes on the disk that a mixnet's programs sync to, beside them: a disk that others use, too, may
 * hold all of them up at once, which shows in their figures as if they were slow.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BLOCK = Buffer.alloc(4_096, 1);
const PAUSE_MS = 200;

/** Syncs of 4 kB each, in ms. */
export interface DiskFigures {
  readonly syncs: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

export class DiskProbe {
  readonly #folder: string;
  readonly #ending = new AbortController();
  #tookMs: number[] = [];
  #said = 0;
  #running: Promise<void> = Promise.resolve();

  /** @param folder on the disk in question */
  constructor(folder: string) {
    this.#folder = folder;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** The longest since this was asked last, in ms. */
  longestSince(): number {
    const longest = Math.max(0, ...this.#tookMs.slice(this.#said));
    this.#said = this.#tookMs.length;
    return longest;
  }

  /** @throws what the disk throws */
  async stop(): Promise<DiskFigures> {
    this.#ending.abort();
    await this.#running;
    const sorted = this.#tookMs.toSorted((left, right) => left - right);
    return {
      syncs: sorted.length,
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      longestMs: sorted.at(-1) ?? 0,
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    const own = await mkdtemp(join(this.#folder, 'disk-probe-'));
    const file = await open(join(own, 'synced'), 'w');
    try {
      while (!signal.aborted) {
        const startMs = performance.now();
        await file.write(BLOCK, 0, BLOCK.length, 0);
        await file.datasync();
        this.#tookMs.push(performance.now() - startMs);
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      await file.close();
      await rm(own, { recursive: true });
    }
  }
}
