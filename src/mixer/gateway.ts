/**
 * What a gateway has and a mix has not: mail in (accept, cut, wait for a tick, leave) and mail out
 * (complete messages, their exit delay, delivery). node.ts puts it beside collecting and forwarding.
 */
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { BouncedRecipient } from '../mail/bounce.ts';
import type { Deliver, MixedMail } from '../mail/envelope.ts';
import { drawDelayMs } from '../mixnet/delay.ts';
import type { Directory } from '../mixnet/directory.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import type { MixView } from '../mixnet/mix.ts';
import type { Store } from '../redis/embedded.ts';
import { FragmentStore } from '../redis/fragment-store.ts';
import { MailStore } from '../redis/mail-store.ts';
import { openQueue, openWorker, type JobQueue, type JobWorker } from '../redis/queues.ts';
import type { Records } from '../redis/records.ts';
import type { SentStore } from '../redis/sent-store.ts';
import { acceptMail } from './accept.ts';
import type { Counters } from './counters.ts';
import { Deliverer } from './deliver.ts';
import { DeliveryProgress } from './delivery-progress.ts';
import type { DirectorySource } from './directory-source.ts';
import type { Emission } from './emission.ts';
import { FragmentQueues } from './fragment-queues.ts';
import type { BounceVerdict } from './bounces.ts';
import { Outbound } from './outbound.ts';
import { ReadyPackets } from './ready.ts';
import { Reporting, type ReportingSettings } from './reporting.ts';
import { Ticker } from './ticks.ts';

/** Mean wait between the last fragment and delivery (design: mail). */
const EXIT_DELAY_MEAN_MS = 20_000;
/** The delivery itself ends an expired message first, with an outcome; a sweep removes incomplete ones. */
const EXPIRY_GRACE_MS = 3_600_000;
/** Longer than a delivery pauses between two attempts, and than any draw of the exit delay: e⁻⁴⁰. */
const WAIT_MS_MAX = 600_000;
const WAIT_MEANS_MAX = 40;
/** How long a stop waits for a mail server that hangs: what it takes after all may come twice. */
const WORKERS_MS_MAX = 9_000;
/** How long a mail waits for the first directory before its job looks again. */
const NO_DIRECTORY_MS = 1000;

/** What makes a node a gateway. */
export interface GatewayOptions {
  /** Gives an arrived mail to the mail server. */
  readonly deliver: Deliver;
  /** Domains delivered to besides those that the directory gives to this node. */
  readonly acceptsDomain?: (domain: string) => boolean;
  /** Default 20 s. */
  readonly exitDelayMeanMs?: number;
  /** How senders are told what became of their mail. */
  readonly reporting?: ReportingSettings;
}

/** What every part of a node works with. */
export interface NodeParts {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly store: Store;
  readonly log: Log;
  readonly directory: DirectorySource;
  /** The node's own key for what outlives endpoints: mail, messages, own packets; 32 bytes, a file. */
  readonly storageKey: Uint8Array;
}

/** What the node around it has. */
export interface GatewayHost {
  readonly options: NodeParts;
  readonly records: Records;
  readonly sent: SentStore;
  readonly emission: Emission;
  /** Whether a next hop takes nothing and enough of our own packets wait for it. */
  readonly isBackedUp: (address: Uint8Array) => boolean;
  readonly counters: Counters;
  readonly now: () => number;
  /** By what packets are judged and built now; null while no directory holds. */
  readonly currentView: () => MixView | null;
  readonly viewBy: (directory: Directory) => MixView;
}

export class Gateway {
  readonly fragments: FragmentStore;
  readonly #host: GatewayHost;
  readonly #settings: GatewayOptions;
  readonly #mails: MailStore;
  readonly #delivery: JobQueue;
  readonly #outbound: Outbound;
  readonly #ready: ReadyPackets;
  readonly #ticker: Ticker;
  readonly #queues: FragmentQueues;
  readonly #reporting: Reporting;
  #workers: JobWorker[] = [];
  /** Complete messages that have their job: a backlog is not added again with each packet. */
  #queued: ReadonlySet<string> = new Set();

