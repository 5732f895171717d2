/**
 * The loops of a node that is no gateway, whose acked packets would be its loops: packets that come back
 * to itself through other mixes, on a Poisson clock of their own at the snapshot's rate. They tell it
 * whether packets of others still reach it, and look like any others to those that pass them on.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { toHex } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';
import { freshMarginMs } from '../mixnet/key-epochs.ts';
import type { MixView } from '../mixnet/mix.ts';
import { prepareLoop } from '../mixnet/prepare.ts';
import type { Counters } from './counters.ts';
import { AFTER_SENDING_MS, type Emission, type OwnPacket } from './emission.ts';
import { PoissonClock } from './poisson-clock.ts';

/** Built between ticks: at 2 loops a second more than 4 come within a tenth of a second once in 375 000 times. */
const READY = 4;

interface ReadyLoop extends OwnPacket {
  readonly snapshotHash: string;
}

export interface LoopSenderOptions {
  readonly random: Random;
  readonly now: () => number;
  /** Own peer id. */
  readonly me: string;
  readonly view: () => MixView | null;
  readonly emission: Pick<Emission, 'send'>;
  /** Whether a first hop takes nothing and enough waits for it. */
  readonly isBackedUp: (address: Uint8Array) => boolean;
  readonly counters: Counters;
}

export class LoopSender {
  readonly #options: LoopSenderOptions;
  readonly #clock: PoissonClock;
  #ready: ReadyLoop[] = [];
  readonly #sending = new Set<Promise<void>>();

  constructor(options: LoopSenderOptions) {
    const { random, now, view, counters } = options;
    this.#options = options;
    this.#clock = new PoissonClock({
      random,
      now,
      rate: () => view()?.directory.traffic.loopsPerSecond ?? null,
      onStart: () => this.#fill(),
      onTick: () => this.#tick(),
      onSkipped: (ticks) => counters.count('loop-skipped', ticks),
    });
  }

  start(): void {
    this.#clock.start();
  }

  /** Waits for the loops that are being sent. */
  async stop(): Promise<void> {
    this.#clock.stop();
    await Promise.all(this.#sending);
  }

  #tick(): void {
    const sending = this.#send().finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  async #send(): Promise<void> {
    const { view, emission, isBackedUp, counters } = this.#options;
    const directory = view()?.directory;
    const loop = this.#ready.shift();
    if (directory === undefined || loop === undefined || !this.#isFresh(loop)) {
      // Where there is no other mix to pass, every one is.
      counters.count('loop-unready');
    } else if (isBackedUp(loop.packet.first.endpoint.address)) counters.count('loop-held');
    else {
      await emission.send(loop, directory.traffic).catch(() => {
        counters.count('loop-failed');
        this.#ready.unshift(loop);
      });
    }
    await wait(AFTER_SENDING_MS);
    this.#fill();
  }

  #fill(): void {
    const { random, view, me, now } = this.#options;
    const present = view();
    if (present === null) return;
    const { sphinx, directory } = present;
    this.#ready = this.#ready.filter(
      (loop) => this.#isFresh(loop) && now() < loop.packet.sameKeysUntilMs,
    );
    while (this.#ready.length < READY) {
      const packet = prepareLoop(sphinx, random, { directory, me, nowMs: now() });
      if (packet.kind === 'none') return;
      this.#ready.push({
        packet,
        kind: 'loop',
        recordId: toHex(random(16)),
        fragment: null,
        snapshotHash: directory.snapshotHash,
      });
    }
  }

  #isFresh({ packet, snapshotHash }: ReadyLoop): boolean {
    const directory = this.#options.view()?.directory;
    const nowMs = this.#options.now();
    return (
      directory?.snapshotHash === snapshotHash &&
      packet.freshUntilMs > nowMs + freshMarginMs(directory)
    );
  }
}
