/**
 * Packets that are due together leave shuffled. Jobs of one millisecond come in the order in which
 * they were added, and after a stall many come at once; whoever posts waits here first for those that
 * came with him, and they are let go in a random order.
 */
import type { Random } from '../crypto/primitives.ts';
import { shuffle } from '../mixnet/draw.ts';

/**
 * How long the first of a group waits for others: Redis promotes due jobs in one go, and they reach
 * us within a few ms. Against mean delays of seconds it is nothing.
 */
const GATHER_MS = 5;

export class Departures {
  readonly #random: Random;
  readonly #gatherMs: number;
  #waiting: (() => void)[] = [];

  constructor(random: Random, gatherMs = GATHER_MS) {
    this.#random = random;
    this.#gatherMs = gatherMs;
  }

  /** Resolves when it is this packet's turn. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setTimeout(() => this.#open(), this.#gatherMs);
    });
  }

  #open(): void {
    const leaving = this.#waiting;
    this.#waiting = [];
    for (const leave of shuffle(this.#random, leaving)) leave();
  }
}
