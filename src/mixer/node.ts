/**
 * A running node: collects from its own INBOX, forwards, and, where it is a gateway, also takes mail in
 * and delivers it. It reaches controllers only through the API, its own included; all that must
 * survive is in the store, so that stopping at any moment loses nothing.
 */
import type { ControllerClient } from '../client/controller.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { MixedMail } from '../mail/envelope.ts';
import type { Directory } from '../mixnet/directory.ts';
import { geometryOf } from '../mixnet/geometry.ts';
import type { MixView } from '../mixnet/mix.ts';
import { Journal, type CommitEntry } from '../redis/journal.ts';
import { requireStorageKey } from '../redis/key-check.ts';
import { openQueue, openWorker, type JobQueue } from '../redis/queues.ts';
import { Records } from '../redis/records.ts';
import { createSphinx } from '../sphinx/index.ts';
import { Collector } from './collect.ts';
import { Counters } from './counters.ts';
import type { OwnEndpoint } from './endpoint.ts';
import { Forwarder } from './forward.ts';
import { Gateway, type GatewayOptions, type NodeParts } from './gateway.ts';
import { isOutbound } from './outbound.ts';
import { PeelPool } from './peel-pool.ts';
import { TICKS_OWNER } from './ticks.ts';

const SWEEP_MS = 3_600_000;
const RESUME_GROUP = 500;

export interface MixNodeOptions extends NodeParts {
  readonly ownController: Pick<ControllerClient, 'listMessages' | 'releaseMessages'>;
  /** The controller at a URL, with the node's key. */
  readonly clientFor: (url: string) => Pick<ControllerClient, 'postMessage'>;
  /** Open mix positions of this node, with their keys. */
  readonly endpoints: readonly OwnEndpoint[];
  readonly gateway?: GatewayOptions;
  /** Threads that peel packets; default 1. */
  readonly threads?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
}

export class MixNode {
  /** What happened since start, by name; for `status`. */
  readonly counters = new Counters();
  readonly #options: MixNodeOptions;
  readonly #now: () => number;
  readonly #records: Records;
  #view: { readonly of: Directory; readonly view: MixView } | null = null;
  #gateway: Gateway | null = null;
  #mixing: JobQueue | null = null;
  /** What to undo at stop, in reverse order. */
  #closing: (() => Promise<void>)[] = [];

