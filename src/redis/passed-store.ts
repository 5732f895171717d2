/**
 * What has been re-injected, remembered across restarts: one key for each mail and recipient, under a
 * keyed hash, for as long as Postfix may come again with the same mail.
 */
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';

/** Postfix's 5 days in the queue, our 5, and slack (design §9). */
export const REMEMBERED_S = 14 * 86_400;

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
      await this.#store.redis.set(this.#key(id), '', 'EX', REMEMBERED_S);
    });
  }

  #key(id: string): string {
    return `${this.#store.prefix}:passed:${id}`;
  }
}
