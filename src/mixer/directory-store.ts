/**
 * The last verified directory of one mixnet, kept on disk, so that a node routes and a gateway decides
 * while no controller answers. It only ever moves forward: a lower number or a shortened log is refused, and
 * a domain once seen stays remembered until the owners' log drops it (design §8: nothing ever downgrades).
 * A second snapshot of the number held is kept as evidence, and nothing is routed by either.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsensusRecord } from '../api/negotiation.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { readIfThere, replaceDurably } from '../durable-file.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Directory } from '../mixnet/directory.ts';
import { readNodes, timeReason } from '../mixnet/verify-nodes.ts';
import { ControllerWatch, type Found } from './controller-watch.ts';
import { DirectoryMemory, type BackwardReason, type StoreReason } from './directory-memory.ts';
import { DirectoryReport } from './directory-report.ts';
import type { NodesSource } from './directory-sources.ts';
import { keepEvidence, openEvidence, readEvidence, type Equivocation } from './evidence.ts';

export type { StoreReason } from './directory-memory.ts';
export type { NodesSource } from './directory-sources.ts';

/** Time between two snapshots where none is held that says so. */
const EPOCH_MS_DEFAULT = 3 * 3_600_000;
/** Snapshots in the life of one: each is due after so much of it. */
const EPOCHS_PER_LIFE = 3;
/** Looks at controllers in the life of a snapshot, at least: a short-lived one must not be missed. */
const LOOKS_PER_LIFE = 30;
const INTERVAL_MS_MIN = 250;
/** A controller that hangs shall not keep us from hearing the others: a share of a snapshot's life, */
const ANSWERS_PER_LIFE = 6;
/** within these. What comes later is still looked at. */
const ANSWER_MS = { min: 1_000, max: 10_000 } as const;

export interface DirectoryStoreOptions {
  readonly dataDir: string;
  /** 64 hex digits: all that is believed beforehand. */
  readonly mixnetId: string;
  readonly primitives: Primitives;
  readonly log: Log;
  /** Controllers to ask, drawn anew for each refresh. */
  readonly sources: () => readonly NodesSource[];
  /** What was found out about them; default: in `dataDir`. */
  readonly report?: DirectoryReport;
  /** Numbers of which the operator lets two snapshots pass (`panoramix wizard forgive`). */
  readonly forgiven?: () => readonly number[];
  /** How long a controller's answer is waited for; default by a snapshot's life. */
  readonly answerMs?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
}

/** What routing goes by now; without a verifiable directory every opted-in mail waits. */
export type Current =
  | { readonly ok: true; readonly directory: Directory }
  | {
      readonly ok: false;
      readonly reason:
        | 'directory-missing'
        | 'directory-expired'
        | 'directory-not-yet-valid'
        | 'snapshot-equivocated';
    };

export type Offered =
  | { readonly ok: true; readonly directory: Directory; readonly changed: boolean }
  | {
      readonly ok: false;
      readonly reason: StoreReason;
      /** Of a snapshot that verifies; null where it does not. */
      readonly number: number | null;
    };

/** See the head of this file. */
export class DirectoryStore {
  readonly mixnetId: string;
  readonly #options: DirectoryStoreOptions;
  readonly #now: () => number;
  #directory: Directory | null = null;
  readonly #memory: DirectoryMemory;
  #evidence: readonly Equivocation[];
  /** For which mail waits. */
  #open: readonly Equivocation[] = [];
  readonly #report: DirectoryReport;
  readonly #watch: ControllerWatch;
  #timer: NodeJS.Timeout | null = null;

  /** Opens what is on disk; a damaged directory.json is logged and counts as missing. */
  constructor(options: DirectoryStoreOptions) {
    this.#options = options;
    this.mixnetId = options.mixnetId;
    this.#now = options.now ?? Date.now;
    this.#report = options.report ?? new DirectoryReport(options.dataDir);
    this.#watch = new ControllerWatch(this.#report, options.log);
    this.#memory = new DirectoryMemory(options.dataDir, options.mixnetId);
    this.#evidence = readEvidence(options.dataDir, options.mixnetId);
    this.#load();
    this.#weigh();
  }

