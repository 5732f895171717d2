/**
 * The store that a program opens: a private redis-server of its data directory, watched and restarted,
 * or the Redis of `REDIS_URL` after a look at its settings; with the clients, and the back-pressure.
 */
import { randomUUID } from 'node:crypto';

import type { Redis } from 'ioredis';

import { syncFolder } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createCommandClient, createWorkerClient, guarded } from './clients.ts';
import type { RedisAddress, WorkerClient } from './clients.ts';
import { requireDurable } from './durability.ts';
import { endServerIfLast, PROGRAM } from './end-server.ts';
import { trimEvents } from './events.ts';
import { pressureOf, readFullness, restsOf, roomBytesOf } from './pressure.ts';
import type { Fullness, Pressure, Rests } from './pressure.ts';
import {
  applySettings,
  ensureServer,
  findServer,
  privatePaths,
  visitedPaths,
} from './private-server.ts';
import type { PrivatePaths } from './private-server.ts';
import { startRewriting } from './rewrite.ts';
import { watchServer } from './watch.ts';

/** One hash tag for every key of a node: scripts and transactions stay possible anywhere. */
export const PREFIX = '{panoramix}';

/** What the private server may use; a 10 MB mail is about 11 MB here until it has left. */
export const MAX_MEMORY_BYTES_DEFAULT = 1024 ** 3;

/** A quarter of a second at a full disk's speed is less than the last fifth of the memory. */
const SAMPLE_MS = 250;
/** For a store to open, where other programs come and go at the same moment. */
const OPEN_MS_MAX = 10_000;

/** An open store. */
export interface Store {
  /** For commands: fails at once while Redis is away. Wrap its use in `guarded`. */
  readonly redis: Redis;
  readonly prefix: typeof PREFIX;
  /** True where the private server is ours, false with REDIS_URL. */
  readonly isPrivate: boolean;
  readonly log: Log;
  /** For BullMQ: `producer` is `redis`; `worker` is one that waits, shared by all workers. */
  connection(kind: 'producer' | 'worker'): Redis;
  /** What may go on, as of a quarter of a second ago; `entry-closed` while Redis is away. */
  pressure(): Pressure;
  /** Bytes that may be added before entry closes, as of then; null where there is no limit. */
  roomBytes(): number | null;
  /** Whether fragments are taken only of messages whose rest has room, and the room for all rests; as of now. */
  rests(): Rests;
  /** Counts bytes that were written, until a measurement has seen them. */
  wrote(bytes: number): void;
  /** How far the machine's clock, by which BullMQ and Redis go, is ahead of the time that callers go by; ms. */
  aheadMs(): number;
  /** Runs before the connections close, in reverse order: for workers and queues. */
  beforeClose(close: () => Promise<void>): void;
  /** Ends connections, and the private server too where this was the last program that used it. */
  close(): Promise<void>;
}

/** How to open a store. */
export interface StoreOptions {
  /** `REDIS_URL`; without it the private server of the data directory is used. */
  readonly url?: string | undefined;
  readonly dataDir: string;
  readonly log: Log;
  /** For the private server; with a URL, the server's own limit counts. */
  readonly maxMemoryBytes?: number | undefined;
  /** The program, as `CLIENT LIST` shows it. */
  readonly name?: string | undefined;
  /** How far the machine's clock is ahead of the caller's time, ms; default 0, it goes by the machine's. */
  readonly aheadMs?: (() => number) | undefined;
}

/**
 * Opens the store, and starts the private server where none runs.
 * @throws PanoramixError `redis-unsafe` where the server at `url` would lose mail (the message holds
 * the fix), `redis-unavailable` where there is none
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (options.url !== undefined) return await openUrl(options, options.url, 'program');
  const maxMemoryBytes = options.maxMemoryBytes ?? MAX_MEMORY_BYTES_DEFAULT;
  const paths = await privatePaths(options.dataDir);
  const deadline = performance.now() + OPEN_MS_MAX;
  while (true) {
    const { socket, started } = await ensureServer(paths, maxMemoryBytes);
    // The server syncs its files and the folder that they are in, but not that folder's own name.
    syncFolder(paths.dir);
    try {
      if (!started) await applySettings(socket, maxMemoryBytes);
      const store = new OpenStore({ socket }, options, paths);
      await store.connect();
      store.watch(paths, socket, maxMemoryBytes);
      options.log.info({ dir: paths.dir }, started ? 'Redis started' : 'Redis adopted');
      return store;
    } catch (thrown) {
      // A program that closes at this moment took the server with it: look again, or start one.
      const left = thrown instanceof PanoramixError && thrown.code === 'redis-unavailable';
      if (!left || performance.now() > deadline) throw thrown;
    }
  }
}

/**
 * Connects to the store of a program that runs, for `status` and its like. Never starts a server and
 * never ends one.
 * @throws PanoramixError `redis-unavailable` where no server answers
 */
