/**
 * The last verified directory of one mixnet, kept on disk, so that a node routes and a gateway decides
 * while no controller answers. It only ever moves forward: a lower number, another snapshot of the same
 * number or a shortened log is refused, and a domain once seen stays remembered until the owners' log
 * drops it (design §8: nothing ever downgrades).
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { readIfThere, replaceDurably } from '../durable-file.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Directory } from '../mixnet/directory.ts';
import { readNodes, timeReason, type DirectoryReason } from '../mixnet/verify-nodes.ts';

/** Where a nodes.json comes from; a ControllerClient is one. */
export interface NodesSource {
  readonly url: string;
  getNodes(mixnetId: string): Promise<unknown>;
}

export interface DirectoryStoreOptions {
  readonly dataDir: string;
  /** 64 hex digits: all that is believed beforehand. */
  readonly mixnetId: string;
  readonly primitives: Primitives;
  readonly log: Log;
  /** Controllers to ask, all of them at each refresh. */
  readonly sources: readonly NodesSource[];
  /** Clock, ms since 1970. */
  readonly now?: () => number;
}

/** Why a directory was not taken, beyond what is wrong with it by itself. */
export type StoreReason =
  | DirectoryReason
  | 'snapshot-rolled-back'
  | 'snapshot-conflict'
  | 'snapshot-broken'
  | 'log-rolled-back';

/** What routing goes by now; without a verifiable directory every opted-in mail waits. */
export type Current =
  | { readonly ok: true; readonly directory: Directory }
  | {
      readonly ok: false;
      readonly reason: 'directory-missing' | 'directory-expired' | 'directory-not-yet-valid';
    };

export type Offered =
  | { readonly ok: true; readonly directory: Directory; readonly changed: boolean }
  | { readonly ok: false; readonly reason: StoreReason };

/** What is remembered of each mixnet even if its directory.json is lost. */
const seenSchema = z.record(
  z.string(),
  z.strictObject({
    number: z.int(),
    snapshot: z.string(),
    log_head: z.string(),
    domains: z.array(z.string()),
  }),
);
type Seen = z.output<typeof seenSchema>[string];

/** See the head of this file. */
export class DirectoryStore {
  readonly mixnetId: string;
  readonly #options: DirectoryStoreOptions;
  readonly #now: () => number;
  #directory: Directory | null = null;
  #seen: Record<string, Seen>;
  #timer: NodeJS.Timeout | null = null;

  /** Opens what is on disk; a damaged directory.json is logged and counts as missing. */
  constructor(options: DirectoryStoreOptions) {
    this.#options = options;
    this.mixnetId = options.mixnetId;
    this.#now = options.now ?? Date.now;
    this.#seen = this.#readSeen();
    this.#load();
  }

