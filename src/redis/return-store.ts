/**
 * What an exit remembers of a mail that it gave to its mail server from a return address: enough to tell
 * the sender of a bounce that comes later. For 14 days, sealed; after that the address means nothing, and
 * where they are too many the oldest are forgotten before, for memory that they fill closes the entry.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript, type ScriptCall } from './script.ts';
import { createSealing, type Sealing } from './sealing.ts';

/** A mail server tries for 5 days, an alias may lead to one that tries 5 more, and slack. */
const REMEMBERED_MS = 14 * DAY_MS;
/** Mails are forgotten together, those of a quarter of a day. */
const STEP_MS = DAY_MS / 4;
/** 10 % of the default memory; half of it with the mails' headers, the rest without. */
const BYTES_MAX = 100 * 1024 * 1024;
/** Of all that, what one mail may take: 100 kB, a thousand usual recipients. */
const MEMORY_SHARE = 0.001;
/** What a mail takes beside its bytes: two fields' names, a mark, and Redis's own. */
const OVERHEAD_BYTES = 128;

/** A mail that may still bounce. */
export interface ReturnMemory {
  /** Opaque here: who sent what to whom. */
  readonly about: Uint8Array;
  /** What its sender has been told: marks of whoever claimed them. */
  readonly told: ReadonlySet<string>;
}

// KEYS: all ends, memories of this end. ARGV: name, sealed `about`, end, bytes that all may have, bytes of
// one beside its own, what the keys of memories begin with. Returns the bytes of all, and how many ends had to go.
const REMEMBER = createScript(
  'remember a return address',
  `
  local before = redis.call('HSTRLEN', KEYS[2], ARGV[1])
  local more = string.len(ARGV[2]) - before
  if before == 0 then more = more + tonumber(ARGV[5]) end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('HINCRBY', KEYS[2], 'bytes', more)
  redis.call('PEXPIREAT', KEYS[2], ARGV[3])
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[3])
  local ends = redis.call('ZRANGE', KEYS[1], 0, -1)
  local sizes, all, gone = {}, 0, 0
  for i, each in ipairs(ends) do
    sizes[i] = tonumber(redis.call('HGET', ARGV[6] .. each, 'bytes') or '0')
    if sizes[i] == 0 then redis.call('ZREM', KEYS[1], each) end
    all = all + sizes[i]
  end
  for i, each in ipairs(ends) do
    if all <= tonumber(ARGV[4]) or each == ARGV[3] then break end
    if sizes[i] > 0 then
      redis.call('UNLINK', ARGV[6] .. each)
      redis.call('ZREM', KEYS[1], each)
      all, gone = all - sizes[i], gone + 1
    end
  end
  return {all, gone}
  `,
);

/** How many values `claimLua` takes, after 1 key. */
export const CLAIM_VALUES = 3;

/**
 * Notes marks as told, as part of the script that keeps what is told; ends that script with `told`, and nothing
 * is changed, where one of them is noted already. Nothing where there are none.
 * KEYS: all ends. ARGV: name, what the keys of memories begin with, marks.
 */
export function claimLua(keysBefore: number, valuesBefore: number): string {
  const value = (index: number): string => `ARGV[${valuesBefore + index}]`;
  return `
  if ${value(3)} ~= '' then
    local claimed = ${value(3)}
    local memories = {}
    for _, each in ipairs(redis.call('ZRANGE', KEYS[${keysBefore + 1}], 0, -1)) do
      local key = ${value(2)} .. each
      if redis.call('HEXISTS', key, ${value(1)}) == 1 then
        local told = redis.call('HGET', key, 'told:' .. ${value(1)})
        for mark in string.gmatch(claimed, '[^,]+') do
          if told and string.find(',' .. told .. ',', ',' .. mark .. ',', 1, true) then return 'told' end
        end
        memories[#memories + 1] = {key, told}
      end
    end
    for _, memory in ipairs(memories) do
      local told = memory[2] and memory[2] .. ',' .. claimed or claimed
      redis.call('HSET', memory[1], 'told:' .. ${value(1)}, told)
    end
  end
  `;
}

/** Mails that may bounce, by message id. */
export class ReturnStore {
  readonly #store: Store;
  readonly #sealing: Sealing;
  readonly #bytesMax: number;
  #bytes = 0;

  /** @param options `storageKey`: 32 bytes, the exit's own */
  constructor(
    store: Store,
    options: {
      readonly primitives: Primitives;
      readonly storageKey: Uint8Array;
      readonly bytesMax?: number;
    },
  ) {
    this.#store = store;
    this.#sealing = createSealing(options.primitives, options.storageKey);
    this.#bytesMax = options.bytesMax ?? BYTES_MAX;
  }

  /** Whether there is room for more than what a report cannot do without; as of the last mail. */
  get isRoomy(): boolean {
    return this.#bytes < this.#bytesMax / 2;
  }

  /** So much one mail may take, that a few large ones do not make it forget all others. */
  get memoryBytesMax(): number {
    return this.#bytesMax * MEMORY_SHARE;
  }

  /** Remembers a mail; on disk when it returns. What its sender has been told stays as it is. */
  async remember(messageId: string, about: Uint8Array, nowMs = Date.now()): Promise<void> {
    const name = this.#nameOf(messageId);
    const sealed = this.#sealing.seal(about, `return:${name}`);
    const end = coarseEnd(nowMs, REMEMBERED_MS, STEP_MS);
    const limits = [this.#bytesMax, OVERHEAD_BYTES, this.#prefix()];
    const keys = [this.#ends(), this.#prefix() + String(end)];
    const reply = await runScript(this.#store.redis, REMEMBER, {
      keys,
      values: [name, sealed, end, ...limits],
    });
    const [bytes, gone] = reply as [number, number];
    this.#bytes = bytes;
    if (gone === 0) return;
    const fields = { event: 'returns-forgotten', quarters: gone };
    this.#store.log.warn(fields, 'No room for all mail that may bounce: the oldest is forgotten');
  }

  /** What is remembered of a mail; null where nothing is. */
  async load(messageId: string): Promise<ReturnMemory | null> {
    const name = this.#nameOf(messageId);
    const { redis } = this.#store;
    const found = await guarded('look up a return address', async () => {
      const ends = await redis.zrange(this.#ends(), '0', '-1');
      return await Promise.all(
        ends.map(async (end) => {
          return await redis.hmgetBuffer(this.#prefix() + end, name, `told:${name}`);
        }),
      );
    });
    let about: Uint8Array | null = null;
    const told = new Set<string>();
    // A mail that was given twice, in two quarters, is remembered in both.
    for (const [sealed, marks] of found) {
      about = (sealed && this.#sealing.unseal(new Uint8Array(sealed), `return:${name}`)) || about;
      for (const mark of marks?.toString().split(',') ?? []) told.add(mark);
    }
    return about && { about, told };
  }

  /**
   * Keys and values of `claimLua`: what is about to be told of a mail is told once.
   * @param marks words of letters and digits
   */
  claimCall(messageId: string, marks: readonly string[]): ScriptCall {
    const values = [this.#nameOf(messageId), this.#prefix(), marks.join(',')];
    return { keys: [this.#ends()], values };
  }

  #nameOf(messageId: string): string {
    return this.#sealing.nameOf(fromUtf8(`return:${messageId}`));
  }

  #ends(): string {
    return `${this.#store.prefix}:returns`;
  }

  #prefix(): string {
    return `${this.#store.prefix}:returns:`;
  }
}
