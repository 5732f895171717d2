/**
 * Replay tags of batch positions, in Redis. A tag is claimed for one message of one batch: the same
 * message of the same batch may claim it again, as after a crash, and anything else is a replay. So a
 * batch can be peeled as often as it takes, and no output has to be kept to do it twice; and no message is
 * mixed in two companies, which would show where those went that both have in common.
 */
import { fromUtf8 } from '../../bytes.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { guarded } from '../../redis/clients.ts';
import type { Store } from '../../redis/embedded.ts';
import { createScript, runScript } from '../../redis/script.ts';

/** Claimed and fsynced together. */
const GROUP_MAX = 512;
const CLAIM_BYTES = 16;

// KEYS: tags of the endpoint. ARGV: tag, claim, tag, claim… Replies 1 where the claim stands.
const CLAIM = createScript(
  'claim replay tags',
  `local replies = {}
  for i = 1, #ARGV, 2 do
    local holder = redis.call('HGET', KEYS[1], ARGV[i])
    if not holder then
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
      holder = ARGV[i + 1]
    end
    replies[#replies + 1] = holder == ARGV[i + 1] and 1 or 0
  end
  return replies`,
);

/** A tag, and whose it is to be. */
export interface TagClaim {
  readonly tag: Uint8Array;
  readonly messageHash: string;
}

/** Which packets a batch position has seen. An endpoint has at most 85 cycles of 3840 messages: 22 MB. */
export class ReplayClaims {
  readonly #store: Pick<Store, 'redis' | 'prefix'>;
  readonly #primitives: Primitives;

  constructor(store: Pick<Store, 'redis' | 'prefix'>, primitives: Primitives) {
    this.#store = store;
    this.#primitives = primitives;
  }

  /**
   * Claims tags for messages of a batch, on disk before it returns. Of two messages with one tag the
   * first in the list has it.
   * @param batchId names the cycle, and by it or besides all that went into the batch
   * @returns for each whether it is no replay, in their order
   * @throws PanoramixError `redis-unavailable`: claim the same again
   */
  async claim(
    endpointId: string,
    batchId: string,
    claims: readonly TagClaim[],
  ): Promise<readonly boolean[]> {
    const held: boolean[] = [];
    for (let from = 0; from < claims.length; from += GROUP_MAX) {
      const values = claims
        .slice(from, from + GROUP_MAX)
        .flatMap(({ tag, messageHash }) => [
          tag,
          this.#primitives.sha256(fromUtf8(`${batchId}/${messageHash}`)).subarray(0, CLAIM_BYTES),
        ]);
      const call = { keys: [this.#key(endpointId)], values };
      const replies = await runScript(this.#store.redis, CLAIM, call);
      held.push(...(replies as number[]).map((reply) => reply === 1));
    }
    return held;
  }

  /** Forgets an endpoint whose mix key has been destroyed. */
  async destroy(endpointId: string): Promise<void> {
    await guarded('destroy tags', async () => {
      await this.#store.redis.unlink(this.#key(endpointId));
    });
  }

  #key(endpointId: string): string {
    return `${this.#store.prefix}:batch:tags:${endpointId}`;
  }
}
