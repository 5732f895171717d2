/**
 * Packets that this node has to pass on: sealed bytes, the next hop, when they are due. A record is
 * there from its commit until the next hop has answered 201; after a crash work resumes from records.
 */
import { concat, fromHex, fromUtf8, readUint, writeUint } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { createScript, runScript } from './script.ts';
import type { ScriptCall } from './script.ts';
import { createSealings } from './sealing.ts';
import type { StorageKeys } from './sealing.ts';

const NEXT_BYTES = 16;
const DUE_BYTES = 6;

/** A packet on its way. */
export interface ForwardRecord {
  /** Names the record, and the job that leads to it. */
  readonly recordId: string;
  /** Whose storage key seals it: an endpoint's; for own packets, any name that has a key. */
  readonly endpointId: string;
  /** Address of the next hop, 16 bytes. */
  readonly next: Uint8Array;
  /** Unix ms. */
  readonly dueMs: number;
  /** The packet as the next hop gets it. */
  readonly packet: Uint8Array;
}

/** A record as `pending` lists it, without its bytes. */
export interface PendingRecord {
  readonly recordId: string;
  readonly endpointId: string;
  readonly dueMs: number;
}

// KEYS: record, index of its endpoint, endpoints. ARGV: stored bytes, due, record id, endpoint id.
const WRITE = `
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[4])
`;
const PUT = createScript('store a packet', WRITE);

// KEYS: record. ARGV: key of an index without its endpoint, record id.
const REMOVE_TEXT = `
  local head = redis.call('GETRANGE', KEYS[1], 0, 255)
  if head ~= '' then
    redis.call('ZREM', ARGV[1] .. string.sub(head, 2, 1 + string.byte(head, 1)), ARGV[2])
  end
  local removed = redis.call('DEL', KEYS[1])
`;
const REMOVE = createScript('remove a packet', `${REMOVE_TEXT} return removed`);

/** Packets on their way. */
export class Records {
  readonly #store: Store;
  readonly #sealings: ReturnType<typeof createSealings>;

  /** @param options `storageKeys` gives each endpoint's key, 32 bytes, null once it is destroyed */
  constructor(
    store: Store,
    options: { readonly primitives: Primitives; readonly storageKeys: StorageKeys },
  ) {
    this.#store = store;
    this.#sealings = createSealings(options.primitives, options.storageKeys);
  }

  /**
   * The record that a packet's replay tag gets: tells nothing to who has no storage key.
   * @throws RangeError where the endpoint has no storage key (any more)
   */
  recordId(endpointId: string, tag: Uint8Array): string {
    return this.#sealing(endpointId).nameOf(concat(fromUtf8('record:'), tag));
  }

  /**
   * What is remembered of a replay tag, 16 bytes: who built a packet knows its tags at every hop, but does
   * not find them in what a node has written.
   * @throws RangeError where the endpoint has no storage key (any more)
   */
  tagName(endpointId: string, tag: Uint8Array): Uint8Array {
    const name = this.#sealing(endpointId).nameOf(concat(fromUtf8('tag:'), tag));
    return fromHex(name) as Uint8Array;
  }