  /** The directory to route by at this moment, or why there is none. */
  current(): Current {
    if (!this.#directory) return { ok: false, reason: 'directory-missing' };
    const reason = timeReason(this.#directory, this.#now());
    return reason ? { ok: false, reason } : { ok: true, directory: this.#directory };
  }

  /** The last verified directory, expired or not: for status, and for what is under way. */
  last(): Directory | null {
    return this.#directory;
  }

  /** Whether this domain was in a verified directory and no later log entry dropped it. */
  remembers(domain: string): boolean {
    const wanted = domain.toLowerCase();
    return Object.values(this.#seen).some((seen) => seen.domains.includes(wanted));
  }

  /**
   * Takes a nodes.json where it verifies and moves forward.
   * @param json parsed, from anywhere
   */
  offer(json: unknown): Offered {
    const { mixnetId, primitives } = this.#options;
    const read = readNodes(json, mixnetId, primitives);
    if (!read.ok) return read;
    const { directory } = read;
    const reason = timeReason(directory, this.#now()) ?? this.#backward(directory, read.logHashes);
    if (reason) return { ok: false, reason };
    const changed = directory.snapshotHash !== this.#directory?.snapshotHash;
    if (changed) this.#keep(directory, json);
    return { ok: true, directory, changed };
  }

  /**
   * Asks every source once. What fails or does not verify is logged; what is held stays.
   * @returns whether at least one source gave a directory that was taken or is already held
   */
  async refresh(): Promise<boolean> {
    let answered = false;
    for (const source of this.#options.sources) {
      try {
        const offered = this.offer(await source.getNodes(this.mixnetId));
        if (offered.ok) {
          answered = true;
          continue;
        }
        this.#options.log.warn(
          { event: 'directory-refused', reason: offered.reason, source: source.url },
          'A controller serves a directory that is not to be believed',
        );
      } catch (error) {
        const { code } = asPanoramixError(error);
        this.#options.log.debug(
          { event: 'directory-unfetched', reason: code, source: source.url },
          'A controller gave no directory',
        );
      }
    }
    return answered;
  }

  /** Refreshes every `intervalMs`, a tenth more or less, until `stop`. */
  start(intervalMs: number): void {
    const again = (): void => {
      const jitter = 0.9 + Math.random() / 5;
      this.#timer = setTimeout(() => void this.refresh().finally(again), intervalMs * jitter);
      this.#timer.unref();
    };
    if (!this.#timer) again();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #backward(directory: Directory, logHashes: readonly string[]): StoreReason | null {
    const seen = this.#seen[this.mixnetId];
    if (!seen) return null;
    if (directory.number < seen.number) return 'snapshot-rolled-back';
    if (directory.number === seen.number) {
      return directory.snapshotHash === seen.snapshot ? null : 'snapshot-conflict';
    }
    const isNext = directory.number === seen.number + 1;
    if (isNext && directory.previousHash !== seen.snapshot) return 'snapshot-broken';
    const headBefore = logHashes.indexOf(seen.log_head);
    const headNow = logHashes.indexOf(directory.logHead);
    return headBefore === -1 || headNow < headBefore ? 'log-rolled-back' : null;
  }

  #keep(directory: Directory, json: unknown): void {
    replaceDurably(this.#path('directory.json'), `${JSON.stringify(json)}\n`);
    // Second, since a number remembered without its directory would refuse the one on disk.
    this.#remember(directory);
    this.#directory = directory;
    this.#options.log.info(
      {
        event: 'directory-taken',
        number: directory.number,
        nodes: directory.nodes.length,
        validUntil: new Date(directory.validUntilMs).toISOString(),
      },
      'Routing by a new directory',
    );
  }

  #remember(directory: Directory): void {
    const seen: Seen = {
      number: directory.number,
      snapshot: directory.snapshotHash,
      log_head: directory.logHead,
      domains: directory.nodes.flatMap((node) => node.domains),
    };
    this.#seen = { ...this.#seen, [this.mixnetId]: seen };
    replaceDurably(this.#path('directory-seen.json'), `${JSON.stringify(this.#seen, null, 2)}\n`);
  }

  #readSeen(): Record<string, Seen> {
    const path = this.#path('directory-seen.json');
    const text = readIfThere(path);
    if (text === null) return {};
    const parsed = seenSchema.safeParse(parseOrNull(text));
    if (parsed.success) return parsed.data;
    throw new PanoramixError(
      'config-invalid',
      `${path} is damaged: it remembers which domains are mixed and how far the directory has come; restore it from a backup`,
    );
  }

  #load(): void {
    const text = readIfThere(this.#path('directory.json'));
    if (text === null) return;
    const { mixnetId, primitives, log } = this.#options;
    const read = readNodes(parseOrNull(text), mixnetId, primitives);
    const reason = read.ok ? this.#backward(read.directory, read.logHashes) : read.reason;
    if (read.ok && !reason) {
      this.#directory = read.directory;
      if (read.directory.number !== this.#seen[mixnetId]?.number) this.#remember(read.directory);
      return;
    }
    log.error(
      { event: 'directory-damaged', reason },
      'The directory on disk does not verify; waiting for one from a controller',
    );
  }

  #path(name: string): string {
    return join(this.#options.dataDir, name);
  }
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
