/**
 * Packets ready for their tick: for each exit some that carry the oldest fragments waiting, and some
 * that carry nothing. Built between ticks, so that a tick takes the same time whichever it takes,
 * and so late that their routes are of the present directory.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { toHex } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { freshMarginMs } from '../mixnet/key-epochs.ts';
import type { MixView } from '../mixnet/mix.ts';
import { prepareCover, prepareFragment, type PreparedPacket } from '../mixnet/prepare.ts';
import type { OwnPacket } from './emission.ts';
import type { SendKind } from './fragment-queues.ts';
import type { Outbound, TakenFragment } from './outbound.ts';
import { afterTaking, decideSendKind, NO_SENDS, type ResendShare } from './resend-share.ts';

/**
 * How many of each are ready for one exit. Filling begins 25 ms after a tick (ticks.ts) and takes some 10
 * beside a synced disk; at 20 ticks a second for one exit, more than 6 fall into that time once in
 * 110 000 ticks.
 */
const READY = 6;

/** Of a packet that is to be built again: by no snapshot is it fresh. */
const NO_SNAPSHOT = '';

/** A packet ready to go. */
export interface ReadyPacket extends OwnPacket {
  /** The fragment that it carries; null for cover. */
  readonly taken: TakenFragment | null;
  /** By which snapshot its route was drawn. */
  readonly snapshotHash: string;
}

export interface ReadyOptions {
  readonly random: Random;
  readonly now: () => number;
  /** Own peer id. */
  readonly me: string;
  readonly view: () => MixView | null;
  readonly outbound: Pick<Outbound, 'take' | 'discard' | 'expire'>;
}

/** What is ready for one exit, oldest first. */
interface Shelf {
  readonly ready: Readonly<Record<SendKind | 'cover', ReadyPacket[]>>;
  share: ResendShare;
  readonly cover: Filling;
  readonly fragments: Filling;
}

