/**
 * A running node: collects from its own INBOX, forwards, sends packets of its own and watches whether they
 * come back; where it is a gateway, those carry the mail that it takes in, and it delivers mail. It
 * reaches controllers only through the API, its own included; all that must survive is in the store,
 * so that stopping at any moment loses nothing.
 */
import type { ControllerClient } from '../client/controller.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { BouncedRecipient } from '../mail/bounce.ts';
import type { MixedMail } from '../mail/envelope.ts';
import type { CommitEntry } from '../redis/journal.ts';
import { requireStorageKey } from '../redis/key-check.ts';
import { writeLoopReport } from '../redis/loop-report.ts';
import { queueNames } from '../redis/queue-stats.ts';
import { hastenJobs, openQueue, openWorker, type JobQueue } from '../redis/queues.ts';
import { Records } from '../redis/records.ts';
import { SentStore } from '../redis/sent-store.ts';
import { Counters } from './counters.ts';
import { limitedRefresh } from './directory-source.ts';
import { Emission, TICKS_OWNER } from './emission.ts';
import type { BounceVerdict } from './bounces.ts';
import { Forwarder } from './forward.ts';
import { Gateway, type GatewayHost, type GatewayOptions, type NodeParts } from './gateway.ts';
import { inTime } from './in-time.ts';
import { Intake } from './intake.ts';
import type { Keys } from './keys.ts';
import { LoopWatch, type LoopWatchOptions } from './loop-watch.ts';
import { LoopSender } from './loops.ts';
import { isOutbound } from './outbound.ts';
import { Views } from './views.ts';

const SWEEP_MS = 3_600_000;
const RESUME_GROUP = 500;
/**
 * Nothing but a resend or a delivery waits for so long, unless it was put off by a clock that was ahead: resends
 * are looked at and put off again, deliveries have a rule of their own (gateway.ts).
 */
const PUT_OFF_MS_MAX = 3_600_000;
/** How long parts have to stop, together less than the 20 s that a program has. */
const KEYS_MS_MAX = 2_000;
const WORKING_MS_MAX = 10_000;
const CLOSING_MS_MAX = 500;
/**
 * How long after it was due the record of an endpoint without a key is kept, in case the endpoint comes back:
 * longer than anybody tries a packet or waits for its answer.
 */
const KEYLESS_MS = 4 * 3_600_000;

export interface MixNodeOptions extends NodeParts {
  readonly ownController: Pick<ControllerClient, 'listMessages' | 'releaseMessages'>;
  /** The controller at a URL, with the node's key. */
  readonly clientFor: (url: string) => Pick<ControllerClient, 'postMessage'>;
  /** Mix positions of this node, open; they are collected and kept in order while the node runs. */
  readonly keys: Keys;
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
  readonly #sent: SentStore;
  readonly #views: Views;
  readonly #watch: LoopWatch;
  readonly #refreshDirectory: () => Promise<void>;
  #gateway: Gateway | null = null;
  #mixing: JobQueue | null = null;
  /** What to stop first, all at once: each ends what it has at hand. */
  #working: (() => Promise<void>)[] = [];
  /** What to undo then, in reverse order. */
  #closing: (() => Promise<void>)[] = [];

