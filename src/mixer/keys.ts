/**
 * Keeps a node's mix keys (design §6): opens the next endpoint ahead of time, ends those whose time is over,
 * and destroys secret, storage key, replay tags and records of each together. One turn does all that
 * is due, in an order in which it may be killed anywhere: what has no more time is destroyed first,
 * whatever controllers answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Identity } from '../crypto/keys.ts';
import type { GroupName, Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  earlyKey,
  endsMs,
  keyInUse,
  keyState,
  missingKeys,
  shortened,
  shutsMs,
  type KeyLife,
  type KeyTerms,
} from '../mixnet/key-epochs.ts';
import type { Store } from '../redis/embedded.ts';
import { Journal } from '../redis/journal.ts';
import { writeKeyReport } from '../redis/key-report.ts';
import { Records } from '../redis/records.ts';
import { closeStepwise, keepOpen, type EndpointClient } from './endpoint.ts';
import { attemptEach, EndedKeys } from './ended-keys.ts';
import { EndpointFiles, type OwnEndpoint, type OwnPosition } from './endpoint-files.ts';
import { inTime } from './in-time.ts';
import { Rarely } from './rarely.ts';

/** Between two turns: a hundredth of L, */
const TURNS_PER_LIFE = 100;
const TURN_MS_MIN = 100;
/** and often enough for `status`, and for a controller that has lost its endpoints. */
const TURN_MS_MAX = 30_000;
/** While the first endpoint cannot be opened. */
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 5_000;
/** How long a collector may take to stop before its key is destroyed under it. */
const COLLECTOR_MS_MAX = 1_000;
/** How long a stop waits for a controller that hangs: a start puts in order what it cuts off. */
const STOP_MS_MAX = 2_000;

/** Collecting, as far as keys begin and end it. */
export interface Collecting {
  /** Collects for an endpoint from its first message on; one that runs is replaced. */
  begin(endpoint: OwnEndpoint): Promise<void>;
  /** Ends it; resolves when what is at hand is committed. */
  end(endpointId: string): Promise<void>;
  /** The last id that was released; 0 before the first. */
  releasedUpTo(endpointId: string): number;
  /** Told when an endpoint's keys are destroyed, to let go of what it made of them. */
  destroyed(endpointId: string): void;
}

export interface KeysOptions {
  /** The node's own controller, with the node's key. */
  readonly client: EndpointClient;
  readonly identity: Pick<Identity, 'peerId'>;
  readonly primitives: Primitives;
  readonly files: EndpointFiles;
  readonly store: Store;
  readonly journal: Pick<Journal, 'count' | 'destroy' | 'tagsMax'>;
  readonly records: Pick<Records, 'count'>;
  readonly log: Log;
  readonly peerName: string;
  readonly group: GroupName;
  /** What the owners have agreed on, as it is known now. */
  readonly terms: () => KeyTerms;
  /** Unread messages that the controller keeps of one endpoint. */
  readonly sizeMax?: number;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  /** Whether that was compared with any other since the start; until then no key ends by it. Default: yes. */
  readonly isTimeKnown?: () => boolean;
}

/** The keys in a data folder, with what the store holds of them. */
export function createKeys(
  options: Omit<KeysOptions, 'files' | 'journal' | 'records'> & {
    readonly dataDir: string;
    /** Packets that an endpoint can remember; the default is the journal's. */
    readonly tagsMax?: number;
  },
): Keys {
  const { dataDir, primitives, store, tagsMax } = options;
  const files = new EndpointFiles(dataDir, primitives);
  const records = new Records(store, {
    primitives,
    storageKeys: (endpointId) => files.get(endpointId)?.endpoint?.storageKey ?? null,
  });
  const journal = new Journal(store, { records, ...(tagsMax !== undefined && { tagsMax }) });
  return new Keys({ ...options, files, records, journal });
}

