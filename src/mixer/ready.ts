/**
 * Packets ready for their tick: for each exit some that carry the oldest fragments waiting, and some
 * that carry nothing. Built between ticks, so that a tick takes the same time whichever it takes,
 * and so late that their routes are of the present directory.
 */
import type { Random } from '../crypto/primitives.ts';
import { openEndpoint, type Directory } from '../mixnet/directory.ts';
import type { Fragment } from '../mixnet/fragment.ts';
import type { MixView } from '../mixnet/mix.ts';
import { prepareCover, prepareFragment, type PreparedPacket } from '../mixnet/prepare.ts';
import type { JobTaker, TakenJob } from '../redis/taker.ts';

/**
 * How many of each are ready for one exit. Filling takes some 10 ms beside a synced disk; at 40 ticks a
 * second for one exit, more than 4 of them fall into that time once in 16 000 ticks.
 */
const COVER_READY = 4;
const FRAGMENTS_READY = 4;

/** A route must stay open for so long after its packet was built, or a new one is drawn. */
const FRESH_MS = 60_000;

/** Of a packet that is to be built again: by no snapshot is it fresh. */
const NO_SNAPSHOT = '';

type Packet = Extract<PreparedPacket, { kind: 'packet' }>;

/** A packet ready to go. */
export interface ReadyPacket {
  readonly packet: Packet;
  /** The job and fragment that it carries; null for cover. */
  readonly carried: { readonly job: TakenJob; readonly fragment: Fragment } | null;
  /** By which snapshot its route was drawn. */
  readonly snapshotHash: string;
}

export interface ReadyOptions {
  readonly random: Random;
  readonly now: () => number;
  /** Own peer id. */
  readonly me: string;
  readonly view: () => MixView | null;
  readonly takerFor: (exit: string) => Promise<JobTaker>;
  /** The fragment of an outbound job; null where it is gone. */
  readonly load: (id: string) => Promise<Fragment | null>;
  /** Lets go of a job whose fragment is gone or has expired. */
  readonly discard: (job: TakenJob, fragment: Fragment | null) => Promise<void>;
}

/** What is ready for one exit, oldest first. */
interface Shelf {
  readonly fragment: ReadyPacket[];
  readonly cover: ReadyPacket[];
  filling: Promise<void> | null;
  /** Something was queued, or taken, while the shelf was being filled. */
  again: boolean;
}

export class ReadyPackets {
  readonly #options: ReadyOptions;
  readonly #shelves = new Map<string, Shelf>();
  #isClosed = false;

  constructor(options: ReadyOptions) {
    this.#options = options;
  }

  /** Whether a fragment for the exit is ready. */
  isWaiting(exit: string): boolean {
    const [oldest] = this.#shelf(exit).fragment;
    return oldest !== undefined && this.#isFresh(oldest);
  }

