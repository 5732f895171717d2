/**
 * The bytes of a large mail, part by part: one write of 25 MB would hold up Redis, and the process that
 * seals it, for longer than many ticks are apart, and who watches the wire would see it. Parts are there
 * before their mail is; until it is accepted they go by themselves after an hour.
 */
import { concat } from '../bytes.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript } from './script.ts';
import type { Sealing } from './sealing.ts';

/** A part is sealed in a ms and on disk in a few; small mails have one, and travel with their envelope. */
export const PART_BYTES = 512 * 1024;
/** Every mail is answered within half a minute (filters/entry.ts); what nobody has accepted then is left. */
const UNACCEPTED_MS = 3_600_000;

// KEYS: seen marker, mail. ARGV: number, sealed part, ms. An accepted mail's parts are never written again:
// they would go after an hour.
const KEEP = createScript(
  'store a part of a mail',
  `
  if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HEXISTS', KEYS[2], 'envelope') == 1 then
    return 'accepted'
  end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return 'kept'
  `,
);

// KEYS: seen marker, mail.
const DROP = createScript(
  'drop the parts of a mail',
  `
  if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HEXISTS', KEYS[2], 'envelope') == 1 then return 0 end
  return redis.call('UNLINK', KEYS[2])
  `,
);

/** How many parts so many bytes have; 0 for what is small enough for one write. */
export function partsOf(bytes: number): number {
  return bytes <= PART_BYTES ? 0 : Math.ceil(bytes / PART_BYTES);
}

/** Of the mark that a mail's id is known, and of the mail. */
type PartKeys = readonly [seen: string, mail: string];

/** Parts of mails, as fields of the mail's key. */
export class MailParts {
  readonly #store: Store;
  readonly #sealing: Sealing;

  constructor(store: Store, sealing: Sealing) {
    this.#store = store;
    this.#sealing = sealing;
  }

  /**
   * Keeps all parts of a mail that is not accepted yet; nothing where it is. The same again is harmless.
   * @throws PanoramixError `redis-unavailable`, `storage-pressure`: what was kept is gone, as far as it can be
   */
  async keep(keys: PartKeys, messageId: string, data: Uint8Array): Promise<void> {
    try {
      await this.#keepAll(keys, messageId, data);
    } catch (thrown) {
      // Where there was no room, 25 MB for an hour would keep it from others.
      await runScript(this.#store.redis, DROP, { keys, values: [] }).catch(() => undefined);
      throw thrown;
    }
  }

  async #keepAll(keys: PartKeys, messageId: string, data: Uint8Array): Promise<void> {
    const total = partsOf(data.length);
    for (let index = 0; index < total; index++) {
      const part = data.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
      const sealed = this.#sealing.seal(part, context(messageId, index, total));
      const values = [index, sealed, UNACCEPTED_MS];
      const kept = await runScript(this.#store.redis, KEEP, { keys, values });
      if (String(kept) === 'accepted') return;
    }
  }

  /** All parts together; null where one is missing or was changed. */
  async load(key: string, messageId: string, total: number): Promise<Uint8Array | null> {
    const parts: Uint8Array[] = [];
    for (let index = 0; index < total; index++) {
      const sealed = await guarded('load a part of a mail', async () => {
        return await this.#store.redis.hgetBuffer(key, String(index));
      });
      const place = context(messageId, index, total);
      const part = sealed && this.#sealing.unseal(new Uint8Array(sealed), place);
      if (part === null) return null;
      parts.push(part);
    }
    return concat(...parts);
  }
}

function context(messageId: string, index: number, total: number): string {
  return `mail:${messageId}:part:${index}:${total}`;
}
