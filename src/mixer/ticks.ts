/**
 * The Poisson clock of a gateway: at each tick one packet leaves, a fragment or cover, decided by
 * mixnet/ticks.ts. It goes the way of every packet: a record, then a [mixing] job that is due now.
 * Next first, then the job behind it: add, then settle.
 */
import { toHex } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { DELAY_MEANS_MAX } from '../mixnet/delay.ts';
import type { MixView } from '../mixnet/mix.ts';
import { advanceTicks, decideTick, startTicks, type TickClock } from '../mixnet/ticks.ts';
import type { JobQueue } from '../redis/queues.ts';
import type { Records } from '../redis/records.ts';
import type { Counters } from './counters.ts';
import type { ReadyPacket, ReadyPackets } from './ready.ts';

/** Owner of the records of packets that started here; sealed under the node's own storage key. */
export const TICKS_OWNER = 'ticks';

/** Timers that wait longer than a day overflow; a rate that slow looks at the clock now and then. */
const WAIT_MS_MAX = 3_600_000;
/** How long to wait before looking again whether there is a directory. */
const NO_DIRECTORY_MS = 1000;

export interface TickerOptions {
  readonly random: Random;
  readonly now: () => number;
  readonly view: () => MixView | null;
  readonly ready: ReadyPackets;
  readonly records: Pick<Records, 'put' | 'remove'>;
  readonly mixing: JobQueue;
  /** Whether a first hop takes nothing and enough waits for it. */
  readonly isBackedUp: (address: Uint8Array) => boolean;
  readonly counters: Counters;
  readonly log: Log;
}

export class Ticker {
  readonly #options: TickerOptions;
  #clock: TickClock | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #isFailing = false;
  readonly #sending = new Set<Promise<void>>();

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  /** Waits for the ticks that are being sent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all(this.#sending);
  }

  #schedule(): void {
    if (this.#isStopped) return;
    const { random, now, view } = this.#options;
    const rate = view()?.directory.traffic.ticksPerSecond;
    if (rate === undefined || this.#isFarAhead(rate)) this.#clock = null;
    if (rate !== undefined && this.#clock === null) {
      this.#clock = startTicks(random, now(), rate);
      // With the first directory: the first ticks find their packets ready.
      void this.#options.ready.fillAll().catch(() => undefined);
    }
    const waitMs = this.#clock === null ? NO_DIRECTORY_MS : this.#clock.dueMs - now();
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(waitMs, 0), WAIT_MS_MAX));
  }

  /** Further than any draw: the computer's clock was set back, and ticks would stop for as long. */
  #isFarAhead(ticksPerSecond: number): boolean {
    const aheadMs = (this.#clock?.dueMs ?? 0) - this.#options.now();
    return aheadMs > DELAY_MEANS_MAX * (1000 / ticksPerSecond);
  }

  #wake(): void {
    const { random, now, view, counters } = this.#options;
    const present = view();
    if (this.#clock !== null && present !== null && this.#clock.dueMs <= now()) {
      this.#tick(present);
      const { ticksPerSecond } = present.directory.traffic;
      const before = this.#clock.skipped;
      this.#clock = advanceTicks(random, this.#clock, now(), ticksPerSecond);
      if (this.#clock.skipped > before) {
        counters.count('tick-skipped', this.#clock.skipped - before);
      }
    }
    this.#schedule();
  }

  #tick({ directory }: MixView): void {
    const { random, now, ready, counters, isBackedUp } = this.#options;
    const choice = decideTick(random, directory, now(), (exit) => ready.isWaiting(exit));
    if (choice === null) return;
    const packet = ready.take(choice.exit, choice.take);
    // Not ready is a tick missed, whatever it would have taken: building now would delay it.
    if (packet === null) counters.count('tick-unready');
    const isHeld = packet !== null && isBackedUp(packet.packet.first.endpoint.address);
    if (isHeld) {
      // Missed whatever it has taken, so that nobody learns which; a fragment goes another way.
      counters.count('tick-held');
      ready.putBack(choice.exit, packet, 'other-route');
    }
    const sending = this.#send(choice.exit, isHeld ? null : packet).finally(() =>
      this.#sending.delete(sending),
    );
    this.#sending.add(sending);
  }

  async #send(exit: string, packet: ReadyPacket | null): Promise<void> {
    const { ready, counters, log } = this.#options;
    try {
      // The packet goes first; the next one is built while the disk is waited for.
      const emitting = packet === null ? Promise.resolve() : this.#emit(exit, packet);
      const [emitted, filled] = await Promise.allSettled([emitting, ready.fill(exit)]);
      for (const end of [emitted, filled]) if (end.status === 'rejected') throw end.reason;
      this.#isFailing = false;
    } catch (thrown) {
      const { code, message } = asPanoramixError(thrown);
      counters.count('tick-failed');
      // Once for a row of failures: while Redis is away every tick fails.
      if (this.#isFailing) return;
      this.#isFailing = true;
      log.warn({ event: 'tick-failed', reason: code, error: message }, 'A tick sent nothing');
    }
  }

  async #emit(exit: string, ready: ReadyPacket): Promise<void> {
    const { random, now, records, mixing, counters } = this.#options;
    const { packet, carried } = ready;
    // Random: a packet built again after a crash is another packet, on another route.
    const recordId = toHex(random(16));
    const dueMs = now();
    const next = packet.first.endpoint.address;
    try {
      await records.put({
        recordId,
        endpointId: TICKS_OWNER,
        next,
        dueMs,
        packet: packet.packet,
      });
      await mixing.add(recordId, dueMs);
    } catch (thrown) {
      this.#options.ready.putBack(exit, ready, 'same-route');
      throw thrown;
    }
    counters.count(carried === null ? 'sent-cover' : 'sent-fragment');
    if (carried === null) return;
    await carried.job.settle();
    await records.remove(carried.job.id);
  }
}
