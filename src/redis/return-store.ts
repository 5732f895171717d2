/**
 * What an exit remembers of a mail that it gave to its mail server from a return address: enough to tell
 * the sender of a bounce that comes later. For 14 days, sealed; after that the address means nothing.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript } from './script.ts';
import { createSealing, type Sealing } from './sealing.ts';

/** A mail server tries for 5 days, an alias may lead to one that tries 5 more, and slack. */
const REMEMBERED_MS = 14 * DAY_MS;

/** A mail that may still bounce. */
export interface ReturnMemory {
  /** Opaque here: who sent what to whom. */
  readonly about: Uint8Array;
  /** Places, in the envelope, of the recipients whose sender has been told. */
  readonly told: ReadonlySet<number>;
}

// KEYS: memory. ARGV: sealed `about`, until when.
const REMEMBER = createScript(
  'remember a return address',
  `
  redis.call('HSET', KEYS[1], 'about', ARGV[1])
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
  `,
);

// KEYS: memory. ARGV: places. Only while it is remembered: without an end the note would stay for ever.
const TELL = createScript(
  'note who was told',
  `
  if redis.call('EXISTS', KEYS[1]) == 1 then
    for _, place in ipairs(ARGV) do redis.call('HSET', KEYS[1], place, '1') end
  end
  `,
);

/** Mails that may bounce, by message id. */
export class ReturnStore {
  readonly #store: Store;
  readonly #sealing: Sealing;

  /** @param options `storageKey`: 32 bytes, the exit's own */
  constructor(
    store: Store,
    options: { readonly primitives: Primitives; readonly storageKey: Uint8Array },
  ) {
    this.#store = store;
    this.#sealing = createSealing(options.primitives, options.storageKey);
  }

  /** Remembers a mail; on disk when it returns. Who has been told stays as it is. */
  async remember(messageId: string, about: Uint8Array): Promise<void> {
    const name = this.#nameOf(messageId);
    const sealed = this.#sealing.seal(about, `return:${name}`);
    const values = [sealed, coarseEnd(Date.now(), REMEMBERED_MS)];
    await runScript(this.#store.redis, REMEMBER, { keys: [this.#key(name)], values });
  }

  /** What is remembered of a mail; null where nothing is. */
  async load(messageId: string): Promise<ReturnMemory | null> {
    const name = this.#nameOf(messageId);
    const fields = await guarded('look up a return address', async () => {
      return await this.#store.redis.hgetallBuffer(this.#key(name));
    });
    const { about: sealed, ...told } = fields;
    const about = sealed && this.#sealing.unseal(new Uint8Array(sealed), `return:${name}`);
    return about ? { about, told: new Set(Object.keys(told).map(Number)) } : null;
  }

  /** Notes that the sender has been told of these recipients; on disk when it returns. */
  async tell(messageId: string, places: readonly number[]): Promise<void> {
    const keys = [this.#key(this.#nameOf(messageId))];
    await runScript(this.#store.redis, TELL, { keys, values: places });
  }

  #nameOf(messageId: string): string {
    return this.#sealing.nameOf(fromUtf8(`return:${messageId}`));
  }

  #key(name: string): string {
    return `${this.#store.prefix}:return:${name}`;
  }
}
