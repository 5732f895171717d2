/**
 * A controller that takes packets, says 201, and then loses some, hands some out again, and all in
 * another order, some of them late. What it does to a packet it does for good: one that is asked
 * for again, by a node that was killed, is not there again.
 */
import type { Random } from '../../src/crypto/primitives.ts';
import { drawUnit, shuffle } from '../../src/mixnet/draw.ts';
import type { Listed } from './hostile-inbox.ts';

/** Shares of all packets, from 0 to 1. */
export interface Loss {
  readonly drop: number;
  readonly duplicate: number;
  /** Comes with a later list than it was in. */
  readonly late: number;
}

/** How often it did what. */
export interface LossCounts {
  packets: number;
  dropped: number;
  duplicated: number;
  late: number;
}

type Fate = 'given' | 'dropped' | 'duplicated' | 'late';

const NOTHING: LossCounts = { packets: 0, dropped: 0, duplicated: 0, late: 0 };

/** The alteration of one door's lists; see `Door.alter`. */
export class Lossy {
  /** Since `start`. */
  counts: LossCounts = { ...NOTHING };
  #loss: Loss;
  readonly #random: Random;
  readonly #fates = new Map<number, Fate>();
  #owed: Listed[] = [];

  constructor(random: Random, loss: Loss) {
    this.#random = random;
    this.#loss = loss;
  }

  /** What becomes of packets from now on. */
  start(loss: Loss): void {
    this.#loss = loss;
    this.counts = { ...NOTHING };
  }

  readonly alter = (messages: readonly Listed[]): readonly Listed[] => {
    const owed = this.#owed;
    this.#owed = [];
    const given = messages.filter((message) => {
      const fate = this.#fates.get(message.id) ?? this.#draw(message);
      return fate === 'given' || fate === 'duplicated';
    });
    return shuffle(this.#random, [...given, ...owed]);
  };

  #draw(message: Listed): Fate {
    const { drop, duplicate, late } = this.#loss;
    const drawn = drawUnit(this.#random);
    const fate =
      drawn < drop
        ? 'dropped'
        : drawn < drop + duplicate
          ? 'duplicated'
          : drawn < drop + duplicate + late
            ? 'late'
            : 'given';
    this.#fates.set(message.id, fate);
    this.counts.packets++;
    if (fate !== 'given') this.counts[fate]++;
    if (fate === 'duplicated' || fate === 'late') this.#owed.push(message);
    return fate;
  }
}
