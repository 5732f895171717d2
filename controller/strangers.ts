/**
 * Room for those who are no nodes. Anybody can draw as many keys as he likes, so limits per key bound
 * nobody: what strangers store together ends where enough is left for the nodes' own traffic (design §7
 * keeps half of each backlog for them, and this is the same for storage as a whole).
 */
import type { Redis } from 'ioredis';
import { guarded } from '../src/redis/clients.ts';
import { fullnessOf, readFullness } from '../src/redis/pressure.ts';

/** Of the memory of Redis; at 0.6 the nodes' messages wait too (design §11). */
export const STRANGERS_UP_TO = 0.4;
/** In a second strangers send at most what the network carries, tens of MB. */
const SAMPLE_MS = 1_000;

/** Whether strangers may store something. */
export class StrangersRoom {
  readonly #redis: Redis;
  #sampledMs = -Infinity;
  #share = 0;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Looks at Redis once a second at most. */
  async isLeft(): Promise<boolean> {
    const nowMs = performance.now();
    if (nowMs - this.#sampledMs >= SAMPLE_MS) {
      this.#sampledMs = nowMs;
      this.#share = fullnessOf(await guarded('measure', () => readFullness(this.#redis, null)));
    }
    return this.#share < STRANGERS_UP_TO;
  }
}