  private constructor(
    host: GatewayHost,
    settings: GatewayOptions,
    mails: MailStore,
    delivery: JobQueue,
  ) {
    const { options, records, sent, emission, isBackedUp, counters, now } = host;
    const { store, primitives, storageKey, identity, log } = options;
    const { random } = primitives;
    const view = host.currentView;
    this.#host = host;
    this.#settings = settings;
    this.#mails = mails;
    this.#delivery = delivery;
    this.fragments = new FragmentStore(store, { primitives, storageKey });
    this.#queues = new FragmentQueues(store);
    const queues = this.#queues;
    const outbound = new Outbound({
      queues,
      records,
      sent,
      primitives,
      onExpired: async (messageId) => await this.#reporting.notices.expired(messageId),
      counters,
      log,
      now,
    });
    this.#reporting = new Reporting(host, settings.reporting ?? {}, {
      mails,
      outbound,
      deliver: settings.deliver,
      accept: async (mail) => await this.accept(mail),
    });
    const ready = new ReadyPackets({ random, now, me: identity.peerId, view, outbound });
    outbound.onQueued = (exit) => void ready.fill(exit).catch(() => undefined);
    const parts = { random, now, view, ready, emission, outbound, isBackedUp, counters, log };
    this.#ticker = new Ticker(parts);
    this.#outbound = outbound;
    this.#ready = ready;
  }

  /** @throws PanoramixError `redis-unavailable` */
  static async open(host: GatewayHost, settings: GatewayOptions): Promise<Gateway> {
    const { store, primitives, storageKey } = host.options;
    const mails = await MailStore.open(store, { primitives, storageKey });
    return new Gateway(host, settings, mails, await openQueue(store, 'delivery'));
  }

  /** Starts preparing, delivering and ticking; after what was left has been resumed. */
  async start(): Promise<void> {
    const { options, counters, now } = this.#host;
    const { store, primitives, storageKey, identity, directory, log } = options;
    const deliverer = new Deliverer({
      primitives,
      counters,
      log,
      now,
      me: identity.peerId,
      fragments: this.fragments,
      progress: new DeliveryProgress(store, { primitives, storageKey }),
      directory,
      deliver: this.#settings.deliver,
      failures: this.#reporting.failures,
      bounces: this.#reporting.bounces,
      delayWarningMs: this.#reporting.delayWarningMs,
      acceptsDomain: this.#settings.acceptsDomain ?? (() => false),
    });
    this.#workers = [
      await openWorker(store, 'delivery', async (job) => await deliverer.work(job)),
      await openWorker(store, 'mail', async ({ id }) => await this.#prepare(id)),
    ];
    this.#ticker.start();
    this.#reporting.start();
  }

  async stop(): Promise<void> {
    // At once: a delivery that the mail server has half of has all the time that there is.
    const working = this.#workers.map(async (worker) => await worker.close(WORKERS_MS_MAX));
    await this.#ticker.stop();
    await this.#ready.close();
    await this.#reporting.stop();
    await Promise.all(working);
    await this.#queues.close();
    await this.#delivery.close();
  }

  /** Takes in the part of a mail that goes to one exit; see `acceptMail`. */
  async accept(mail: MixedMail): Promise<'stored' | 'repeat'> {
    const { options, now, counters, viewBy } = this.#host;
    const { identity, primitives, directory, store } = options;
    const geometryOf = (held: Directory): Geometry => viewBy(held).geometry;
    if (store.pressure() !== 'open') {
      throw new PanoramixError('storage-pressure', 'entry is closed until there is room again');
    }
    const { messageId, from, data } = mail;
    const { backlog } = this.#outbound;
    if (backlog.isOver(from, data.length, store.roomBytes())) {
      throw new PanoramixError('sender-backlog', 'more of one sender waits than there is room for');
    }
    const mails = this.#mails;
    const { notices } = this.#reporting;
    const parts = { identity, primitives, mails, notices, directory, geometryOf, now };
    let result: 'stored' | 'repeat' | null = null;
    // Before it is stored: its cutting may begin before we hear of it.
    backlog.add(messageId, from, data.length);
    try {
      result = await acceptMail(parts, mail);
    } finally {
      if (result !== 'stored') backlog.gone(messageId);
    }
    counters.count(`mail-${result}`);
    return result;
  }

  /** A bounce has come to the return address of a mail that was delivered here. */
  async bounced(
    messageId: string,
    recipients: readonly BouncedRecipient[],
  ): Promise<BounceVerdict> {
    return await this.#reporting.bounced(messageId, recipients);
  }

  /** A fragment of ours is with its exit for good, and its record gone: it is not sent again. */
  async settle(fragmentId: string): Promise<void> {
    await this.#outbound.settle(fragmentId);
    await this.#ready.forget(fragmentId);
  }

  /**
   * Gives each complete message its job, after an exponential time; one that has its job keeps it, unless a
   * clock that was ahead has made it wait for longer than anything does, when the mail would have expired.
   */
  async queueDeliveries(which: 'new' | 'all'): Promise<void> {
    const { options, now } = this.#host;
    const meanMs = this.#settings.exitDelayMeanMs ?? EXIT_DELAY_MEAN_MS;
    const complete = await this.fragments.complete();
    if (which === 'all') {
      const latestMs = now() + WAIT_MS_MAX + WAIT_MEANS_MAX * meanMs;
      for (const id of await this.#delivery.dueAfter(latestMs)) await this.#delivery.remove(id);
    }
    const wanted = which === 'all' ? complete : complete.filter((id) => !this.#queued.has(id));
    const jobs = wanted.map((id) => {
      return { id, dueMs: now() + drawDelayMs(options.primitives.random, meanMs) };
    });
    if (jobs.length > 0) await this.#delivery.addMany(jobs);
    this.#queued = new Set(complete);
  }

  /**
   * Puts right what a crash left between two steps, and ends what has expired: not while no directory holds,
   * for by a clock that is wrong by days neither would it, and all mail under way would have expired.
   */
  async sweep(): Promise<void> {
    const { counters, now, options, viewBy } = this.#host;
    await this.#mails.sweep();
    const held = options.directory.current();
    const directory = held.ok ? held.directory : null;
    const left = directory && {
      has: (exit: string) => !isGateway(directory, exit),
      geometry: viewBy(directory).geometry,
    };
    await this.#outbound.resume(left);
    if (directory === null) return;
    const expired = await this.fragments.expire(now() - EXPIRY_GRACE_MS);
    if (expired.length === 0) return;
    counters.count('message-expired', expired.length);
    const fields = { event: 'messages-expired', messages: expired.length };
    options.log.warn(fields, 'Messages expired before all of their fragments had come');
  }

  async #prepare(messageId: string): Promise<{ readonly againAtMs: number } | void> {
    const { options, viewBy, now } = this.#host;
    // Its parameters say how long a fragment is; a node that never saw a directory cannot cut mail.
    const directory = options.directory.last();
    if (directory === null) return { againAtMs: now() + NO_DIRECTORY_MS };
    await this.#outbound.prepare(this.#mails, messageId, viewBy(directory).geometry);
    return undefined;
  }
}

function isGateway({ nodes }: Directory, peerId: string): boolean {
  return nodes.some((node) => node.peerId === peerId && node.roles.includes('gateway'));
}
