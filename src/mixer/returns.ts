/**
 * What comes back to this node: answers to its own packets, and its loops. Each settles what was kept for
 * it before its tag is committed: settling twice is the same as once, and an answer that is read again
 * after a crash between the two is one that nobody waits for.
 */
import { toHex } from '../bytes.ts';
import type { MixView, Reply } from '../mixnet/mix.ts';
import type { SentPacket, SentStore } from '../redis/sent-store.ts';
import type { LoopWatch } from './loop-watch.ts';
import type { PeelPool } from './peel-pool.ts';

/**
 * - `reply`: the packet arrived, and where it carried a fragment, its exit has stored it for good
 * - `reply-refused`: it arrived, but its exit had no room; it is sent again at its time
 * - `reply-unknown`: nothing of ours waits for it (any more)
 * - `reply-malformed`: it was changed on its way, so it counts as lost
 */
export type ReturnName = 'reply' | 'reply-refused' | 'reply-unknown' | 'reply-malformed';

export interface ReturnsOptions {
  readonly pool: Pick<PeelPool, 'readAcks'>;
  readonly sent: Pick<SentStore, 'load' | 'settle' | 'forget'>;
  readonly watch: Pick<LoopWatch, 'returned'>;
  /** Told of a fragment that its exit has, after all that is stored of it is gone. */
  readonly onKept: (fragmentId: string) => Promise<void>;
}

export class Returns {
  readonly #options: ReturnsOptions;

  constructor(options: ReturnsOptions) {
    this.#options = options;
  }

  /**
   * Takes replies in; what became of each, in their order.
   * @throws PanoramixError `redis-unavailable`: take them again
   */
  async take(view: MixView, replies: readonly Reply[]): Promise<readonly ReturnName[]> {
    if (replies.length === 0) return [];
    const { pool, sent } = this.#options;
    const known = await Promise.all(replies.map(async ({ id }) => await sent.load(id)));
    const acks = replies.flatMap(({ delta }, i) => {
      const packet = known[i];
      return packet ? [{ keytuple: packet.keytuple, delta }] : [];
    });
    const verdicts = await pool.readAcks({ params: view.sphinx.params, acks });
    let next = 0;
    return await Promise.all(
      replies.map(async ({ id }, i): Promise<ReturnName> => {
        const packet = known[i] ?? null;
        if (packet === null) return 'reply-unknown';
        const verdict = verdicts[next++] ?? null;
        if (verdict === null) return 'reply-malformed';
        this.#options.watch.returned(toHex(id));
        if (verdict === 'kept') await this.#settle(id, packet);
        else await sent.forget(id);
        return verdict === 'kept' ? 'reply' : 'reply-refused';
      }),
    );
  }

  async #settle(id: Uint8Array, { fragmentId }: SentPacket): Promise<void> {
    await this.#options.sent.settle(id);
    if (fragmentId !== null) await this.#options.onKept(fragmentId);
  }
}
