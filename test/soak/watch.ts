/**
 * Looks at every process of one mixnet from outside: resident memory each second, what programs hold and
 * what their Redis has allocated when asked, processor time and packets between two marks.
 */
import type { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import type { HeapAsker } from './ask-heap.ts';
import type { LoadFigures } from './load.ts';
import { processorMs, residentBytes, type ProgramKind, type WatchedProcess } from './processes.ts';
import type { Point } from './trend.ts';

/** One process over the run. */
export interface ProcessSeries {
  readonly name: string;
  readonly kind: ProgramKind;
  /** Of the whole run, each second. */
  readonly resident: readonly Point[];
  /** Programs: what they hold after collecting; Redis: what it has allocated. After the warm-up. */
  readonly live: readonly Point[];
  /** Of the event loop, longest, between two questions. Redis has none. */
  readonly heldUpMsMax: number;
  /** After the warm-up. */
  readonly processorMs: number;
}

const SAMPLE_MS = 1_000;

/** How far everything is. */
export interface Mark {
  readonly seconds: number;
  readonly packets: number;
  /** By process id, ms, without what was spent on our questions. */
  readonly processor: ReadonlyMap<number, number>;
}

/** From `start` to `stop`. */
export class Watch {
  readonly #mixnet: DemoMixnet;
  readonly #processes: readonly WatchedProcess[];
  readonly #heaps: HeapAsker;
  readonly #resident = new Map<number, Point[]>();
  readonly #live = new Map<number, Point[]>();
  readonly #heldUpMs = new Map<number, number>();
  /** Processor time that went by while a program was asked: collecting is most of it. */
  readonly #askedMs = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #startedMs = performance.now();
  #isFirstAnswer = true;

  constructor(mixnet: DemoMixnet, processes: readonly WatchedProcess[], heaps: HeapAsker) {
    this.#mixnet = mixnet;
    this.#processes = processes;
    this.#heaps = heaps;
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#timer = setInterval(() => {
      for (const { pid } of this.#processes) this.#sample(pid);
    }, SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(pid: number): void {
    try {
      add(this.#resident, pid, this.#point(residentBytes(pid)));
    } catch {
      // It has ended; `DemoMixnet.check` says so.
    }
  }

  async mark(): Promise<Mark> {
    const counts = await Promise.all(
      this.#mixnet.peers.map(({ controllerUrl }) => packetsTaken(controllerUrl)),
    );
    return {
      seconds: this.#seconds(),
      packets: counts.reduce((sum, count) => sum + count, 0),
      processor: new Map(
        this.#processes.map(({ pid }) => [pid, processorMs(pid) - (this.#askedMs.get(pid) ?? 0)]),
      ),
    };
  }

  /** All at once: one after the other takes minutes on a busy machine, in which memory goes on. */
  async askLive(): Promise<void> {
    await Promise.all(this.#processes.map(async (process) => await this.#askOne(process)));
    this.#isFirstAnswer = false;
  }

  async #askOne({ pid, kind, name }: WatchedProcess): Promise<void> {
    if (kind.endsWith('Redis')) {
      add(this.#live, pid, this.#point(await allocatedBytes(this.#dataDir(name))));
      return;
    }
    const before = processorMs(pid);
    const { liveBytes, heldUpMsMax } = await this.#heaps.ask(pid);
    this.#askedMs.set(pid, (this.#askedMs.get(pid) ?? 0) + processorMs(pid) - before);
    add(this.#live, pid, this.#point(liveBytes));
    // The first answer speaks of the start, too.
    if (this.#isFirstAnswer) return;
    this.#heldUpMs.set(pid, Math.max(heldUpMsMax, this.#heldUpMs.get(pid) ?? 0));
  }

  series(before: Mark['processor'], after: Mark['processor']): ProcessSeries[] {
    return this.#processes.map(({ name, kind, pid }) => ({
      name,
      kind,
      resident: this.#resident.get(pid) ?? [],
      live: this.#live.get(pid) ?? [],
      heldUpMsMax: this.#heldUpMs.get(pid) ?? 0,
      processorMs: (after.get(pid) ?? 0) - (before.get(pid) ?? 0),
    }));
  }

  line({ submitted, accepted, delivered, exact, deferred, medianMs, p95Ms }: LoadFigures): string {
    const largest = this.#processes
      .map(({ name, pid }) => ({ name, bytes: this.#resident.get(pid)?.at(-1)?.bytes ?? 0 }))
      .toSorted((left, right) => right.bytes - left.bytes)
      .slice(0, 3)
      .map(({ name, bytes }) => `${name} ${Math.round(bytes / 2 ** 20)} MB`);
    return (
      `${Math.round(this.#seconds())} s: ${delivered} of ${submitted} mails (${accepted} accepted, ` +
      `${deferred} times 4xx), ${exact} exact, median ${Math.round(medianMs)} ms, 95 % ` +
      `${Math.round(p95Ms)} ms; ${largest.join(', ')}`
    );
  }

  #seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  #point(bytes: number): Point {
    return { seconds: this.#seconds(), bytes };
  }

  #dataDir(name: string): string {
    const [peerName, part] = name.split('.');
    const peer = this.#mixnet.peers.find((each) => each.name === peerName);
    if (!peer) throw new Error(`no peer is called ${name}`);
    return part === 'controller' ? peer.controllerDataDir : peer.nodeDataDir;
  }
}

function add(series: Map<number, Point[]>, pid: number, point: Point): void {
  const known = series.get(pid);
  if (known === undefined) series.set(pid, [point]);
  else known.push(point);
}

/** What a Redis has allocated for what it stores, without buffers of clients and of the append-only file. */
async function allocatedBytes(dataDir: string): Promise<number> {
  const store = await connectStore({ dataDir, log: silentLog, name: 'soak' });
  try {
    return Number(/used_memory_dataset:(\d+)/.exec(await store.redis.info('memory'))?.[1]);
  } finally {
    await store.close();
  }
}

async function packetsTaken(controllerUrl: string): Promise<number> {
  const answer = await fetch(`${controllerUrl}metrics`);
  const line =
    /^panoramix_controller_requests_total\{method="POST",resource="messages",status="201"\} (\d+)/m;
  return Number(line.exec(await answer.text())?.[1] ?? 0);
}