  constructor(options: MixNodeOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#records = new Records(options.store, {
      primitives: options.primitives,
      storageKeys: (owner) => this.#storageKey(owner),
    });
  }

  /** @throws PanoramixError `redis-unavailable`; `config-invalid` where the storage key is another */
  async start(): Promise<void> {
    const { store, primitives, storageKey, gateway } = this.#options;
    await requireStorageKey(store, primitives, storageKey);
    const mixing = await openQueue(store, 'mixing');
    this.#mixing = mixing;
    this.#closing.push(async () => await mixing.close());
    const forwarder = this.#forwarder();
    if (gateway !== undefined) {
      this.#gateway = await Gateway.open(this.#host(mixing, forwarder), gateway);
    }
    await this.#resume();
    await this.#gateway?.sweep();
    this.#sweepHourly();
    const worker = await openWorker(store, 'mixing', async (job) => await forwarder.work(job));
    this.#closing.push(async () => await worker.close());
    const running = this.#gateway;
    if (running !== null) {
      this.#closing.push(async () => await running.stop());
      await running.start();
    }
    this.#startCollectors();
  }

  /** Stops taking work, ends what is at hand; the rest is in the store for the next start. */
  async stop(): Promise<void> {
    const closing = this.#closing.toReversed();
    this.#closing = [];
    for (const close of closing) {
      await close().catch((thrown: unknown) => {
        const error = asPanoramixError(thrown);
        const fields = { event: 'stop-failed', error: error.message };
        this.#options.log.warn(fields, 'A part did not stop');
      });
    }
  }

  /**
   * Takes in the part of a mail that goes to one exit; 250 may be said when it returns.
   * @returns `repeat` where a mail of this id was taken within 14 days: say 250 again
   * @throws PanoramixError `directory-unusable`, `redis-unavailable`, `storage-pressure`: say 451
   */
  async accept(mail: MixedMail): Promise<'stored' | 'repeat'> {
    if (this.#gateway === null) throw new PanoramixError('unexpected', 'this node takes no mail');
    return await this.#gateway.accept(mail);
  }

  #host(mixing: JobQueue, forwarder: Forwarder) {
    return {
      options: this.#options,
      records: this.#records,
      mixing,
      isBackedUp: (address: Uint8Array) => forwarder.isBackedUp(address),
      counters: this.counters,
      now: this.#now,
      currentView: () => this.#currentView(),
      viewBy: (directory: Directory) => this.#viewBy(directory),
    };
  }

  #forwarder(): Forwarder {
    const { primitives, directory, clientFor, log } = this.#options;
    return new Forwarder({
      primitives,
      records: this.#records,
      storageKeys: (owner) => this.#storageKey(owner),
      directory,
      clientFor,
      counters: this.counters,
      log,
      now: this.#now,
    });
  }

  #startCollectors(): void {
    const { store, log, ownController, directory, endpoints, threads } = this.#options;
    const pool = new PeelPool(threads);
    this.#closing.push(async () => await pool.close());
    const journal = new Journal(store, {
      records: this.#records,
      ...(this.#gateway === null ? {} : { fragments: this.#gateway.fragments }),
      now: this.#now,
    });
    for (const endpoint of endpoints) {
      const collector = new Collector({
        endpoint,
        client: ownController,
        journal,
        pool,
        counters: this.counters,
        log,
        now: this.#now,
        pressure: () => store.pressure(),
        view: () => this.#currentView(),
        refreshDirectory: async () => await directory.refresh(),
        addJobs: async (entries) => await this.#addJobs(entries),
        resume: async () => await this.#resume(),
      });
      collector.start();
      this.#closing.push(async () => await collector.stop());
    }
  }

  /** Adds the jobs of what has just been committed. */
  async #addJobs(entries: readonly CommitEntry[]): Promise<void> {
    const forwards = entries.flatMap(({ endpointId, tag, outcome }) =>
      outcome.kind === 'forward'
        ? [{ id: this.#records.recordId(endpointId, tag), dueMs: outcome.dueMs }]
        : [],
    );
    if (forwards.length > 0) await this.#mixing?.addMany(forwards);
    if (entries.some(({ outcome }) => outcome.kind === 'fragment')) {
      await this.#gateway?.queueDeliveries('new');
    }
  }

  /** Adds the jobs of all that the store holds; those that are there already stay as they are. */
  async #resume(): Promise<void> {
    let group: { id: string; dueMs: number }[] = [];
    for await (const { recordId, endpointId, dueMs } of this.#records.pending()) {
      if (isOutbound(endpointId)) continue;
      group.push({ id: recordId, dueMs });
      if (group.length < RESUME_GROUP) continue;
      await this.#mixing?.addMany(group);
      group = [];
    }
    if (group.length > 0) await this.#mixing?.addMany(group);
    await this.#gateway?.queueDeliveries('all');
  }

  #sweepHourly(): void {
    const sweep = async (): Promise<void> => {
      await this.#resume();
      await this.#gateway?.sweep();
    };
    const timer = setInterval(() => {
      sweep().catch((thrown: unknown) => {
        const error = asPanoramixError(thrown);
        this.#options.log.warn({ event: 'sweep-failed', error: error.message }, 'Sweeping failed');
      });
    }, SWEEP_MS).unref();
    this.#closing.push(async () => await Promise.resolve(clearInterval(timer)));
  }

  #currentView(): MixView | null {
    const held = this.#options.directory.current();
    return held.ok ? this.#viewBy(held.directory) : null;
  }

  /** Made once for each directory, for it is asked for with every packet. */
  #viewBy(directory: Directory): MixView {
    if (this.#view?.of === directory) return this.#view.view;
    const { primitives, identity, gateway } = this.#options;
    const own = directory.nodes.find(({ peerId }) => peerId === identity.peerId);
    const sphinx = createSphinx(directory.params, primitives);
    const isExit = gateway !== undefined && own?.roles.includes('gateway') === true;
    const isMix = own?.roles.includes('mix') === true;
    const view = { sphinx, geometry: geometryOf(sphinx), directory, isMix, isExit };
    this.#view = { of: directory, view };
    return view;
  }

  #storageKey(owner: string): Uint8Array | null {
    if (owner === TICKS_OWNER || isOutbound(owner)) return this.#options.storageKey;
    const endpoint = this.#options.endpoints.find(({ endpointId }) => endpointId === owner);
    return endpoint?.storageKey ?? null;
  }
}
