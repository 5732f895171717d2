/**
 * A running node: collects from its own INBOX, forwards, and, where it is a gateway, also prepares
 * mail, ticks and delivers. It reaches controllers only through the API, its own included; all that
 * must survive is in the store, so that stopping at any moment loses nothing.
 */
import type { ControllerClient } from '../client/controller.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { MixedMail } from '../mail/envelope.ts';
import { drawDelayMs } from '../mixnet/delay.ts';
import type { Directory } from '../mixnet/directory.ts';
import { geometryOf } from '../mixnet/geometry.ts';
import type { MixView } from '../mixnet/mix.ts';
import type { Store } from '../redis/embedded.ts';
import { FragmentStore } from '../redis/fragment-store.ts';
import { Journal, type CommitEntry } from '../redis/journal.ts';
import { MailStore } from '../redis/mail-store.ts';
import { openQueue, openWorker, type JobQueue } from '../redis/queues.ts';
import { Records } from '../redis/records.ts';
import { openTaker, type JobTaker } from '../redis/taker.ts';
import { createSphinx } from '../sphinx/index.ts';
import { acceptMail } from './accept.ts';
import { Collector } from './collect.ts';
import { Counters } from './counters.ts';
import { Deliverer, type Deliver } from './deliver.ts';
import { DeliveryProgress } from './delivery-progress.ts';
import type { DirectorySource } from './directory-source.ts';
import type { OwnEndpoint } from './endpoint.ts';
import { Forwarder } from './forward.ts';
import { isOutbound, Outbound } from './outbound.ts';
import { PeelPool } from './peel-pool.ts';
import { ReadyPackets } from './ready.ts';
import { Ticker, TICKS_OWNER } from './ticks.ts';

/** Mean wait between the last fragment and delivery (design: mail). */
const EXIT_DELAY_MEAN_MS = 20_000;
const SWEEP_MS = 3_600_000;
/** The delivery itself ends an expired message first, with an outcome; this removes incomplete ones. */
const EXPIRY_GRACE_MS = 3_600_000;
const RESUME_GROUP = 500;

/** What makes a node a gateway. */
export interface GatewayOptions {
  /** Gives an arrived mail to the mail server. */
  readonly deliver: Deliver;
  /** Domains delivered to besides those that the directory gives to this node. */
  readonly acceptsDomain?: (domain: string) => boolean;
  /** Default 20 s. */
  readonly exitDelayMeanMs?: number;
}

export interface MixNodeOptions {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly store: Store;
  readonly log: Log;
  readonly directory: DirectorySource;
  /** Open mix positions of this node, with their keys. */
  readonly endpoints: readonly OwnEndpoint[];
  /** The node's own key for what outlives endpoints: mail, messages, own packets; 32 bytes, a file. */
  readonly storageKey: Uint8Array;
  readonly ownController: Pick<ControllerClient, 'listMessages' | 'releaseMessages'>;
  /** The controller at a URL, with the node's key. */
  readonly clientFor: (url: string) => Pick<ControllerClient, 'postMessage'>;
  readonly gateway?: GatewayOptions;
  /** Threads that peel packets; default 1. */
  readonly threads?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
}

/** The parts of a gateway that a mix has not. */
interface GatewayParts {
  readonly mails: MailStore;
  readonly fragments: FragmentStore;
  readonly outbound: Outbound;
  readonly ready: ReadyPackets;
  readonly ticker: Ticker;
  readonly deliverer: Deliverer;
  readonly delivery: JobQueue;
  readonly exitDelayMeanMs: number;
}

export class MixNode {
  readonly counters = new Counters();
  readonly #options: MixNodeOptions;
  readonly #now: () => number;
  readonly #records: Records;
  readonly #takers = new Map<string, Promise<JobTaker>>();
  #view: MixView | null = null;
  #viewOf: Directory | null = null;
  #gateway: GatewayParts | null = null;
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

