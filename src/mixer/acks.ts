/**
 * The answers of an exit: every fragment and every cover that ends here is answered along the reply
 * block that it carried, after a delay of the exit's own, and the answer goes the way of every packet.
 * So what leaves an exit tells nothing of what came in.
 */
import type { Random } from '../crypto/primitives.ts';
import { drawDelayMs } from '../mixnet/delay.ts';
import type { Ack, AckVerdict } from '../mixnet/ack.ts';
import { nodeByAddress } from '../mixnet/directory.ts';
import type { MixView } from '../mixnet/mix.ts';
import type { Onward } from '../redis/journal.ts';
import type { Counters } from './counters.ts';
import type { PeelPool } from './peel-pool.ts';

export interface AcksOptions {
  readonly pool: Pick<PeelPool, 'buildAcks'>;
  readonly random: Random;
  readonly counters: Counters;
  readonly now: () => number;
  /** The view after a look for a newer directory, which happens at most every few seconds. */
  readonly refreshedView: () => Promise<MixView | null>;
}

export class Acks {
  readonly #options: AcksOptions;

  constructor(options: AcksOptions) {
    this.#options = options;
  }

  /**
   * The answers, in the order of their reply blocks. Null where there can be none, which is counted:
   * `ack-malformed` for what is no reply block, `ack-unroutable` where no directory knows its first hop.
   */
  async build(
    view: MixView,
    replyBlocks: readonly Uint8Array[],
    verdict: AckVerdict,
  ): Promise<readonly (Onward | null)[]> {
    if (replyBlocks.length === 0) return [];
    const { pool, random, counters, now } = this.#options;
    const { params } = view.sphinx;
    const acks = await pool.buildAcks({ params, replyBlocks, verdict });
    const routable = await this.#routable(view, acks);
    const nowMs = now();
    return acks.map((ack, i) => {
      if (ack === null || routable[i] !== true) {
        counters.count(ack === null ? 'ack-malformed' : 'ack-unroutable');
        return null;
      }
      const delayMs = drawDelayMs(random, view.directory.traffic.delayMeanMs);
      return { packet: ack.packet, next: ack.next, dueMs: nowMs + delayMs };
    });
  }

  /** Whether the first hop of each is known; where one is not, after a look for a newer directory. */
  async #routable(view: MixView, acks: readonly (Ack | null)[]): Promise<readonly boolean[]> {
    const known = ({ directory }: MixView): boolean[] =>
      acks.map((ack) => ack === null || nodeByAddress(directory, ack.next) !== null);
    const first = known(view);
    return first.every(Boolean) ? first : known((await this.#options.refreshedView()) ?? view);
  }
}
