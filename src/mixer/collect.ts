/**
 * Collecting: a long poll on the own INBOX, every packet peeled and judged, committed by commit.ts, and
 * only then released at the controller. Whatever is handed out a second time, by a crash of ours or by
 * a hostile controller, meets its tag. A malformed message is counted and passed over; it never
 * holds up those behind it.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { fromBase64url } from '../bytes.ts';
import type { ControllerClient, InboxMessage } from '../client/controller.ts';
import { asPanoramixError, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  judgeHeader,
  judgePayload,
  type MixDrop,
  type MixView,
  type OpenedHeader,
} from '../mixnet/mix.ts';
import type { CommitEntry, Journal } from '../redis/journal.ts';
import type { Committer, OpenedPacket } from './commit.ts';
import type { Counters } from './counters.ts';
import type { OwnEndpoint } from './endpoint-files.ts';
import type { PeelPool } from './peel-pool.ts';

/** Packets of one commit: one disk write for all of them, at 32 kB each 2 MB in memory. */
const BATCH_PACKETS = 64;
const POLL_MS = 20_000;
/**
 * A batch is released at a multiple of this after it came. To settle a fragment, and to queue a delivery, is
 * a write or two more than cover takes; the controller, and who watches the link to it, would see which
 * packets were mail by how late they are released. On a quiet machine all of it takes 10 to 20 ms.
 */
const RELEASE_STEP_MS = 100;
/** First pause after a failure, doubled up to the longest. */
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 10_000;

export interface CollectorOptions {
  readonly endpoint: OwnEndpoint;
  readonly client: Pick<ControllerClient, 'listMessages' | 'releaseMessages'>;
  readonly journal: Pick<Journal, 'has'>;
  readonly committer: Pick<Committer, 'commit'>;
  readonly pool: Pick<PeelPool, 'peelHeaders' | 'peelPayloads'>;
  readonly counters: Counters;
  readonly log: Log;
  /** Clock, ms since 1970. */
  readonly now: () => number;
  /** By what packets are judged now; null while there is no directory, and then nothing is collected. */
  readonly view: () => MixView | null;
  /** Looks for a newer directory, at most every few seconds however often it is asked. */
  readonly refreshDirectory: () => Promise<unknown>;
  /** Adds the jobs that committed entries ask for; done before their messages are released. */
  readonly addJobs: (entries: readonly CommitEntry[]) => Promise<void>;
  /** Adds the jobs of all that is committed: after a start, and after `addJobs` has failed. */
  readonly resume: () => Promise<void>;
  /** Told when the controller does not know the endpoint (any more). */
  readonly onUnknown: () => void;
}

/** A packet that is not dropped yet, and where it stands. */
type Candidate = OpenedHeader | MixDrop;

export class Collector {
  readonly #options: CollectorOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #after: number | undefined;
  #isResumed = false;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Waits until the batch at hand is committed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** The last id that was released; 0 before the first. */
  releasedUpTo(): number {
    return this.#after ?? 0;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { log } = this.#options;
    let pauseMs = PAUSE_MS;
    // Said once, however long it lasts.
    let failing: ErrorCode | null = null;
    while (!signal.aborted) {
      try {
        const worked = await this.#round();
        if (failing !== null) log.info({ event: 'collect-resumed' }, 'Collecting goes on');
        failing = null;
        pauseMs = PAUSE_MS;
        if (!worked) await this.#pause(PAUSE_MS);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asPanoramixError(thrown);
        if (error.code === 'endpoint-unknown') this.#options.onUnknown();
        if (error.code !== failing) {
          log.warn(
            { event: 'collect-failed', reason: error.code, error: error.message },
            'Collecting failed and is tried again',
          );
        }
        failing = error.code;
        await this.#pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
      }
    }
  }

