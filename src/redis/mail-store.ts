/**
 * Accepted mail, from the moment we answer 250 until its packets are on their way: sealed bytes and the
 * memory of its id in one step, then the job. A crash between the two is put right at the next start.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { openQueue } from './queues.ts';
import type { JobQueue } from './queues.ts';
import { MailParts, partsOf } from './mail-parts.ts';
import { NOTICE_VALUES, writeNoticeLua } from './notice-store.ts';
import { createScript, runScript, type ScriptCall } from './script.ts';
import { createSealing } from './sealing.ts';
import type { Sealing } from './sealing.ts';

/** Postfix tries for 5 days, our packets live for 5, and slack: a 451 and a retry double nothing. */
const SEEN_MS = 14 * DAY_MS;

/** A mail to keep. */
export interface StoredMail {
  /** 32 hex digits. */
  readonly messageId: string;
  /** Where it goes; opaque here. */
  readonly envelope: Uint8Array;
  /** The mail itself, never changed. */
  readonly data: Uint8Array;
}

/** A mail to take in. */
export interface AcceptedMail extends StoredMail {
  /** What is kept for its sender in the same write (`NoticeStore.writeCall`). */
  readonly notice?: ScriptCall;
}

const NO_NOTICE: ScriptCall = { keys: [], values: Array.from({ length: NOTICE_VALUES }, () => '') };

// KEYS: seen marker, mail, ids of all mail, those of the notice.
// ARGV: id, sealed envelope, sealed data or how many parts it has (mail-parts.ts), until when to remember,
// those of the notice, which of the two.
const ACCEPT = createScript(
  'store a mail',
  `
  if redis.call('EXISTS', KEYS[1]) == 1 then
    return redis.call('HEXISTS', KEYS[2], 'envelope') == 1 and 'waiting' or 'handled'
  end
  local kind = ARGV[${5 + NOTICE_VALUES}]
  if kind == 'parts' and redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 'incomplete' end
  redis.call('SET', KEYS[1], '', 'PXAT', ARGV[4])
  redis.call('HSET', KEYS[2], 'envelope', ARGV[2], kind, ARGV[3])
  redis.call('PERSIST', KEYS[2])
  redis.call('SADD', KEYS[3], ARGV[1])
  ${writeNoticeLua(3, 4)}
  return 'stored'
  `,
);

/** Accepted mail. */
export class MailStore {
  readonly #store: Store;
  readonly #queue: JobQueue;
  readonly #sealing: Sealing;
  readonly #parts: MailParts;

  private constructor(store: Store, queue: JobQueue, sealing: Sealing) {
    this.#store = store;
    this.#queue = queue;
    this.#sealing = sealing;
    this.#parts = new MailParts(store, sealing);
  }

  /**
   * Opens the store of mail, and its queue [mail].
   * @param options `storageKey`: 32 bytes, the gateway's own, from a file
   */
  static async open(
    store: Store,
    options: { readonly primitives: Primitives; readonly storageKey: Uint8Array },
  ): Promise<MailStore> {
    const sealing = createSealing(options.primitives, options.storageKey);
    return new MailStore(store, await openQueue(store, 'mail'), sealing);
  }

