/**
 * Asks programs that run with live-heap.ts what they hold on to.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEAP_FOLDER, type LiveHeap } from './live-heap.ts';

const PRELOAD = `--import ${new URL('live-heap.ts', import.meta.url).href}`;
/** Collecting 100 MB takes some 100 ms, of a machine that does nothing else. */
const ANSWER_MS_MAX = 60_000;
const LOOK_MS = 50;

/** From here on every program that this process starts can be asked, until `end`. */
export class HeapAsker {
  readonly #folder = mkdtempSync(join(tmpdir(), 'panoramix-soak-'));
  readonly #options = process.env['NODE_OPTIONS'];

  constructor() {
    process.env[HEAP_FOLDER] = this.#folder;
    process.env['NODE_OPTIONS'] = [this.#options, PRELOAD].filter(Boolean).join(' ');
  }

  /** What a program holds; throws where it does not answer. It must be up: before, the signal ends it. */
  async ask(pid: number): Promise<LiveHeap> {
    const path = join(this.#folder, `${pid}.json`);
    rmSync(path, { force: true });
    process.kill(pid, 'SIGUSR2');
    for (const endMs = performance.now() + ANSWER_MS_MAX; performance.now() < endMs;) {
      await sleep(LOOK_MS);
      const live = readLive(path);
      if (live !== null) return live;
    }
    throw new Error(`program ${pid} says nothing of its heap`);
  }

  end(): void {
    delete process.env[HEAP_FOLDER];
    if (this.#options === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = this.#options;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function readLive(path: string): LiveHeap | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LiveHeap;
  } catch {
    return null;
  }
}