  /** @throws PanoramixError `redis-unavailable` */
  async start(): Promise<void> {
    const { store, gateway } = this.#options;
    this.#mixing = this.#closes(await openQueue(store, 'mixing'));
    if (gateway !== undefined) this.#gateway = await this.#createGateway(gateway, this.#mixing);
    const pool = this.#closes(new PeelPool(this.#options.threads));
    const forwarder = new Forwarder({
      ...this.#options,
      records: this.#records,
      storageKeys: (owner) => this.#storageKey(owner),
      counters: this.counters,
      now: this.#now,
    });
    await this.#resume();
    await this.#sweep();
    const sweeping = setInterval(() => void this.#sweepQuietly(), SWEEP_MS).unref();
    this.#closing.push(async () => clearInterval(sweeping));
    this.#closes(await openWorker(store, 'mixing', async (job) => await forwarder.work(job)));
    if (this.#gateway !== null) await this.#startGateway(this.#gateway);
    this.#startCollectors(pool);
  }

  /** Stops taking work, ends what is at hand; the rest is in the store for the next start. */
  async stop(): Promise<void> {
    const closing = this.#closing.toReversed();
    this.#closing = [];
    for (const close of closing) {
      await close().catch((thrown: unknown) => {
        const error = asPanoramixError(thrown);
        this.#options.log.warn(
          { event: 'stop-failed', error: error.message },
          'A part did not stop',
        );
      });
    }
  }

  /**
   * Takes in the part of a mail that goes to one exit; 250 may be said when it returns.
   * @throws PanoramixError `directory-unusable`, `redis-unavailable`, `storage-pressure`: say 451
   */
  async accept(mail: MixedMail): Promise<'stored' | 'repeat'> {
    if (this.#gateway === null) throw new PanoramixError('unexpected', 'this node takes no mail');
    const { identity, primitives, directory } = this.#options;
    const { mails } = this.#gateway;
    const result = await acceptMail(
      { identity, primitives, mails, directory, now: this.#now },
      mail,
    );
    this.counters.count(`mail-${result}`);
    return result;
  }

  async #createGateway(options: GatewayOptions, mixing: JobQueue): Promise<GatewayParts> {
    const { store, primitives, storageKey, identity, directory, log } = this.#options;
    const sealed = { primitives, storageKey };
    const shared = { primitives, counters: this.counters, log, now: this.#now };
    const mails = await MailStore.open(store, sealed);
    const fragments = new FragmentStore(store, sealed);
    const outbound = new Outbound({ ...shared, store, records: this.#records });
    const view = (): MixView | null => this.#currentView();
    const ready = new ReadyPackets({
      random: primitives.random,
      now: this.#now,
      me: identity.peerId,
      view,
      takerFor: async (exit) => await this.#takerFor(exit),
      load: async (id) => await this.#loadFragment(outbound, id),
      discard: async (job, fragment) => {
        if (fragment !== null) this.counters.count('fragment-expired');
        await job.settle();
        await this.#records.remove(job.id);
      },
    });
    const deliverer = new Deliverer({
      ...shared,
      me: identity.peerId,
      fragments,
      progress: new DeliveryProgress(store, sealed),
      directory,
      deliver: options.deliver,
      acceptsDomain: options.acceptsDomain ?? (() => false),
    });
    const random = primitives.random;
    const records = this.#records;
    const ticker = new Ticker({ ...shared, random, view, ready, records, mixing });
    outbound.onQueued = (exit) => void ready.fill(exit).catch(() => undefined);
    return {
      mails,
      fragments,
      outbound,
      ready,
      ticker,
      deliverer,
      delivery: this.#closes(await openQueue(store, 'delivery')),
      exitDelayMeanMs: options.exitDelayMeanMs ?? EXIT_DELAY_MEAN_MS,
    };
  }

  async #startGateway(gateway: GatewayParts): Promise<void> {
    const { store } = this.#options;
    const { mails, outbound, deliverer, ready, ticker } = gateway;
    this.#closes(await openWorker(store, 'delivery', async (job) => await deliverer.work(job)));
    const prepare = async (messageId: string): Promise<{ againAtMs: number } | void> => {
      const directory = this.#options.directory.last();
      // Its parameters say how long a fragment is; a node that never saw one cannot cut mail.
      if (directory === null) return { againAtMs: this.#now() + 1000 };
      await outbound.prepare(mails, messageId, this.#viewBy(directory).geometry);
      return undefined;
    };
    this.#closes(await openWorker(store, 'mail', async ({ id }) => await prepare(id)));
    this.#closing.push(async () => {
      await ready.close();
      for (const taker of this.#takers.values()) await (await taker).close();
      this.#takers.clear();
    });
    ticker.start();
    this.#closing.push(async () => await ticker.stop());
  }

  #startCollectors(pool: PeelPool): void {
    const { store, log, ownController, directory } = this.#options;
    const journal = new Journal(store, {
      records: this.#records,
      ...(this.#gateway === null ? {} : { fragments: this.#gateway.fragments }),
      now: this.#now,
    });
    for (const endpoint of this.#options.endpoints) {
      const collector = new Collector({
        endpoint,
        client: ownController,
        journal,
        pool,
        counters: this.counters,
        log,
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
    if (entries.some(({ outcome }) => outcome.kind === 'fragment')) await this.#queueDeliveries();
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
    await this.#queueDeliveries();
  }

  /** Gives each complete message its job, after an exponential time. */
  async #queueDeliveries(): Promise<void> {
    if (this.#gateway === null) return;
    const { fragments, delivery, exitDelayMeanMs } = this.#gateway;
    const ids = await fragments.complete();
    const jobs = ids.map((id) => {
      const delayMs = drawDelayMs(this.#options.primitives.random, exitDelayMeanMs);
      return { id, dueMs: this.#now() + delayMs };
    });
    if (jobs.length > 0) await delivery.addMany(jobs);
  }

  /** Puts right what a crash left between two steps, and ends what has expired. */
  async #sweep(): Promise<void> {
    if (this.#gateway === null) return;
    const { mails, outbound, fragments } = this.#gateway;
    await mails.sweep();
    await outbound.resume();
    const expired = await fragments.expire(this.#now() - EXPIRY_GRACE_MS);
    if (expired.length === 0) return;
    this.counters.count('message-expired', expired.length);
    const fields = { event: 'messages-expired', messages: expired.length };
    this.#options.log.warn(fields, 'Messages expired before all of their fragments had come');
  }

  async #sweepQuietly(): Promise<void> {
    await this.#sweep().catch((thrown: unknown) => {
      const error = asPanoramixError(thrown);
      this.#options.log.warn({ event: 'sweep-failed', error: error.message }, 'Sweeping failed');
    });
  }

  async #loadFragment(outbound: Outbound, id: string) {
    const directory = this.#options.directory.last();
    return directory && (await outbound.load(id, this.#viewBy(directory).geometry));
  }

  async #takerFor(exit: string): Promise<JobTaker> {
    const known = this.#takers.get(exit);
    if (known !== undefined) return await known;
    const opening = openTaker(this.#options.store, `outbound-${exit}`);
    this.#takers.set(exit, opening);
    opening.catch(() => this.#takers.delete(exit));
    return await opening;
  }

  #currentView(): MixView | null {
    const held = this.#options.directory.current();
    return held.ok ? this.#viewBy(held.directory) : null;
  }

  #viewBy(directory: Directory): MixView {
    if (this.#view !== null && this.#viewOf === directory) return this.#view;
    const { primitives, identity, gateway } = this.#options;
    const own = directory.nodes.find(({ peerId }) => peerId === identity.peerId);
    const sphinx = createSphinx(directory.params, primitives);
    this.#view = {
      sphinx,
      geometry: geometryOf(sphinx),
      directory,
      isExit: gateway !== undefined && own?.roles.includes('gateway') === true,
    };
    this.#viewOf = directory;
    return this.#view;
  }

  #storageKey(owner: string): Uint8Array | null {
    if (owner === TICKS_OWNER || isOutbound(owner)) return this.#options.storageKey;
    const endpoint = this.#options.endpoints.find(({ endpointId }) => endpointId === owner);
    return endpoint?.storageKey ?? null;
  }

  #closes<Part extends { close(): Promise<void> }>(part: Part): Part {
    this.#closing.push(async () => await part.close());
    return part;
  }
}
