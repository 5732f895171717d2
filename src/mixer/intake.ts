/**
 * All that stands between the own INBOX and the store, for each open endpoint of a node: collecting,
 * peeling, taking replies, answering, committing.
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
import type { OwnEndpoint } from './endpoint.ts';
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
  readonly endpoints: readonly OwnEndpoint[];
  /** Threads that peel packets. */
  readonly threads: number | undefined;
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
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #pool: PeelPool;
  readonly #collectors: readonly Collector[];
  readonly #rarely = new Rarely();

  constructor(options: IntakeOptions) {
    const { store, records, sent, watch, fragments, now, onKept } = options;
    this.#options = options;
    this.#pool = new PeelPool(options.threads);
    const journal = new Journal(store, { records, ...(fragments && { fragments }), now });
    const returns = new Returns({ pool: this.#pool, sent, watch, onKept });
    const acks = this.#acks();
    this.#collectors = options.endpoints.map((endpoint) =>
      this.#collector(endpoint, journal, acks, returns),
    );
  }

  start(): void {
    for (const collector of this.#collectors) collector.start();
  }

  /** Waits until what is at hand is committed. */
  async stop(): Promise<void> {
    await Promise.all(this.#collectors.map(async (collector) => await collector.stop()));
    await this.#pool.close();
  }

  #acks(): Acks {
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

  #collector(endpoint: OwnEndpoint, journal: Journal, acks: Acks, returns: Returns): Collector {
    const { client, counters, log, now, view, refreshDirectory, addJobs, resume, store, records } =
      this.#options;
    const { endpointId } = endpoint;
    const committer = new Committer({
      endpointId,
      journal,
      acks,
      returns,
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
    return new Collector({
      endpoint,
      client,
      journal,
      committer,
      pool: this.#pool,
      counters,
      log,
      now,
      view,
      refreshDirectory,
      addJobs,
      resume,
    });
  }
}
