/**
 * What has been re-injected, remembered across restarts: one key for each mail and recipient, under a
 * keyed hash, for as long as Postfix may come again with the same mail.
 */
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';

/** Postfix's 5 days in the queue, our 5, and slack (design §9). */
const REMEMBERED_MS = 14 * DAY_MS;

/** Keyed hashes of what has passed. */
export class PassedStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Whether this id was added within the last 14 days. */
  async has(id: string): Promise<boolean> {
    return await guarded('look up a passed mail', async () => {
      return (await this.#store.redis.exists(this.#key(id))) === 1;
    });
  }

  /** Remembers the id; durable when it resolves. */
  async add(id: string): Promise<void> {
    await guarded('remember a passed mail', async () => {
      await this.#store.redis.set(this.#key(id), '', 'PXAT', coarseEnd(Date.now(), REMEMBERED_MS));
    });
  }

  #key(id: string): string {
    return `${this.#store.prefix}:passed:${id}`;
  }
}
