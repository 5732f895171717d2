/**
 * All that stands between the own INBOX and the store, for each open endpoint of a node: collecting,
 * peeling, taking replies, answering, committing. keys.ts says when an endpoint's collecting begins and ends.
 */
import type { ControllerClient } from '../client/controller.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Log } from '../log.ts';
import type { MixView } from '../mixnet/mix.ts';
import type { Store } from '../redis/embedded.ts';
import type { FragmentStore } from '../redis/fragment-store.ts';
import { Journal, type CommitEntry } from '../redis/journal.ts';
import type { Records } from '../redis/records.ts';
import type { SentStore } from '../redis/sent-store.ts';
import { Acks } from './acks.ts';
import { Collector } from './collect.ts';
import { Committer } from './commit.ts';
import type { Counters } from './counters.ts';
import type { OwnEndpoint } from './endpoint-files.ts';
import type { Collecting } from './keys.ts';
import type { LoopWatch } from './loop-watch.ts';
import { PeelPool } from './peel-pool.ts';
import { Rarely } from './rarely.ts';
import { Returns } from './returns.ts';

export interface IntakeOptions {
  readonly primitives: Primitives;
  readonly store: Store;
  readonly log: Log;
  readonly now: () => number;
  readonly counters: Counters;
  readonly client: Pick<ControllerClient, 'listMessages' | 'releaseMessages'>;
  /** Threads that peel packets. */
  readonly threads: number | undefined;
  /** Packets that each endpoint can remember. */
  readonly tagsMax: number;
  readonly records: Records;
  readonly sent: SentStore;
  readonly watch: LoopWatch;
  /** Null where no mail ends here. */
  readonly fragments: FragmentStore | null;
  readonly view: () => MixView | null;
  readonly refreshDirectory: () => Promise<unknown>;
  /** Told of an own fragment that its exit has for good. */
  readonly onKept: (fragmentId: string) => Promise<void>;
  readonly addJobs: (entries: readonly CommitEntry[]) => Promise<void>;
  readonly resume: () => Promise<void>;
  /** Told when the controller does not know an endpoint (any more). */
  readonly onUnknown: () => void;
}

export class Intake implements Collecting {
  readonly #options: IntakeOptions;
  readonly #pool: PeelPool;
  readonly #journal: Journal;
  readonly #acks: Acks;
  readonly #returns: Returns;
  readonly #collectors = new Map<string, Collector>();
  readonly #rarely = new Rarely();

  constructor(options: IntakeOptions) {
    const { store, records, sent, watch, fragments, now, onKept, tagsMax } = options;
    this.#options = options;
    this.#pool = new PeelPool(options.threads);
    this.#journal = new Journal(store, {
      records,
      ...(fragments && { fragments }),
      tagsMax,
      now,
    });
    this.#returns = new Returns({ pool: this.#pool, sent, watch, onKept });
    this.#acks = this.#createAcks();
  }

  async begin(endpoint: OwnEndpoint): Promise<void> {
    await this.end(endpoint.endpointId);
    const collector = this.#createCollector(endpoint);
    this.#collectors.set(endpoint.endpointId, collector);
    collector.start();
  }

  async end(endpointId: string): Promise<void> {
    const collector = this.#collectors.get(endpointId);
    this.#collectors.delete(endpointId);
    await collector?.stop();
  }

  releasedUpTo(endpointId: string): number {
    return this.#collectors.get(endpointId)?.releasedUpTo() ?? 0;
  }

  destroyed(endpointId: string): void {
    this.#options.records.forget(endpointId);
  }

  /** Waits until what is at hand is committed. */
  async stop(): Promise<void> {
    const ids = [...this.#collectors.keys()];
    await Promise.all(ids.map(async (endpointId) => await this.end(endpointId)));
    await this.#pool.close();
  }

  #createAcks(): Acks {
    const { primitives, counters, now, view, refreshDirectory } = this.#options;
    return new Acks({
      pool: this.#pool,
      random: primitives.random,
      counters,
      now,
      refreshedView: async () => {
        await refreshDirectory();
        return view();
      },
    });
  }

  #createCollector(endpoint: OwnEndpoint): Collector {
    const { client, counters, log, now, view, refreshDirectory, addJobs, resume, onUnknown } =
      this.#options;
    return new Collector({
      endpoint,
      client,
      journal: this.#journal,
      committer: this.#createCommitter(endpoint),
      pool: this.#pool,
      counters,
      log,
      now,
      view,
      refreshDirectory,
      addJobs,
      resume,
      onUnknown,
    });
  }

  #createCommitter({ endpointId }: OwnEndpoint): Committer {
    const { counters, log, store, records } = this.#options;
    return new Committer({
      endpointId,
      journal: this.#journal,
      acks: this.#acks,
      returns: this.#returns,
      counters,
      waiting: async () => await records.count(endpointId),
      isFull: () => store.pressure() === 'settle-only',
      onJournalFull: () =>
        this.#rarely.say('journal-full', () => {
          // Nothing passes through this endpoint any more, so it is said again and again.
          const fields = { event: 'journal-full', endpoint: endpointId };
          log.error(fields, 'The endpoint remembers as many packets as it can and drops new ones');
        }),
    });
  }
}