/** One half of a shelf, filled by one at a time. */
interface Filling {
  running: Promise<void> | null;
  /** Something was queued, or taken, while it was being filled. */
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
    return this.#next(this.#shelf(exit)) !== null;
  }

  /** Takes what is ready, null where nothing is; fill again afterwards. */
  take(exit: string, kind: 'fragment' | 'cover'): ReadyPacket | null {
    const shelf = this.#shelf(exit);
    if (kind === 'cover') return this.#isReady(shelf, 'cover') ? shift(shelf.ready.cover) : null;
    const next = this.#next(shelf);
    if (next === null) return null;
    shelf.share = afterTaking(shelf.share, next);
    return shift(shelf.ready[next]);
  }

  /** Puts a packet back that could not be handed on; for another route, `fill` builds it again. */
  putBack(exit: string, ready: ReadyPacket, route: 'same-route' | 'other-route'): void {
    const kind = ready.taken?.kind ?? 'cover';
    if (kind === 'cover' && route === 'other-route') return;
    const snapshotHash = route === 'same-route' ? ready.snapshotHash : NO_SNAPSHOT;
    this.#shelf(exit).ready[kind].unshift({ ...ready, snapshotHash });
  }

  /** Lets go of an acked fragment, where it is ready to be sent once more. */
  async forget(id: string): Promise<void> {
    for (const { ready } of this.#shelves.values()) {
      for (const packets of [ready.first, ready.resend]) {
        const place = packets.findIndex(({ taken }) => taken?.id === id);
        const [found] = place === -1 ? [] : packets.splice(place, 1);
        if (found?.taken) await this.#options.outbound.discard(found.taken.job);
      }
    }
  }

  /** Fills every gateway's shelf, none after another: fragments of one must not keep others from cover. */
  async fillAll(): Promise<void> {
    const nodes = this.#options.view()?.directory.nodes ?? [];
    const exits = nodes.filter(({ roles }) => roles.includes('gateway'));
    await Promise.all(exits.map(async ({ peerId }) => await this.fill(peerId)));
  }

  /**
   * Builds what is missing or out of date for one exit. Cover and fragments apart: a queue full of what has
   * expired or is acked takes seconds to walk through, and cover that waited for it would be missing.
   * Throws only where Redis fails.
   */
  async fill(exit: string): Promise<void> {
    const { ready, cover, fragments } = this.#shelf(exit);
    await Promise.all([
      this.#fill(cover, async (view) => await this.#fillCover(view, exit, ready.cover)),
      this.#fill(fragments, async (view) => {
        await this.#fillFragments(view, exit, 'first', ready.first);
        await this.#fillFragments(view, exit, 'resend', ready.resend);
      }),
    ]);
  }

  /** Gives back what it holds, so that the next start finds it at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { cover, fragments, ready } of this.#shelves.values()) {
      await Promise.allSettled([cover.running, fragments.running]);
      // The oldest last: each goes back to the front of its queue.
      for (const { taken } of [...ready.first.toReversed(), ...ready.resend.toReversed()]) {
        await taken?.job.giveBack().catch(() => undefined);
      }
    }
    this.#shelves.clear();
  }

  async #fill(filling: Filling, once: (view: MixView) => Promise<void>): Promise<void> {
    if (filling.running !== null) {
      filling.again = true;
      await filling.running;
      return;
    }
    filling.running = this.#fillWhile(filling, once);
    try {
      await filling.running;
    } finally {
      filling.running = null;
    }
  }

  async #fillWhile(filling: Filling, once: (view: MixView) => Promise<void>): Promise<void> {
    do {
      filling.again = false;
      const view = this.#options.view();
      if (view === null || this.#isClosed) return;
      await once(view);
    } while (filling.again);
  }

  async #fillCover(view: MixView, exit: string, ready: ReadyPacket[]): Promise<void> {
    for (const stale of ready.filter((one) => !this.#isBest(one))) remove(ready, stale);
    while (ready.length < READY) {
      // One packet takes a ms to build: whatever is due meanwhile comes in between.
      await nextTurn();
      const packet = this.#build(view, exit, null);
      if (packet === null) return;
      ready.push(packet);
    }
  }

  async #fillFragments(
    view: MixView,
    exit: string,
    kind: SendKind,
    ready: ReadyPacket[],
  ): Promise<void> {
    for (const stale of ready.filter((one) => !this.#isBest(one))) {
      await nextTurn();
      await this.#renew(view, exit, ready, stale);
    }
    while (ready.length < READY) {
      const taken = await this.#options.outbound.take(exit, kind, view.geometry);
      if (taken === null) return;
      const packet = this.#build(view, exit, taken);
      if (packet === null) {
        await taken.job.giveBack();
        return;
      }
      ready.push(packet);
    }
  }

  /** The same fragment on a route of the present directory; the old packet stays where there is none. */
  async #renew(view: MixView, exit: string, ready: ReadyPacket[], old: ReadyPacket): Promise<void> {
    const { taken } = old;
    if (taken === null || !ready.includes(old)) return;
    if (taken.fragment.expiryMs <= this.#options.now()) {
      remove(ready, old);
      await this.#options.outbound.expire(taken);
      return;
    }
    ready[ready.indexOf(old)] = this.#build(view, exit, taken) ?? old;
  }

  #build(view: MixView, exit: string, taken: TakenFragment | null): ReadyPacket | null {
    const { random, me, now } = this.#options;
    const { sphinx, geometry, directory } = view;
    const query = { directory, entry: me, exit, nowMs: now() };
    const packet: PreparedPacket =
      taken === null
        ? prepareCover(sphinx, geometry, random, query)
        : prepareFragment(sphinx, geometry, random, query, taken.fragment);
    if (packet.kind === 'none') return null;
    return {
      packet,
      kind: taken === null ? 'cover' : 'fragment',
      recordId: toHex(random(16)),
      fragment: taken && { id: taken.id, sends: taken.sends },
      taken,
      snapshotHash: directory.snapshotHash,
    };
  }

  #next(shelf: Shelf): SendKind | null {
    return decideSendKind(shelf.share, {
      first: this.#isReady(shelf, 'first'),
      resend: this.#isReady(shelf, 'resend'),
    });
  }

  #isReady({ ready }: Shelf, kind: SendKind | 'cover'): boolean {
    const [oldest] = ready[kind];
    return oldest !== undefined && this.#isFresh(oldest);
  }

  /** Whether it would be built with the same keys again; what would not may still leave until then. */
  #isBest(one: ReadyPacket): boolean {
    return this.#isFresh(one) && this.#options.now() < one.packet.sameKeysUntilMs;
  }

  #isFresh({ packet, snapshotHash, taken }: ReadyPacket): boolean {
    const directory = this.#options.view()?.directory;
    const nowMs = this.#options.now();
    return (
      directory?.snapshotHash === snapshotHash &&
      packet.freshUntilMs > nowMs + freshMarginMs(directory) &&
      (taken === null || taken.fragment.expiryMs > nowMs)
    );
  }

  #shelf(exit: string): Shelf {
    const known = this.#shelves.get(exit);
    if (known !== undefined) return known;
    const ready = { first: [], resend: [], cover: [] };
    const shelf = { ready, share: NO_SENDS, cover: notFilling(), fragments: notFilling() };
    this.#shelves.set(exit, shelf);
    return shelf;
  }
}

function notFilling(): Filling {
  return { running: null, again: false };
}

function shift(packets: ReadyPacket[]): ReadyPacket | null {
  return packets.shift() ?? null;
}

function remove(packets: ReadyPacket[], packet: ReadyPacket): void {
  const place = packets.indexOf(packet);
  if (place !== -1) packets.splice(place, 1);
}