  constructor(options: MixNodeOptions) {
    const { store, primitives, storageKey, identity, directory, log } = options;
    const me = identity.peerId;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const now = this.#now;
    this.#records = new Records(store, {
      primitives,
      storageKeys: (owner) => this.#storageKey(owner),
    });
    this.#sent = new SentStore(store, { primitives, storageKey, records: this.#records, now });
    const isGateway = options.gateway !== undefined;
    this.#views = new Views({ primitives, directory, me, isGateway });
    const write: LoopWatchOptions['write'] = async (loops) => await writeLoopReport(store, loops);
    const listens = (): boolean => directory.current().ok;
    this.#watch = new LoopWatch({ me, now, counters: this.counters, log, listens, write });
    this.#refreshDirectory = limitedRefresh(directory);
  }

  /** @throws PanoramixError `redis-unavailable`; `config-invalid` where the storage key is another */
  async start(): Promise<void> {
    const { store, primitives, storageKey, gateway } = this.#options;
    await requireStorageKey(store, primitives, storageKey);
    const mixing = await openQueue(store, 'mixing');
    this.#mixing = mixing;
    this.#closing.push(async () => await mixing.close());
    const forwarder = this.#forwarder();
    const host = this.#host(mixing, forwarder);
    if (gateway !== undefined) this.#gateway = await Gateway.open(host, gateway);
    await this.#hasten();
    await this.#resume();
    await this.#gateway?.sweep();
    this.#sweepHourly();
    this.#watch.start();
    this.#closing.push(async () => await this.#watch.stop());
    const worker = await openWorker(store, 'mixing', async (job) => await forwarder.work(job));
    this.#working.push(async () => await worker.close());
    // A gateway's own packets are its loops; any other node sends some for no other end.
    const sender = this.#gateway ?? this.#loopSender(host);
    this.#working.push(async () => await sender.stop());
    await sender.start();
    const { keys } = this.#options;
    const intake = this.#intake();
    this.#working.push(async () => await intake.stop());
    await keys.start(intake);
  }

  /** The machine's clock was set: what had been put off by it, as it was before, is due again. */
  async clockSet(): Promise<void> {
    if (this.#mixing === null) return;
    await this.#hasten();
    await this.#resume();
  }

  /**
   * Stops taking work, ends what is at hand; the rest is in the store for the next start. A controller or a
   * mail server that hangs is not waited for: within 13 s it is done.
   */
  async stop(): Promise<void> {
    const [working, closing] = [this.#working, this.#closing.toReversed()];
    this.#working = [];
    this.#closing = [];
    // Keys first: they begin and end collecting.
    await this.#end(async () => await this.#options.keys.stop(), KEYS_MS_MAX);
    await Promise.all(working.map(async (stop) => await this.#end(stop, WORKING_MS_MAX)));
    for (const close of closing) await this.#end(close, CLOSING_MS_MAX);
  }

  async #end(stop: () => Promise<void>, forMs: number): Promise<void> {
    await inTime(stop(), forMs).catch((thrown: unknown) => {
      const error = asPanoramixError(thrown);
      const fields = { event: 'stop-failed', error: error.message };
      this.#options.log.warn(fields, 'A part did not stop');
    });
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

  /**
   * Takes in a bounce that came to the return address of a mail that was delivered here.
   * @returns `bounce-reported`, durable; else why it is dropped
   * @throws PanoramixError `redis-unavailable`: say 451
   */
  async bounced(
    messageId: string,
    recipients: readonly BouncedRecipient[],
  ): Promise<BounceVerdict> {
    if (this.#gateway === null) throw new PanoramixError('unexpected', 'this node takes no mail');
    return await this.#gateway.bounced(messageId, recipients);
  }

  #host(mixing: JobQueue, forwarder: Forwarder): GatewayHost {
    const { random } = this.#options.primitives;
    const emission = new Emission({
      random,
      now: this.#now,
      sent: this.#sent,
      mixing,
      watch: this.#watch,
      counters: this.counters,
    });
    return {
      options: this.#options,
      records: this.#records,
      sent: this.#sent,
      emission,
      isBackedUp: (address: Uint8Array) => forwarder.isBackedUp(address),
      counters: this.counters,
      now: this.#now,
      currentView: () => this.#views.current(),
      viewBy: (directory) => this.#views.by(directory),
    };
  }

  #forwarder(): Forwarder {
    const { primitives, directory, clientFor, log } = this.#options;
    return new Forwarder({
      primitives,
      records: this.#records,
      storageKeys: (owner) => this.#storageKey(owner),
      directory,
      refreshDirectory: this.#refreshDirectory,
      alarm: () => this.#watch.alarm(),
      clientFor,
      counters: this.counters,
      log,
      now: this.#now,
    });
  }

  #loopSender({ emission, isBackedUp, counters, now, currentView: view }: GatewayHost): LoopSender {
    const { primitives, identity } = this.#options;
    const { random } = primitives;
    const me = identity.peerId;
    return new LoopSender({ random, now, me, view, emission, isBackedUp, counters });
  }

  #intake(): Intake {
    const { primitives, store, log, ownController, keys, threads } = this.#options;
    return new Intake({
      primitives,
      store,
      log,
      now: this.#now,
      counters: this.counters,
      client: ownController,
      threads,
      tagsMax: keys.tagsMax,
      records: this.#records,
      sent: this.#sent,
      watch: this.#watch,
      fragments: this.#gateway?.fragments ?? null,
      view: () => this.#views.current(),
      refreshDirectory: this.#refreshDirectory,
      onKept: async (fragmentId) => await this.#gateway?.settle(fragmentId),
      addJobs: async (entries) => await this.#addJobs(entries),
      resume: async () => await this.#resume(),
      onUnknown: () => keys.look(),
    });
  }

  /** Adds the jobs of what has just been committed. */
  async #addJobs(entries: readonly CommitEntry[]): Promise<void> {
    const onward = entries.flatMap(({ endpointId, tag, outcome }) => {
      const packet = outcome.kind === 'fragment' ? outcome.ack : outcome;
      if (packet === null || !('dueMs' in packet)) return [];
      return [{ id: this.#records.recordId(endpointId, tag), dueMs: packet.dueMs }];
    });
    if (onward.length > 0) await this.#mixing?.addMany(onward);
    if (entries.some(({ outcome }) => outcome.kind === 'fragment')) {
      await this.#gateway?.queueDeliveries('new');
    }
  }

  /** Makes due again what a clock that was ahead has put off for longer than anything waits. */
  async #hasten(): Promise<void> {
    const { store } = this.#options;
    const names = (await queueNames(store)).filter((name) => name !== 'delivery');
    await hastenJobs(store, names, this.#now() + PUT_OFF_MS_MAX);
  }

  /** Adds the jobs of all that the store holds; those that are there already stay as they are. */
  async #resume(): Promise<void> {
    let group: { id: string; dueMs: number }[] = [];
    for await (const { recordId, endpointId, dueMs } of this.#records.pending()) {
      if (isOutbound(endpointId)) continue;
      if (this.#storageKey(endpointId) === null) {
        await this.#endKeyless(recordId, dueMs);
        continue;
      }
      group.push({ id: recordId, dueMs });
      if (group.length < RESUME_GROUP) continue;
      await this.#mixing?.addMany(group);
      group = [];
    }
    if (group.length > 0) await this.#mixing?.addMany(group);
    await this.#gateway?.queueDeliveries('all');
  }

  /** A packet of an endpoint that has been replaced: nobody can open it, and nothing else would remove it. */
  async #endKeyless(recordId: string, dueMs: number): Promise<void> {
    if (this.#now() < dueMs + KEYLESS_MS) return;
    await this.#records.remove(recordId);
    this.counters.count('forward-keyless');
  }

  #sweepHourly(): void {
    const sweep = async (): Promise<void> => {
      await this.#hasten();
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

  #storageKey(owner: string): Uint8Array | null {
    if (owner === TICKS_OWNER || isOutbound(owner)) return this.#options.storageKey;
    return this.#options.keys.storageKey(owner);
  }
}
