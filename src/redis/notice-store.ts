/**
 * What a gateway keeps of a mail that it has taken in, until its exit has acked all of it: enough to tell
 * the sender that it is late, or lost. Written in one step with the mail (`mail-store.ts`), sealed.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript, type ScriptCall } from './script.ts';
import { createSealing, type Sealing } from './sealing.ts';

/** What may have happened to a mail meanwhile. `expired`: a part of it was given up. */
export type NoticeMark = 'warned' | 'expired';

/** A kept mail. */
export interface Notice {
  /** Opaque here: who sent what to whom. */
  readonly about: Uint8Array;
  readonly marks: ReadonlySet<NoticeMark>;
}

/** How many values `writeNoticeLua` takes, after 2 keys. */
export const NOTICE_VALUES = 3;

/**
 * The write as part of the script that stores the mail; nothing where its name is empty.
 * KEYS: notice, names of all. ARGV: name, sealed `about`, sealed bytes to return.
 */
export function writeNoticeLua(keysBefore: number, valuesBefore: number): string {
  const key = (index: number): string => `KEYS[${keysBefore + index}]`;
  const value = (index: number): string => `ARGV[${valuesBefore + index}]`;
  return `
  if ${value(1)} ~= '' then
    redis.call('HSET', ${key(1)}, 'about', ${value(2)}, 'returned', ${value(3)})
    redis.call('SADD', ${key(2)}, ${value(1)})
  end
  `;
}

// KEYS: notice. ARGV: mark.
const MARK = createScript(
  'mark a mail',
  `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], '1') end`,
);

/** Mails that are not yet with their exits. Names are keyed hashes of message ids. */
export class NoticeStore {
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
   * Keys and values of the write, for the script that stores the mail.
   * @param notice null where nobody is to be told anything
   */
  writeCall(
    messageId: string,
    notice: { readonly about: Uint8Array; readonly returned: Uint8Array } | null,
  ): ScriptCall {
    const name = this.nameOf(messageId);
    const keys = [this.#key(name), this.#names()];
    if (notice === null) return { keys, values: ['', '', ''] };
    const about = this.#sealing.seal(notice.about, `notice:${name}:about`);
    const returned = this.#sealing.seal(notice.returned, `notice:${name}:returned`);
    return { keys, values: [name, about, returned] };
  }

  /** The name that a mail has here. */
  nameOf(messageId: string): string {
    return this.#sealing.nameOf(fromUtf8(`notice:${messageId}`));
  }

  /** Names of all mails that are kept. */
  async names(): Promise<readonly string[]> {
    return await guarded('list mails under way', async () => {
      return await this.#store.redis.smembers(this.#names());
    });
  }

  /** What is kept of a mail; null where nothing is, or it is sealed under another key. */
  async load(name: string): Promise<Notice | null> {
    const fields = await guarded('load a mail under way', async () => {
      return await this.#store.redis.hmgetBuffer(this.#key(name), 'about', 'warned', 'expired');
    });
    const [sealed, warned, expired] = fields;
    const about = sealed && this.#sealing.unseal(new Uint8Array(sealed), `notice:${name}:about`);
    if (!about) return null;
    const marks = new Set<NoticeMark>();
    if (warned) marks.add('warned');
    if (expired) marks.add('expired');
    return { about, marks };
  }

  /** The bytes that are to go back to the sender; null where they are gone. */
  async returned(name: string): Promise<Uint8Array | null> {
    const sealed = await guarded('load what is returned', async () => {
      return await this.#store.redis.hgetBuffer(this.#key(name), 'returned');
    });
    return sealed && this.#sealing.unseal(new Uint8Array(sealed), `notice:${name}:returned`);
  }

  /** Remembers what happened to a mail; on disk when it returns. Nothing where it is not kept. */
  async mark(name: string, mark: NoticeMark): Promise<void> {
    await runScript(this.#store.redis, MARK, { keys: [this.#key(name)], values: [mark] });
  }

  /** Forgets a mail: its exit has it, or its sender knows. */
  async remove(name: string): Promise<void> {
    await guarded('forget a mail under way', async () => {
      await this.#store.redis.multi().del(this.#key(name)).srem(this.#names(), name).exec();
    });
  }

  #key(name: string): string {
    return `${this.#store.prefix}:notice:${name}`;
  }

  #names(): string {
    return `${this.#store.prefix}:notices`;
  }
}