  /**
   * Keeps a mail; when this returns it is on disk and will be mixed, and 250 may be said.
   * @returns `repeat` where a mail of this id was accepted within 14 days: say 250 again
   * @throws PanoramixError `redis-unavailable`, `storage-pressure`: say 451. Where the mail had been
   * stored after all, it is mixed once, and the retry is a repeat.
   */
  async accept(mail: AcceptedMail): Promise<'stored' | 'repeat'> {
    const { messageId, envelope, data, notice = NO_NOTICE } = mail;
    const parts = partsOf(data.length);
    const keys = [this.#seen(messageId), this.#key(messageId)] as const;
    await this.#parts.keep(keys, messageId, data);
    const result = String(
      await runScript(this.#store.redis, ACCEPT, {
        keys: [...keys, this.#ids(), ...notice.keys],
        values: [
          messageId,
          this.#sealing.seal(envelope, context(messageId, 'envelope')),
          parts === 0 ? this.#sealing.seal(data, context(messageId, 'data')) : parts,
          coarseEnd(Date.now(), SEEN_MS),
          ...notice.values,
          parts === 0 ? 'data' : 'parts',
        ],
      }),
    );
    if (result === 'incomplete') {
      // A clock that jumped ahead by an hour, or somebody who removes keys.
      throw new PanoramixError('redis-unavailable', 'store a mail: a part of it has gone');
    }
    if (result !== 'handled') await this.#queue.add(messageId);
    return result === 'stored' ? 'stored' : 'repeat';
  }

  /** Whether a mail of this id was accepted within 14 days. */
  async wasAccepted(messageId: string): Promise<boolean> {
    return await guarded('look for an id of a mail', async () => {
      return (await this.#store.redis.exists(this.#seen(messageId))) === 1;
    });
  }

  /** Whether a mail's fragments are not all stored yet. */
  async has(messageId: string): Promise<boolean> {
    return await guarded('look for a mail', async () => {
      return (await this.#store.redis.hexists(this.#key(messageId), 'envelope')) === 1;
    });
  }

  /** The mail; null where it is handled already, or sealed under another key. */
  async load(messageId: string): Promise<StoredMail | null> {
    const key = this.#key(messageId);
    const [sealedEnvelope, sealedData, parts] = await guarded('load a mail', async () => {
      return await this.#store.redis.hmgetBuffer(key, 'envelope', 'data', 'parts');
    });
    const envelope = this.#unseal(messageId, 'envelope', sealedEnvelope);
    const data =
      sealedEnvelope && parts
        ? await this.#loadParts(messageId, Number(parts.toString()))
        : this.#unseal(messageId, 'data', sealedData);
    return envelope === null || data === null ? null : { messageId, envelope, data };
  }

  /**
   * Removes a mail whose packets have all been stored; its id stays known. Before its job ends: the job
   * of a mail that is gone does nothing, but a mail without a job is given one by `sweep`.
   */
  async remove(messageId: string): Promise<void> {
    await guarded('remove a mail', async () => {
      await this.#store.redis.multi().del(this.#key(messageId)).srem(this.#ids(), messageId).exec();
    });
  }

  /**
   * Gives every mail that has no job its job: at start, and hourly.
   * @returns how many had none
   */
  async sweep(): Promise<number> {
    const ids = await guarded(
      'list mail',
      async () => await this.#store.redis.smembers(this.#ids()),
    );
    let repaired = 0;
    for (const messageId of ids) {
      if (await this.#queue.has(messageId)) continue;
      await this.#queue.add(messageId);
      repaired++;
    }
    if (repaired > 0) this.#store.log.info({ repaired }, 'Mail had no job and has one now');
    return repaired;
  }

  async #loadParts(messageId: string, total: number): Promise<Uint8Array | null> {
    const data = await this.#parts.load(this.#key(messageId), messageId, total);
    // Another worker may have handled it meanwhile.
    if (data === null && (await this.has(messageId))) this.#sayUnopened(messageId);
    return data;
  }

  #sayUnopened(messageId: string): void {
    this.#store.log.error({ mail: messageId }, 'A mail cannot be opened');
  }

  #unseal(
    messageId: string,
    part: 'envelope' | 'data',
    sealed: Buffer | null | undefined,
  ): Uint8Array | null {
    if (!sealed) return null;
    const plain = this.#sealing.unseal(new Uint8Array(sealed), context(messageId, part));
    if (plain === null) this.#sayUnopened(messageId);
    return plain;
  }

  #seen(messageId: string): string {
    // For 14 days; and the exit's log holds the id too.
    const name = this.#sealing.nameOf(fromUtf8(`mail-seen:${messageId}`));
    return `${this.#store.prefix}:mail-seen:${name}`;
  }

  #key(messageId: string): string {
    return `${this.#store.prefix}:mail:${messageId}`;
  }

  #ids(): string {
    return `${this.#store.prefix}:mails`;
  }
}

function context(messageId: string, part: 'envelope' | 'data'): string {
  return `mail:${messageId}:${part}`;
}