/** See the head of this file. */
export class Keys {
  readonly #options: KeysOptions;
  readonly #now: () => number;
  readonly #stopping = new AbortController();
  readonly #rarely = new Rarely();
  /** Endpoints that the controller has, as seen since the start: only these are shown to others. */
  readonly #opened = new Set<string>();
  readonly #collected = new Set<string>();
  /** Those that take no packets any more, before their time and not by our will. */
  readonly #lost = new Set<string>();
  /** Those that have shut and are read to the end; what they took may still wait for its next hop. */
  readonly #drained = new Set<string>();
  readonly #ended: EndedKeys;
  #collecting: Collecting | null = null;
  #running: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;
  #isCalled = false;

  constructor(options: KeysOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#ended = new EndedKeys({
      ...options,
      isOwn: (position) => this.#isOwn(position),
      say: (error) => this.#say(error),
    });
  }

  /** Packets that each endpoint can remember. */
  get tagsMax(): number {
    return this.#options.journal.tagsMax;
  }

  /** Endpoints that are not destroyed and take packets, by the time at which they open: a node's entry. */
  endpoints(): readonly OwnEndpoint[] {
    return this.#own().flatMap(({ endpoint }) =>
      endpoint !== null && this.#opened.has(endpoint.endpointId) ? [endpoint] : [],
    );
  }

  /** What seals the packets of an endpoint; null once it is destroyed. */
  storageKey(endpointId: string): Uint8Array | null {
    return this.#options.files.get(endpointId)?.endpoint?.storageKey ?? null;
  }

  /**
   * Puts the keys in order and resolves when senders could use one. The own controller may start after us,
   * or be away: the node waits for it and says so.
   * @throws PanoramixError what waiting does not mend
   */
  async open(): Promise<void> {
    for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const error = await this.#turn();
      if (keyInUse(this.endpoints(), this.#now()) !== null) return;
      if (error !== null && !error.temporary) throw error;
      await this.#sleep(pauseMs);
      if (this.#stopping.signal.aborted) throw new PanoramixError('unexpected', 'stopped');
    }
  }

  /** Collects for all endpoints from now on, and goes on turning until `stop`. */
  async start(collecting: Collecting): Promise<void> {
    this.#collecting = collecting;
    for (const endpoint of this.endpoints()) await this.#collect(endpoint);
    this.#running = Promise.all([this.#run(), this.#runEnds()]);
  }

  /** Resolves when the turn at hand is done, or a controller hangs in it; collecting goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.look();
    await inTime(this.#running, STOP_MS_MAX);
    await this.#ended.swept();
  }

  /** Takes a turn as soon as possible: the controller has said something unexpected about an endpoint. */
  look(): void {
    this.#isCalled = true;
    this.#wake();
  }

  /**
   * Does all that is due, what takes long included.
   * @returns the first failure, or null
   */
  async turn(): Promise<PanoramixError | null> {
    const first = await this.#turn();
    await this.#ended.swept();
    return (await this.#attemptEach(this.#ended.leavings())) ?? first;
  }

  /** All that is due; tags are removed beside it, for that takes seconds. */
  async #turn(): Promise<PanoramixError | null> {
    const first = await this.#attemptEach([
      async () => await this.#endOverdue(),
      async () => await this.#plan(),
    ]);
    const own = this.#own().map((position) => async () => {
      const isShut = this.#isTimeKnown() && this.#now() >= shutsMs(position);
      const isOver = isShut || this.#lost.has(position.endpointId);
      await (isOver ? this.#drain(position) : this.#keep(position));
    });
    const second = await this.#attemptEach(own);
    this.#ended.sweep();
    const leavings = this.#ended.leavings();
    const third = await this.#attemptEach([...leavings, async () => await this.#report()]);
    return first ?? second ?? third;
  }

  async #attemptEach(parts: readonly (() => Promise<void>)[]): Promise<PanoramixError | null> {
    return await attemptEach(parts, (error) => this.#say(error));
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#turn();
      await this.#sleep(this.#untilTurnMs());
    }
  }

  /** Beside the turns, in which controllers are asked, and may hang: the latest time waits for none. */
  async #runEnds(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#attemptEach([async () => await this.#endOverdue()]);
      await sleep(this.#untilTurnMs(), undefined, { signal }).catch(() => undefined);
    }
  }

  async #endOverdue(): Promise<void> {
    if (!this.#isTimeKnown()) return;
    const nowMs = this.#now();
    const overdue = this.#options.files
      .all()
      .filter((position) => position.endpoint !== null && nowMs >= endsMs(position));
    await Promise.all(overdue.map(async (position) => await this.#end(position, 'late')));
  }

  #isTimeKnown(): boolean {
    return this.#options.isTimeKnown?.() ?? true;
  }

  /** Times by which something must be done are met to the ms; others wait for their turn. */
  #untilTurnMs(): number {
    const nowMs = this.#now();
    const { keyLifetimeMs } = this.#options.terms();
    const turnMs = Math.min(Math.max(keyLifetimeMs / TURNS_PER_LIFE, TURN_MS_MIN), TURN_MS_MAX);
    const due = this.#own()
      .flatMap((position) => [shutsMs(position), endsMs(position)])
      .filter((atMs) => atMs > nowMs)
      .map((atMs) => atMs - nowMs);
    return Math.min(turnMs, ...due);
  }

  /** Cuts lives short that the owners have made shorter, and draws the keys that are missing. */
  async #plan(): Promise<void> {
    const { files, journal, log } = this.#options;
    const terms = this.#options.terms();
    const nowMs = this.#now();
    // A clock that is wrong by days would draw keys for days that are far.
    if (!this.#isTimeKnown() && this.#own().length > 0) return;
    for (const position of this.#own()) {
      const life = shortened(position, nowMs, terms);
      if (life !== position) files.change(position.endpointId, life);
    }
    const own = this.#own();
    const present = keyInUse(own, nowMs);
    const tags = present === null ? 0 : await journal.count(present.endpointId);
    const early = earlyKey(own, nowMs, terms, { tags, tagsMax: journal.tagsMax });
    if (early !== null) {
      const fields = { event: 'key-early', endpoint: present?.endpointId };
      log.warn(fields, 'An endpoint has taken more packets than expected: the next one opens now');
      this.#create(early);
    }
    for (const life of missingKeys(this.#own(), nowMs, terms)) this.#create(life);
  }

  #create(life: KeyLife): void {
    const { files, client, identity, group, log } = this.#options;
    const owner = { peerId: identity.peerId, catalogUrl: client.url, group };
    const { endpointId, opensMs, closesMs } = files.create(owner, life);
    const [opens, closes] = [opensMs, closesMs].map((atMs) => new Date(atMs).toISOString());
    log.info({ event: 'key-created', endpoint: endpointId, opens, closes }, 'A new mix key');
  }

  /** Sees to it that an endpoint is open at the controller and collected. */
  async #keep(position: OwnPosition): Promise<void> {
    const { client, peerName, sizeMax, files, log } = this.#options;
    const { endpointId, endpoint } = position;
    // Before the controller is asked: what it says afterwards is never less, unless it has forgotten.
    const releasedUpTo = this.#collecting?.releasedUpTo(endpointId) ?? 0;
    const node = { peerName, ...(sizeMax !== undefined && { sizeMax }) };
    const result = await keepOpen(client, position, node);
    if (result.kind === 'lost') {
      log.warn(
        { event: 'endpoint-lost', endpoint: endpointId },
        'An endpoint takes no packets any more, and not by our will; the next one is opened',
      );
      this.#opened.delete(endpointId);
      this.#lost.add(endpointId);
      files.change(endpointId, { ...position, closesMs: Math.min(position.closesMs, this.#now()) });
      return;
    }
    if (!this.#isAlive(position)) return;
    const isAnew =
      (result.kind === 'opened' && this.#opened.has(endpointId)) ||
      (result.kind === 'open' && result.lastMessageId < releasedUpTo);
    this.#opened.add(endpointId);
    if (isAnew) {
      log.warn(
        { event: 'endpoint-forgotten', endpoint: endpointId },
        'The own controller had lost an endpoint, which is open again',
      );
      this.#collected.delete(endpointId);
    }
    if (endpoint !== null) await this.#collect(endpoint);
  }

  async #collect(endpoint: OwnEndpoint): Promise<void> {
    if (this.#collecting === null || this.#collected.has(endpoint.endpointId)) return;
    // Ended while a controller was asked.
    if (!this.#isAlive(endpoint)) return;
    await this.#collecting.begin(endpoint);
    this.#collected.add(endpoint.endpointId);
  }

  /** Ends an endpoint that has shut: read to the end, processed, its packets gone; then its key goes. */
  async #drain(position: OwnPosition): Promise<void> {
    const { client, records } = this.#options;
    const { endpointId, endpoint } = position;
    if (endpoint === null) return;
    if (this.#drained.has(endpointId)) {
      if ((await records.count(endpointId)) === 0) await this.#end(position, 'drained');
      return;
    }
    // After a start it is neither shown nor collected yet; what came before its end is still to be read.
    if (!this.#lost.has(endpointId)) this.#opened.add(endpointId);
    await this.#collect(endpoint);
    if ((await closeStepwise(client, position, 'keep')) === 'unread') return;
    await this.#endCollecting(endpointId);
    this.#drained.add(endpointId);
    await this.#drain(position);
  }

  /** Destroys a key: its secrets first, for good, then what they have sealed and what it remembers. */
  async #end(position: OwnPosition, why: 'drained' | 'late'): Promise<void> {
    const { files, log } = this.#options;
    const { endpointId } = position;
    await this.#endCollecting(endpointId);
    if (!this.#isAlive(position)) return;
    files.end(endpointId);
    this.#collecting?.destroyed(endpointId);
    this.#opened.delete(endpointId);
    this.#drained.delete(endpointId);
    this.#lost.delete(endpointId);
    log.info({ event: 'key-destroyed', endpoint: endpointId, why }, 'A mix key is destroyed');
    this.#ended.sweep();
  }

  async #endCollecting(endpointId: string): Promise<void> {
    this.#collected.delete(endpointId);
    // Its request to the controller may hang; the time at which a key ends does not wait for that.
    await inTime(Promise.resolve(this.#collecting?.end(endpointId)), COLLECTOR_MS_MAX);
  }

  #isAlive({ endpointId }: Pick<OwnPosition, 'endpointId'>): boolean {
    return this.storageKey(endpointId) !== null;
  }

  async #report(): Promise<void> {
    const { store, journal } = this.#options;
    const nowMs = this.#now();
    const { tagsMax } = journal;
    const keys = this.endpoints().map(async (endpoint) => {
      const { endpointId, opensMs, closesMs } = endpoint;
      const state = keyState(endpoint, nowMs);
      const tags = await journal.count(endpointId);
      return { endpointId, opensMs, closesMs, endsMs: endsMs(endpoint), state, tags, tagsMax };
    });
    await writeKeyReport(store, await Promise.all(keys));
  }

  /** Positions of this peer on this controller that have their keys; those of another only end. */
  #own(): readonly OwnPosition[] {
    return this.#options.files
      .all()
      .filter((position) => position.endpoint !== null && this.#isOwn(position));
  }

  #isOwn({ peerId, catalogUrl, group }: OwnPosition): boolean {
    const { identity, client } = this.#options;
    return peerId === identity.peerId && catalogUrl === client.url && group === this.#options.group;
  }

  #say(error: PanoramixError): void {
    const { log } = this.#options;
    const fields = { event: 'keys-delayed', reason: error.code, detail: error.message };
    this.#rarely.say(error.code, () => {
      log.warn(fields, 'Mix keys could not be seen to wholly; what is left is tried again');
    });
  }

  /** Not at all where somebody has called since the last one. */
  async #sleep(forMs: number): Promise<void> {
    if (!this.#isCalled) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      const timer = setTimeout(woken.resolve, forMs);
      await woken.promise;
      clearTimeout(timer);
    }
    this.#isCalled = false;
  }
}