  /** False where there was a reason not to poll. */
  async #round(): Promise<boolean> {
    const { client, endpoint } = this.#options;
    if (this.#options.view() === null) return false;
    if (!this.#isResumed) {
      await this.#options.resume();
      this.#isResumed = true;
    }
    const messages = await client.listMessages({
      endpointId: endpoint.endpointId,
      box: 'INBOX',
      limit: BATCH_PACKETS,
      waitMs: POLL_MS,
      signal: this.#stopping.signal,
      ...(this.#after === undefined ? {} : { after: this.#after }),
    });
    if (messages.length > 0) await this.#take(messages);
    return true;
  }

  async #take(messages: readonly InboxMessage[]): Promise<void> {
    const { client, endpoint, committer, addJobs } = this.#options;
    const cameMs = performance.now();
    const opened = await this.#open(messages);
    if (opened.length > 0) {
      // From here to the end of addJobs a failure leaves records without jobs.
      this.#isResumed = false;
      await addJobs(await committer.commit(this.#view(), opened));
      this.#isResumed = true;
    }
    // A full batch has others behind it, and its sum hides what each of 64 took.
    if (messages.length < BATCH_PACKETS) await this.#pause(untilStepMs(performance.now() - cameMs));
    const upTo = Math.max(...messages.map(({ id }) => id));
    await client.releaseMessages({ endpointId: endpoint.endpointId, box: 'INBOX', upTo });
    this.#after = Math.max(upTo, this.#after ?? 0);
  }

  /** Peels and judges a batch; what is dropped before it has a tag gets none. */
  async #open(messages: readonly InboxMessage[]): Promise<readonly OpenedPacket[]> {
    const { pool, endpoint, counters } = this.#options;
    const view = this.#view();
    const packets = messages.flatMap(({ text }) => {
      const packet = packetOf(text, view.sphinx.packetBytes);
      if (packet === null) counters.count('packet-length');
      return packet === null ? [] : [packet];
    });
    const { params } = view.sphinx;
    const { secret } = endpoint.mixKey;
    const headers = await pool.peelHeaders({ params, secret, packets });
    const judged = await this.#judge(
      headers.map((header) => () => judgeHeader(this.#view(), header)),
    );
    for (const header of judged) if (header.kind === 'drop') counters.count(header.reason);
    const opened = await this.#unseen(judged.filter((header) => header.kind === 'header'));
    const payloads = await pool.peelPayloads({
      params,
      headers: opened.map(({ header }) => header),
    });
    const arrivedMs = this.#options.now();
    return payloads.map((payload, i) => ({
      tag: (opened[i] as OpenedHeader).header.tag,
      outcome: judgePayload(view, payload, arrivedMs),
    }));
  }

  /** Judges headers; where a next hop is unknown, once more after a look for a newer directory. */
  async #judge(judgements: readonly (() => Candidate)[]): Promise<readonly Candidate[]> {
    const judged = judgements.map((judge) => judge());
    const unknown = judged.some((one) => one.kind === 'drop' && one.reason === 'unknown-next-hop');
    if (!unknown) return judged;
    await this.#options.refreshDirectory();
    return judgements.map((judge) => judge());
  }

  /** Those whose tags are new: no body is peeled twice. The commit decides, this only saves work. */
  async #unseen(opened: readonly OpenedHeader[]): Promise<readonly OpenedHeader[]> {
    const { journal, endpoint, counters } = this.#options;
    // After a failure tags may be committed without our knowing it: then the commit sorts it out.
    if (!this.#isResumed) return opened;
    const seen = await Promise.all(
      opened.map(async ({ header }) => await journal.has(endpoint.endpointId, header.tag)),
    );
    for (const wasSeen of seen) if (wasSeen) counters.count('replayed');
    return opened.filter((_, i) => seen[i] !== true);
  }

  #view(): MixView {
    const view = this.#options.view();
    if (view === null) throw new Error('the directory expired while a batch was opened');
    return view;
  }

  async #pause(forMs: number): Promise<void> {
    await wait(forMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}

function untilStepMs(tookMs: number): number {
  return Math.ceil(Math.ceil(tookMs / RELEASE_STEP_MS) * RELEASE_STEP_MS - tookMs);
}

/** The packet in a message's text; null where it is not exactly one in base64url. */
function packetOf(text: string, packetBytes: number): Uint8Array | null {
  // Looked at before anything is decoded: a hostile controller may hand out megabytes.
  if (text.length !== Math.ceil((packetBytes * 4) / 3)) return null;
  const packet = fromBase64url(text);
  return packet?.length === packetBytes ? packet : null;
}
