/**
 * What a gateway sends at the ticks of its Poisson clock: one packet each, a fragment or cover, decided by
 * mixnet/ticks.ts. What is different about the two comes afterwards, when the packet has gone: the
 * fragment's job is put off until its ack is overdue, and the next packets are built.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Random } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Traffic } from '../mixnet/directory.ts';
import type { MixView } from '../mixnet/mix.ts';
import { decideTick } from '../mixnet/ticks.ts';
import type { Counters } from './counters.ts';
import { AFTER_SENDING_MS, type Emission } from './emission.ts';
import type { Outbound } from './outbound.ts';
import { PoissonClock } from './poisson-clock.ts';
import type { ReadyPacket, ReadyPackets } from './ready.ts';

export interface TickerOptions {
  readonly random: Random;
  readonly now: () => number;
  readonly view: () => MixView | null;
  readonly ready: ReadyPackets;
  readonly emission: Pick<Emission, 'send'>;
  readonly outbound: Pick<Outbound, 'putOff'>;
  /** Whether a first hop takes nothing and enough waits for it. */
  readonly isBackedUp: (address: Uint8Array) => boolean;
  readonly counters: Counters;
  readonly log: Log;
}

export class Ticker {
  readonly #options: TickerOptions;
  readonly #clock: PoissonClock;
  readonly #sending = new Set<Promise<void>>();
  #isFailing = false;

  constructor(options: TickerOptions) {
    const { random, now, view, ready, counters } = options;
    this.#options = options;
    this.#clock = new PoissonClock({
      random,
      now,
      rate: () => view()?.directory.traffic.ticksPerSecond ?? null,
      // With the first directory: the first ticks find their packets ready.
      onStart: () => void ready.fillAll().catch(() => undefined),
      onTick: () => this.#tick(),
      onSkipped: (ticks) => counters.count('tick-skipped', ticks),
    });
  }

  start(): void {
    this.#clock.start();
  }

  /** Waits for the ticks that are being sent. */
  async stop(): Promise<void> {
    this.#clock.stop();
    await Promise.all(this.#sending);
  }

  #tick(): void {
    const { random, now, view, ready, counters, isBackedUp } = this.#options;
    const directory = view()?.directory;
    if (directory === undefined) return;
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
    const { traffic } = directory;
    const sending = this.#work(choice.exit, isHeld ? null : packet, traffic).finally(() =>
      this.#sending.delete(sending),
    );
    this.#sending.add(sending);
  }

  async #work(exit: string, packet: ReadyPacket | null, traffic: Traffic): Promise<void> {
    const { ready, outbound, counters, log } = this.#options;
    try {
      const againAtMs = packet && (await this.#send(exit, packet, traffic));
      await wait(AFTER_SENDING_MS);
      if (packet?.taken && againAtMs !== null) await outbound.putOff(packet.taken, againAtMs);
      await ready.fill(exit);
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

  async #send(exit: string, packet: ReadyPacket, traffic: Traffic): Promise<number> {
    const { emission, ready } = this.#options;
    try {
      return await emission.send(packet, traffic);
    } catch (thrown) {
      ready.putBack(exit, packet, 'same-route');
      throw thrown;
    }
  }
}
