/**
 * Messages on their way together: fragments, sealed, until the message is complete and delivered or has
 * expired. The write is one step with the packet's replay tag; limits hold in that same step.
 */
import { concat, fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { FRAGMENTS_MAX } from '../mixnet/fragment.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript } from './script.ts';
import type { ScriptCall } from './script.ts';
import { createSealing } from './sealing.ts';
import type { Sealing } from './sealing.ts';

/** Postfix tries for 5 days, our sender for 5, and slack: a repeat within it delivers nothing twice. */
const DELIVERED_MS = 14 * DAY_MS;
/**
 * An expiry is the time of sending plus a constant. In clear stands only the quarter of a day in which a
 * message may go; whether all parts have the same expiry is seen by its keyed hash.
 */
const EXPIRY_STEP_MS = DAY_MS / 4;
const MESSAGE_ID_BYTES = 16;

/**
 * Parts of a message that are read and opened in one go, half a megabyte: all 800 of a mail of 25 MB would
 * hold up Redis and this process for longer than ticks are apart.
 */
const LOADED_AT_ONCE = 16;

/** One part of a message. */
export interface Fragment {
  /** 16 bytes, the same in all parts. */
  readonly messageId: Uint8Array;
  /** From 0. */
  readonly index: number;
  readonly total: number;
  /** Unix ms; the same in all parts. */
  readonly expiryMs: number;
  readonly bytes: Uint8Array;
}

/** What a fragment store holds at most. */
export interface FragmentLimits {
  /** Fragments of one message. */
  readonly fragmentsMax: number;
  /** Messages that are not yet delivered. */
  readonly messagesMax: number;
  /** All fragments together, as stored. */
  readonly bytesMax: number;
  /** Of these, what only a message may take for whose whole rest there is room in it; half of all at most. */
  readonly restBytesMax: number;
  /** From now to a fragment's expiry. */
  readonly lifetimeMsMax: number;
}

/**
 * A message has as many fragments as entries cut it into at most; 400 MB are 40 % of the default memory, and
 * entry closes at 60 %; an expiry is 5 days away, twice that with clocks and retries. Large messages that come
 * together would fill the room with parts of all of them, and none would ever be whole: 96 MB are for
 * the rest of one of the largest (66 MB), and of 900 small ones beside it.
 */
export const FRAGMENT_LIMITS: FragmentLimits = {
  fragmentsMax: FRAGMENTS_MAX,
  messagesMax: 10_000,
  bytesMax: 400 * 1024 * 1024,
  restBytesMax: 96 * 1024 * 1024,
  lifetimeMsMax: 10 * DAY_MS,
};

/** What became of a fragment, besides `committed`. */
export type FragmentRefusal = 'message-full' | 'message-mismatch' | 'message-expired';

/** How many keys and values `writeFragmentLua` takes, for what a script has after them. */
export const FRAGMENT_KEYS = 6;
export const FRAGMENT_VALUES = 14;

/**
 * The write as part of the journal's script: what is refused returns from it with its reason, what is
 * there already, or belongs to a delivered message, counts as written. All fragments of a message but the
 * last are of one length, so that any other tells how much room its rest takes.
 * KEYS: message, open messages by expiry, complete messages, bytes of all, delivered marker, room promised.
 * ARGV: id, index, total, expiry, sealed bytes, now, then four limits, keyed hash of the expiry, its
 * quarter of a day, room for rests, whether there is room for nothing else.
 */
export function writeFragmentLua(keysBefore: number, valuesBefore: number): string {
  const key = (index: number): string => `KEYS[${keysBefore + index}]`;
  const value = (index: number): string => `ARGV[${valuesBefore + index}]`;
  const number = (index: number): string => `tonumber(${value(index)})`;
  return `
  local function refusal()
    local index, total, expiry, now = ${number(2)}, ${number(3)}, ${number(4)}, ${number(6)}
    if total < 1 or index >= total or total > ${number(7)} then return 'message-mismatch' end
    if expiry > now + ${number(10)} then return 'message-mismatch' end
    if expiry <= now then return 'message-expired' end
    if redis.call('EXISTS', ${key(5)}) == 1 then return nil end
    local known = redis.call('HMGET', ${key(1)}, 'total', 'expiry', ${value(2)})
    if known[1] then
      if tonumber(known[1]) ~= total or known[2] ~= ${value(11)} then return 'message-mismatch' end
      if known[3] then return nil end
    elseif redis.call('ZCARD', ${key(2)}) >= ${number(8)} then
      return 'message-full'
    end
    local size = string.len(${value(5)})
    local held = tonumber(redis.call('GET', ${key(4)}) or '0') + size
    if held > ${number(9)} then return 'message-full' end
    local isTight = ${value(14)} == '1' or held > ${number(9)} - ${number(13)}
    if isTight and redis.call('HEXISTS', ${key(6)}, ${value(1)}) == 0 then
      local missing = total - (known[1] and redis.call('HLEN', ${key(1)}) - 3 or 0)
      if index == total - 1 and missing > 1 then return 'message-full' end
      local promised = tonumber(redis.call('HGET', ${key(6)}, 'sum') or '0')
      if promised + missing * size > ${number(13)} then return 'message-full' end
      redis.call('HSET', ${key(6)}, ${value(1)}, missing * size)
      redis.call('HINCRBY', ${key(6)}, 'sum', missing * size)
    end
    redis.call('HSET', ${key(1)}, 'total', ${value(3)}, 'expiry', ${value(11)}, ${value(2)}, ${value(5)})
    redis.call('HINCRBY', ${key(1)}, 'bytes', size)
    redis.call('INCRBY', ${key(4)}, size)
    redis.call('ZADD', ${key(2)}, ${value(12)}, ${value(1)})
    if redis.call('HLEN', ${key(1)}) == total + 3 then redis.call('SADD', ${key(3)}, ${value(1)}) end
    return nil
  end
  local refused = refusal()
  if refused then return refused end
  `;
}

// KEYS: message, open, complete, bytes, delivered, room promised. ARGV: id, until when to remember it, 0 for not.
const REMOVE = createScript(
  'remove a message',
  `
  if ARGV[2] ~= '0' then redis.call('SET', KEYS[5], '', 'PXAT', ARGV[2]) end
  redis.call('DECRBY', KEYS[4], redis.call('HGET', KEYS[1], 'bytes') or '0')
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('SREM', KEYS[3], ARGV[1])
  local promised = redis.call('HGET', KEYS[6], ARGV[1])
  if promised then
    redis.call('HDEL', KEYS[6], ARGV[1])
    redis.call('HINCRBY', KEYS[6], 'sum', -promised)
  end
  return redis.call('DEL', KEYS[1])
  `,
);

/** Messages on their way together. A message's id here is a keyed hash of the one it travels with. */
export class FragmentStore {
  readonly limits: FragmentLimits;
  readonly #store: Store;
  readonly #sealing: Sealing;

  /** @param options `storageKey`: 32 bytes, the exit's own, since messages outlive endpoints */
  constructor(
    store: Store,
    options: {
      readonly primitives: Primitives;
      readonly storageKey: Uint8Array;
      readonly limits?: Partial<FragmentLimits>;
    },
  ) {
    this.#store = store;
    this.#sealing = createSealing(options.primitives, options.storageKey);
    this.limits = { ...FRAGMENT_LIMITS, ...options.limits };
  }

  /** The id that this store, and jobs, have for a message: 32 hex digits, not the id it travels with. */
  idOf(messageId: Uint8Array): string {
    return this.#sealing.nameOf(concat(fromUtf8('message:'), messageId));
  }

  /**
   * Keys and values of the write, for the journal's script.
   * @throws RangeError where the message id is not 16 bytes: the decoder's bug
   */
  writeCall(fragment: Fragment, nowMs: number): ScriptCall {
    const { messageId, index, total, expiryMs, bytes } = fragment;
    if (messageId.length !== MESSAGE_ID_BYTES) {
      throw new RangeError(
        `message id: expected ${MESSAGE_ID_BYTES} bytes, got ${messageId.length}`,
      );
    }
    const id = this.idOf(messageId);
    const { fragmentsMax, messagesMax, bytesMax, restBytesMax, lifetimeMsMax } = this.limits;
    const sealed = this.#sealing.seal(bytes, context(id, index));
    const rests = this.#store.rests();
    return {
      keys: this.#keys(id),
      values: [id, index, total, expiryMs, sealed, nowMs].concat(
        fragmentsMax,
        messagesMax,
        bytesMax,
        lifetimeMsMax,
        this.#sealing.nameOf(fromUtf8(`expiry:${id}:${expiryMs}`)),
        coarseEnd(expiryMs, 0, EXPIRY_STEP_MS),
        Math.floor(Math.min(restBytesMax, bytesMax / 2, rests.bytesMax ?? restBytesMax)),
        rests.only ? 1 : 0,
      ),
    };
  }

  /**
   * Messages that are complete and not yet delivered. Give each its job after a commit, and at start:
   * adding a job that exists does nothing.
   */
  async complete(): Promise<readonly string[]> {
    return await guarded('list complete messages', async () => {
      return await this.#store.redis.smembers(this.#complete());
    });
  }

  /** All parts in order; null where the message is not complete, gone, or sealed under another key. */
  async load(id: string): Promise<readonly Uint8Array[] | null> {
    const key = this.#keys(id)[0] ?? '';
    const parts: Uint8Array[] = [];
    let total = Number.NaN;
    do {
      const indexes = Array.from({ length: LOADED_AT_ONCE }, (_, i) => String(parts.length + i));
      const [known, ...group] = await guarded('load a message', async () => {
        return await this.#store.redis.hmgetBuffer(key, 'total', ...indexes);
      });
      total = Number(known?.toString() ?? Number.NaN);
      for (const sealed of group.slice(0, total - parts.length)) {
        const place = context(id, parts.length);
        const part = sealed && this.#sealing.unseal(new Uint8Array(sealed), place);
        if (part === null) return null;
        parts.push(part);
      }
    } while (parts.length < total);
    // As many as are there, beside the three fields about them: a damaged total would cut the message short.
    const fields = await guarded('load a message', async () => await this.#store.redis.hlen(key));
    return parts.length === total && fields === total + 3 ? parts : null;
  }

  /** Removes a delivered message and remembers it for 14 days: its parts are then taken and dropped. */
  async markDelivered(id: string): Promise<void> {
    await this.#remove(id, coarseEnd(Date.now(), DELIVERED_MS));
  }

  /** Whether the message was delivered within the last 14 days. */
  async isDelivered(id: string): Promise<boolean> {
    return await guarded('look for a message', async () => {
      return (await this.#store.redis.exists(this.#delivered(id))) === 1;
    });
  }

  /** Removes a message without remembering it. */
  async remove(id: string): Promise<void> {
    await this.#remove(id, 0);
  }

  /**
   * Removes messages whose expiry has passed, complete or not, within six hours of it; returns their ids.
   */
  async expire(nowMs: number): Promise<readonly string[]> {
    const ids = await guarded('list expired messages', async () => {
      return await this.#store.redis.zrangebyscore(this.#open(), '-inf', nowMs);
    });
    for (const id of ids) await this.remove(id);
    return ids;
  }

  /** Messages that are not yet delivered, and the bytes of all. */
  async usage(): Promise<{ readonly messages: number; readonly bytes: number }> {
    return await guarded('measure messages', async () => ({
      messages: await this.#store.redis.zcard(this.#open()),
      bytes: Number((await this.#store.redis.get(this.#bytes())) ?? 0),
    }));
  }

  async #remove(id: string, rememberUntilMs: number): Promise<void> {
    const call = { keys: this.#keys(id), values: [id, rememberUntilMs] };
    await runScript(this.#store.redis, REMOVE, call);
  }

  #keys(id: string): readonly string[] {
    const message = `${this.#store.prefix}:message:${id}`;
    const ofAll = [this.#open(), this.#complete(), this.#bytes()];
    return [message, ...ofAll, this.#delivered(id), this.#promised()];
  }

  #open(): string {
    return `${this.#store.prefix}:messages-open`;
  }

  #complete(): string {
    return `${this.#store.prefix}:messages-complete`;
  }

  #bytes(): string {
    return `${this.#store.prefix}:messages-bytes`;
  }

  /** Room beyond the common one, by message, and in all as `sum`. */
  #promised(): string {
    return `${this.#store.prefix}:messages-promised`;
  }

  #delivered(id: string): string {
    return `${this.#store.prefix}:delivered:${id}`;
  }
}

function context(id: string, index: number): string {
  return `fragment:${id}:${index}`;
}