  /** Stores a record; one of the same id is replaced. Packets that arrive come by the journal. */
  async put(record: ForwardRecord): Promise<void> {
    await runScript(this.#store.redis, PUT, this.writeCall(record));
  }

  /** Keys and values of the write, for the journal's script; see `writeRecordLua`. */
  writeCall(record: ForwardRecord): ScriptCall {
    const { recordId, endpointId, next, dueMs, packet } = record;
    if (next.length !== NEXT_BYTES) throw new RangeError(`next: expected ${NEXT_BYTES} bytes`);
    const due = Math.max(0, Math.ceil(dueMs));
    const plain = concat(next, writeUint(due, DUE_BYTES), packet);
    const sealed = this.#sealing(endpointId).seal(plain, context(recordId));
    const owner = fromUtf8(endpointId);
    const keys = [this.#key(recordId), this.#index(endpointId), this.#endpoints()];
    return {
      keys,
      values: [concat(writeUint(owner.length, 1), owner, sealed), due, recordId, endpointId],
    };
  }

  /** The record; null where it is settled, or its endpoint's key is destroyed. */
  async load(recordId: string): Promise<ForwardRecord | null> {
    const stored = await guarded('load a packet', async () => {
      return await this.#store.redis.getBuffer(this.#key(recordId));
    });
    if (stored === null) return null;
    const { endpointId, sealed } = partsOf(stored);
    const plain = this.#sealings.of(endpointId)?.unseal(sealed, context(recordId));
    if (plain === undefined || plain === null) {
      this.#store.log.warn({}, 'A packet cannot be opened: its key is gone');
      return null;
    }
    return {
      recordId,
      endpointId,
      next: plain.subarray(0, NEXT_BYTES),
      dueMs: readUint(plain, NEXT_BYTES, DUE_BYTES),
      packet: plain.subarray(NEXT_BYTES + DUE_BYTES),
    };
  }

  /** Whether any of these records is still there. */
  async hasAny(recordIds: readonly string[]): Promise<boolean> {
    const keys = recordIds.map((recordId) => this.#key(recordId));
    if (keys.length === 0) return false;
    return await guarded('look for packets', async () => {
      return (await this.#store.redis.exists(...keys)) > 0;
    });
  }

  /** Removes a settled record; its replay tag stays. False where it was gone already. */
  async remove(recordId: string): Promise<boolean> {
    return (await runScript(this.#store.redis, REMOVE, this.removeCall(recordId))) === 1;
  }

  /** Keys and values of the removal, for another script; see `removeRecordLua`. */
  removeCall(recordId: string): ScriptCall {
    return { keys: [this.#key(recordId)], values: [this.#index(''), recordId] };
  }

  /**
   * Every record that is not settled, of one endpoint or of all; some may come twice. Give each its
   * job again at start, and after `redis-unavailable`: adding a job that exists does nothing.
   */
  async *pending(endpointId?: string): AsyncIterable<PendingRecord> {
    const { redis } = this.#store;
    const endpointIds =
      endpointId === undefined
        ? await guarded('list packets', async () => await redis.smembers(this.#endpoints()))
        : [endpointId];
    for (const owner of endpointIds) {
      let cursor = '0';
      do {
        const from = cursor;
        const [next, flat] = await guarded('list packets', async () => {
          return await redis.zscan(this.#index(owner), from, 'COUNT', 500);
        });
        for (let i = 0; i + 1 < flat.length; i += 2) {
          yield { recordId: flat[i] ?? '', endpointId: owner, dueMs: Number(flat[i + 1]) };
        }
        cursor = next;
      } while (cursor !== '0');
    }
  }

  /**
   * Removes the records that nothing names, such as packets built by a preparation that was repeated.
   * @param endpointId whose records
   * @param isNamed whether something leads to this record
   * @returns how many were removed
   */
  async sweep(
    endpointId: string,
    isNamed: (recordId: string) => Promise<boolean>,
  ): Promise<number> {
    let removed = 0;
    for await (const { recordId } of this.pending(endpointId)) {
      if (!(await isNamed(recordId)) && (await this.remove(recordId))) removed++;
    }
    return removed;
  }

  /**
   * Packets that wait, of one endpoint or of all together: what bounds the packets of others must count
   * their endpoint alone, or mail of our own would decide what becomes of them.
   */
  async count(endpointId?: string): Promise<number> {
    const { redis } = this.#store;
    return await guarded('count packets', async () => {
      if (endpointId !== undefined) return await redis.zcard(this.#index(endpointId));
      const owners = await redis.smembers(this.#endpoints());
      const counts = await Promise.all(
        owners.map(async (owner) => await redis.zcard(this.#index(owner))),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    });
  }

  /** Removes all that one endpoint holds. Its storage key must go too: copies of Redis remain. */
  async destroy(endpointId: string): Promise<void> {
    for await (const { recordId } of this.pending(endpointId)) await this.remove(recordId);
    await guarded('destroy packets', async () => {
      await this.#store.redis
        .multi()
        .del(this.#index(endpointId))
        .srem(this.#endpoints(), endpointId)
        .exec();
    });
    this.forget(endpointId);
  }

  /** Lets go of what was derived from an endpoint's storage key, which is destroyed. */
  forget(endpointId: string): void {
    this.#sealings.forget(endpointId);
  }

  #sealing(endpointId: string) {
    const sealing = this.#sealings.of(endpointId);
    if (sealing === null) throw new RangeError(`endpoint ${endpointId} has no storage key`);
    return sealing;
  }

  #key(recordId: string): string {
    return `${this.#store.prefix}:record:${recordId}`;
  }

  #index(endpointId: string): string {
    return `${this.#store.prefix}:records:${endpointId}`;
  }

  #endpoints(): string {
    return `${this.#store.prefix}:record-endpoints`;
  }
}

/**
 * The write as part of another script, which has its own keys and values before these: 3 keys and
 * 4 values, those of `Records.writeCall`.
 */
export function writeRecordLua(keysBefore: number, valuesBefore: number): string {
  return shifted(WRITE, keysBefore, valuesBefore);
}

/** The removal as part of another script: 1 key and 2 values, those of `Records.removeCall`. */
export function removeRecordLua(keysBefore: number, valuesBefore: number): string {
  return shifted(REMOVE_TEXT, keysBefore, valuesBefore);
}

function shifted(text: string, keysBefore: number, valuesBefore: number): string {
  return text.replaceAll(/(KEYS|ARGV)\[(\d)\]/g, (_, table: string, index: string) => {
    return `${table}[${Number(index) + (table === 'KEYS' ? keysBefore : valuesBefore)}]`;
  });
}

/** Whose key seals a record, and what it sealed. A name that was damaged is nobody's, as any other is. */
function partsOf(stored: Buffer): { readonly endpointId: string; readonly sealed: Uint8Array } {
  const end = 1 + (stored[0] ?? 0);
  const endpointId = stored.toString('utf8', 1, end);
  return { endpointId, sealed: new Uint8Array(stored.subarray(end)) };
}

function context(recordId: string): string {
  return `record:${recordId}`;
}