  /** Takes what is ready, null where nothing is; fill again afterwards. */
  take(exit: string, kind: 'fragment' | 'cover'): ReadyPacket | null {
    const shelf = this.#shelf(exit)[kind];
    const [oldest] = shelf;
    if (oldest === undefined || !this.#isFresh(oldest)) return null;
    shelf.shift();
    return oldest;
  }

  /** Puts a packet back that could not be handed on; for another route, `fill` builds it again. */
  putBack(exit: string, ready: ReadyPacket, route: 'same-route' | 'other-route'): void {
    if (ready.carried === null) return;
    const snapshotHash = route === 'same-route' ? ready.snapshotHash : NO_SNAPSHOT;
    this.#shelf(exit).fragment.unshift({ ...ready, snapshotHash });
  }

  /** Fills every gateway's shelf. */
  async fillAll(): Promise<void> {
    const view = this.#options.view();
    if (view === null) return;
    const { nodes } = view.directory;
    for (const { peerId } of nodes.filter((node) => node.roles.includes('gateway')))
      await this.fill(peerId);
  }

  /** Builds what is missing or out of date for one exit. Throws only where Redis fails. */
  async fill(exit: string): Promise<void> {
    const shelf = this.#shelf(exit);
    if (shelf.filling !== null) {
      shelf.again = true;
      await shelf.filling;
      return;
    }
    shelf.filling = this.#fill(exit, shelf);
    try {
      await shelf.filling;
    } finally {
      shelf.filling = null;
    }
  }

  /** Gives back what it holds, so that the next start finds it at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const shelf of this.#shelves.values()) {
      await shelf.filling?.catch(() => undefined);
      // The oldest last: each goes back to the front of its queue.
      for (const { carried } of shelf.fragment.toReversed()) {
        await carried?.job.giveBack().catch(() => undefined);
      }
    }
    this.#shelves.clear();
  }

  async #fill(exit: string, shelf: Shelf): Promise<void> {
    do {
      shelf.again = false;
      const view = this.#options.view();
      if (view === null || this.#isClosed) return;
      this.#fillCover(view, exit, shelf.cover);
      await this.#fillFragments(view, exit, shelf.fragment);
    } while (shelf.again);
  }

  #fillCover(view: MixView, exit: string, ready: ReadyPacket[]): void {
    const fresh = ready.filter((one) => this.#isFresh(one));
    while (fresh.length < COVER_READY) {
      const query = this.#query(view.directory, exit);
      const packet = prepareCover(view.sphinx, view.geometry, this.#options.random, query);
      if (packet.kind === 'none') break;
      fresh.push({ packet, carried: null, snapshotHash: view.directory.snapshotHash });
    }
    ready.splice(0, ready.length, ...fresh);
  }

  async #fillFragments(view: MixView, exit: string, ready: ReadyPacket[]): Promise<void> {
    const isExpired = ({ carried }: ReadyPacket): boolean =>
      carried !== null && carried.fragment.expiryMs <= this.#options.now();
    for (const expired of ready.filter(isExpired)) {
      ready.splice(ready.indexOf(expired), 1);
      const { carried } = expired;
      if (carried !== null) await this.#options.discard(carried.job, carried.fragment);
    }
    for (const [place, one] of ready.entries()) {
      if (!this.#isFresh(one)) ready[place] = this.#rebuild(view, exit, one);
    }
    while (ready.length < FRAGMENTS_READY) {
      const next = await this.#takeNext(view, exit);
      if (next === null) return;
      ready.push(next);
    }
  }

  async #takeNext(view: MixView, exit: string): Promise<ReadyPacket | null> {
    const taker = await this.#options.takerFor(exit);
    for (;;) {
      const job = await taker.take();
      if (job === null) return null;
      const fragment = await this.#load(job);
      if (fragment !== null && fragment.expiryMs > this.#options.now()) {
        const ready = this.#packet(view, exit, { job, fragment });
        if (ready === null) await job.giveBack();
        return ready;
      }
      await this.#options.discard(job, fragment);
    }
  }

  /** What a job carries; where Redis fails, the job does not stay with us, taken and forgotten. */
  async #load(job: TakenJob): Promise<Fragment | null> {
    try {
      return await this.#options.load(job.id);
    } catch (thrown) {
      await job.giveBack().catch(() => undefined);
      throw thrown;
    }
  }

  /** The same fragment on a route of the present directory; the old packet stays where there is none. */
  #rebuild(view: MixView, exit: string, old: ReadyPacket): ReadyPacket {
    return (old.carried && this.#packet(view, exit, old.carried)) ?? old;
  }

  #packet(
    view: MixView,
    exit: string,
    carried: { readonly job: TakenJob; readonly fragment: Fragment },
  ): ReadyPacket | null {
    const { random } = this.#options;
    const query = this.#query(view.directory, exit);
    const packet = prepareFragment(view.sphinx, view.geometry, random, query, carried.fragment);
    if (packet.kind === 'none') return null;
    return { packet, carried, snapshotHash: view.directory.snapshotHash };
  }

  #query(directory: Directory, exit: string) {
    return { directory, entry: this.#options.me, exit, nowMs: this.#options.now() };
  }

  #isFresh({ packet, snapshotHash, carried }: ReadyPacket): boolean {
    const view = this.#options.view();
    const nowMs = this.#options.now();
    return (
      view !== null &&
      view.directory.snapshotHash === snapshotHash &&
      openEndpoint(packet.first.node, nowMs) !== null &&
      packet.freshUntilMs > nowMs + FRESH_MS &&
      (carried === null || carried.fragment.expiryMs > nowMs)
    );
  }

  #shelf(exit: string): Shelf {
    const known = this.#shelves.get(exit);
    if (known !== undefined) return known;
    const shelf: Shelf = { fragment: [], cover: [], filling: null, again: false };
    this.#shelves.set(exit, shelf);
    return shelf;
  }
}
