/**
 * What has become of each recipient of an arrived mail, so that a second attempt gives it to nobody
 * twice. Sealed: refusals quote addresses.
 */
import { fromUtf8, toUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from '../redis/clients.ts';
import { coarseEnd, DAY_MS } from '../redis/coarse-time.ts';
import type { Store } from '../redis/embedded.ts';
import { createSealing, type Sealing } from '../redis/sealing.ts';

/** As long as a message id is remembered as delivered. */
const KEPT_MS = 14 * DAY_MS;

/** Fields beside the places of recipients. */
const SINCE = 'since';
const WARNED = 'warned';

/** One recipient's end: `accepted`, or why not, as the mail server or this exit said it. */
export type RecipientOutcome =
  | { readonly outcome: 'accepted' }
  | { readonly outcome: 'failed'; readonly reason: string; readonly reply: string };

export class DeliveryProgress {
  readonly #store: Store;
  readonly #sealing: Sealing;

  /** @param options `storageKey`: 32 bytes, the gateway's own */
  constructor(
    store: Store,
    options: { readonly primitives: Primitives; readonly storageKey: Uint8Array },
  ) {
    this.#store = store;
    this.#sealing = createSealing(options.primitives, options.storageKey);
  }

  /**
   * Since when a mail waits for somebody who was put off, and whether its sender knows; noted at the first call.
   * A clock that was set back meanwhile makes it wait since now, which is only later.
   */
  async waiting(id: string, nowMs: number): Promise<{ sinceMs: number; isWarned: boolean }> {
    const context = `delivery:${id}:${SINCE}`;
    const { redis } = this.#store;
    const [stored, warned] = await guarded('look since when a delivery waits', async () => {
      await redis
        .multi()
        .hsetnx(this.#key(id), SINCE, this.#seal(nowMs, context))
        .pexpireat(this.#key(id), coarseEnd(Date.now(), KEPT_MS))
        .exec();
      return await redis.hmgetBuffer(this.#key(id), SINCE, WARNED);
    });
    const plain = stored && this.#sealing.unseal(new Uint8Array(stored), context);
    const sinceMs = plain ? Math.min(Number(toUtf8(plain)), nowMs) : nowMs;
    return { sinceMs, isWarned: Boolean(warned) };
  }

  /** Notes that the sender of a mail that waits knows it; on disk when it returns. */
  async warned(id: string): Promise<void> {
    await guarded('note that a mail is late', async () => {
      await this.#store.redis.hset(this.#key(id), WARNED, '1');
    });
  }

  /** Outcomes so far, by the recipient's place in the envelope. */
  async load(id: string): Promise<ReadonlyMap<number, RecipientOutcome>> {
    const stored = await guarded('load a delivery', async () => {
      return await this.#store.redis.hgetallBuffer(this.#key(id));
    });
    const outcomes = new Map<number, RecipientOutcome>();
    for (const [place, sealed] of Object.entries(stored)) {
      if (place === SINCE || place === WARNED) continue;
      const plain = this.#sealing.unseal(new Uint8Array(sealed), `delivery:${id}:${place}`);
      if (plain !== null) {
        outcomes.set(Number(place), JSON.parse(toUtf8(plain)) as RecipientOutcome);
      }
    }
    return outcomes;
  }

  /** Remembers outcomes; on disk when it returns. */
  async save(id: string, outcomes: ReadonlyMap<number, RecipientOutcome>): Promise<void> {
    if (outcomes.size === 0) return;
    const fields = [...outcomes].flatMap(([place, outcome]) => [
      String(place),
      this.#seal(outcome, `delivery:${id}:${place}`),
    ]);
    await guarded('remember a delivery', async () => {
      await this.#store.redis
        .multi()
        .hset(this.#key(id), ...fields)
        .pexpireat(this.#key(id), coarseEnd(Date.now(), KEPT_MS))
        .exec();
    });
  }

  /** Forgets the outcomes of a mail that is done. */
  async remove(id: string): Promise<void> {
    await guarded('forget a delivery', async () => {
      await this.#store.redis.del(this.#key(id));
    });
  }

  #seal(value: unknown, context: string): Buffer {
    return Buffer.from(this.#sealing.seal(fromUtf8(JSON.stringify(value)), context));
  }

  #key(id: string): string {
    return `${this.#store.prefix}:delivery:${id}`;
  }
}