  /** The directory to route by at this moment, or why there is none. */
  current(): Current {
    if (!this.#directory) return { ok: false, reason: 'directory-missing' };
    if (this.#open.length > 0) return { ok: false, reason: 'snapshot-equivocated' };
    const reason = timeReason(this.#directory, this.#now());
    return reason ? { ok: false, reason } : { ok: true, directory: this.#directory };
  }

  /** The last verified directory, expired or not: for status, and for what is under way. */
  last(): Directory | null {
    return this.#directory;
  }

  /** Whether this domain was in a verified directory and no later log entry dropped it. */
  remembers(domain: string): boolean {
    return this.#memory.remembers(domain);
  }

  /**
   * Takes a nodes.json where it verifies and moves forward.
   * @param json parsed, from anywhere
   */
  offer(json: unknown): Offered {
    const { mixnetId, primitives } = this.#options;
    const read = readNodes(json, mixnetId, primitives);
    if (!read.ok) {
      const reason = this.#memory.losesDomain(json) ? 'domain-lost' : read.reason;
      return { ok: false, reason, number: null };
    }
    const { directory } = read;
    const { number } = directory;
    const backward = this.#backward(directory, read.logHashes);
    // Whatever the time is: who signed both has signed both.
    if (backward === 'snapshot-equivocated') this.#accuse(directory, json);
    const reason = backward ?? timeReason(directory, this.#now());
    if (reason) return { ok: false, reason, number };
    const changed = directory.snapshotHash !== this.#directory?.snapshotHash;
    if (changed) this.#keep(directory, json);
    return { ok: true, directory, changed };
  }

  /**
   * Asks each source once, all at the same time, and notes how it serves the directory; what is held stays
   * where they fail or lie. The own controller is given what it lacks.
   * @returns whether at least one source gave a directory that was taken or is already held
   */
  async refresh(): Promise<boolean> {
    const answers = await Promise.all(
      this.#options.sources().map(async (source) => {
        const found = await Promise.race([this.#ask(source), this.#late()]);
        return { source, found };
      }),
    );
    // Held against what all of them have given together.
    const held = this.#directory;
    const epochMs = held ? held.snapshotLifetimeMs / EPOCHS_PER_LIFE : EPOCH_MS_DEFAULT;
    for (const { source, found: said } of answers) {
      const isOlder = said.kind === 'same' && held !== null && said.number < held.number;
      const found: Found = isOlder ? { kind: 'older', number: said.number } : said;
      this.#watch.note(source.url, found, this.#now(), epochMs);
      if (found.kind === 'older' || found.kind === 'silent') await this.#mirror(source);
    }
    this.#weigh();
    return answers.some(({ found }) => found.kind === 'same');
  }

  /** Refreshes every `intervalMs` at most, and often in the life of a snapshot, until `stop`. */
  start(intervalMs: number): void {
    const again = (): void => {
      const jitter = 0.9 + Math.random() / 5;
      const lifeMs = this.#directory?.snapshotLifetimeMs ?? Infinity;
      const waitMs = Math.max(INTERVAL_MS_MIN, Math.min(intervalMs, lifeMs / LOOKS_PER_LIFE));
      this.#timer = setTimeout(() => void this.refresh().finally(again), waitMs * jitter);
      this.#timer.unref();
    };
    if (!this.#timer) again();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #backward(directory: Directory, logHashes: readonly string[]): BackwardReason | null {
    const hasTwin = (number: number): boolean =>
      this.#evidence.some((one) => one.number === number);
    return this.#memory.backward(directory, logHashes, hasTwin);
  }

  async #ask(source: NodesSource): Promise<Found> {
    let json: unknown;
    try {
      json = await source.getNodes(this.mixnetId);
    } catch (error) {
      const { code } = asPanoramixError(error);
      return code === 'answer-malformed'
        ? { kind: 'refused', reason: code }
        : { kind: 'silent', reason: code };
    }
    const offered = this.offer(json);
    if (offered.ok) return { kind: 'same', number: offered.directory.number };
    const { reason, number } = offered;
    return reason === 'snapshot-rolled-back' && number !== null
      ? { kind: 'older', number }
      : { kind: 'refused', reason };
  }

  async #late(): Promise<Found> {
    const lifeMs = this.#directory?.snapshotLifetimeMs ?? Infinity;
    const waitMs = Math.min(Math.max(lifeMs / ANSWERS_PER_LIFE, ANSWER_MS.min), ANSWER_MS.max);
    await sleep(this.#options.answerMs ?? waitMs, undefined, { ref: false });
    return { kind: 'silent', reason: 'controller-unreachable' };
  }

  async #mirror(source: NodesSource): Promise<void> {
    const text = source.postNodes && this.#directory && readIfThere(this.#path('directory.json'));
    if (!text) return;
    try {
      await source.postNodes?.(this.mixnetId, parseOrNull(text));
    } catch (error) {
      const { code } = asPanoramixError(error);
      this.#options.log.debug(
        { event: 'directory-unmirrored', reason: code },
        'The own controller did not take the directory',
      );
    }
  }

  /** Keeps what proves that owners signed two snapshots of the number held, and says who. */
  #accuse(directory: Directory, json: unknown): void {
    const { dataDir, log } = this.#options;
    const held = parseOrNull(readIfThere(this.#path('directory.json')) ?? '');
    const records = [snapshotOf(held), snapshotOf(json)] as const;
    const { seen } = this.#memory;
    if (records[0] === null || records[1] === null || !seen) return;
    const { number } = directory;
    const found = keepEvidence(dataDir, this.mixnetId, {
      number,
      logHead: seen.log_head,
      seenMs: this.#now(),
      records: [records[0], records[1]],
    });
    if (found === null) return;
    this.#evidence = [...this.#evidence, found];
    this.#weigh();
    log.error(
      { event: 'snapshot-equivocated', number, signedBoth: found.signedBoth },
      'Owners have signed two directories of one number: mail waits, see equivocation-NUMBER.json',
    );
  }

  /** Finds out anew for which equivocations mail waits. */
  #weigh(): void {
    if (this.#evidence.length === 0) return;
    const forgiven = this.#options.forgiven?.() ?? [];
    this.#open = openEvidence(this.#evidence, this.#directory?.logHead ?? null, forgiven);
  }

  #keep(directory: Directory, json: unknown): void {
    replaceDurably(this.#path('directory.json'), `${JSON.stringify(json)}\n`);
    // Second, since a number remembered without its directory would refuse the one on disk.
    this.#memory.remember(directory);
    this.#directory = directory;
    this.#weigh();
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

  #load(): void {
    const text = readIfThere(this.#path('directory.json'));
    if (text === null) return;
    const { mixnetId, primitives, log } = this.#options;
    const read = readNodes(parseOrNull(text), mixnetId, primitives);
    const reason = read.ok ? this.#backward(read.directory, read.logHashes) : read.reason;
    if (read.ok && !reason) {
      this.#directory = read.directory;
      if (read.directory.number !== this.#memory.seen?.number) {
        this.#memory.remember(read.directory);
      }
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

/** The snapshot's record in a nodes.json that verifies. */
function snapshotOf(json: unknown): ConsensusRecord | null {
  return (json as { snapshot?: ConsensusRecord } | null)?.snapshot ?? null;
}