export async function connectStore(options: StoreOptions): Promise<Store> {
  if (options.url !== undefined) return await openUrl(options, options.url, 'visitor');
  const paths = await visitedPaths(options.dataDir);
  const socket = await findServer(paths);
  if (socket === null) {
    throw new PanoramixError(
      'redis-unavailable',
      `no program runs on ${options.dataDir}: nothing answers at the path in ${paths.note}`,
    );
  }
  const store = new OpenStore({ socket }, options, paths, 'visitor');
  await store.connect();
  return store;
}

async function openUrl(options: StoreOptions, url: string, role: Role): Promise<Store> {
  const store = new OpenStore({ url }, options, null, role);
  await store.connect();
  try {
    await requireDurable(store.redis);
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
  return store;
}

/** A visitor is never counted as the program of a store (program-report.ts). */
type Role = 'program' | 'visitor';

class OpenStore implements Store {
  readonly redis: Redis;
  readonly prefix = PREFIX;
  readonly isPrivate: boolean;
  readonly log: Log;
  readonly aheadMs: () => number;
  readonly #address: RedisAddress;
  readonly #paths: PrivatePaths | null;
  readonly #name: string;
  readonly #isVisitor: boolean;
  #worker: WorkerClient | null = null;
  #pressure: Pressure = 'entry-closed';
  /** As last measured; null before that. */
  #fullness: Fullness | null = null;
  /** All that was written, and how much of it `#fullness` has seen for sure. */
  #wroteBytes = 0;
  #seenBytes = 0;
  #sampling: NodeJS.Timeout | null = null;
  #stopWatching: (() => Promise<void>) | null = null;
  #stopRewriting: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  readonly #beforeClose: (() => Promise<void>)[] = [];

  constructor(
    address: RedisAddress,
    options: StoreOptions,
    paths: PrivatePaths | null,
    role: Role = 'program',
  ) {
    this.#address = address;
    this.#paths = paths;
    this.#isVisitor = role === 'visitor';
    // One process may open several: each must know its own connections from the others'.
    const own = [process.pid, (options.name ?? 'unnamed').replaceAll(/\W/g, '-'), randomUUID()];
    this.#name = [role === 'program' ? PROGRAM : 'panoramix:visitor', ...own].join(':');
    this.isPrivate = paths !== null;
    this.log = options.log;
    this.aheadMs = options.aheadMs ?? (() => 0);
    this.redis = createCommandClient(address, this.#name);
  }

  async connect(): Promise<void> {
    await guarded('connect to Redis', async () => await this.redis.connect()).catch((thrown) => {
      this.redis.disconnect();
      throw thrown;
    });
    await this.#sample();
    this.#sampling = setInterval(() => void this.#sample(), SAMPLE_MS).unref();
  }

  watch(paths: PrivatePaths, socket: string, maxMemoryBytes: number): void {
    this.#stopWatching = watchServer({
      redis: this.redis,
      paths,
      socket,
      maxMemoryBytes,
      log: this.log,
    });
    this.#stopRewriting = startRewriting({
      redis: this.redis,
      prefix: this.prefix,
      dir: paths.dir,
      log: this.log,
    });
  }

  connection(kind: 'producer' | 'worker'): Redis {
    if (kind === 'producer') return this.redis;
    this.#worker ??= createWorkerClient(this.#address, this.#name);
    return this.#worker.redis;
  }

  pressure(): Pressure {
    return this.redis.status === 'ready' ? this.#pressure : 'entry-closed';
  }

  roomBytes(): number | null {
    if (this.redis.status !== 'ready' || this.#fullness === null) return 0;
    return roomBytesOf(this.#fullness);
  }

  rests(): Rests {
    const fullness = this.#fullness ?? { memory: null, disk: null };
    return restsOf(fullness, this.#wroteBytes - this.#seenBytes);
  }

  wrote(bytes: number): void {
    this.#wroteBytes += bytes;
  }

  beforeClose(close: () => Promise<void>): void {
    this.#beforeClose.push(close);
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    for (const close of this.#beforeClose.toReversed()) {
      await close().catch((thrown: unknown) => {
        this.log.warn({ error: String(thrown) }, 'Part of the store did not close');
      });
    }
    if (this.#sampling !== null) clearInterval(this.#sampling);
    this.#stopRewriting?.();
    await this.#stopWatching?.();
    this.#worker?.disconnect();
    this.redis.disconnect();
    if (this.#paths !== null && !this.#isVisitor)
      await endServerIfLast(this.#paths, this.prefix, this.#name, this.log);
  }

  async #sample(): Promise<void> {
    try {
      const before = this.#pressure;
      const wroteBytes = this.#wroteBytes;
      this.#fullness = await readFullness(this.redis, this.#paths?.dir ?? null);
      this.#seenBytes = Math.max(this.#seenBytes, wroteBytes);
      this.#pressure = pressureOf(this.#fullness);
      if (before !== this.#pressure && this.#sampling !== null) {
        this.log.warn({ from: before, to: this.#pressure }, 'Storage pressure changed');
      }
      if (!this.isPrivate) await trimEvents(this.redis, this.prefix);
    } catch {
      this.#pressure = 'entry-closed';
    }
  }
}
