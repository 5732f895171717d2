/**
 * What this node has sent and waits to have back: one entry for each packet of its own, under a keyed
 * hash of its reply id, sealed and of one size whatever the packet carried; and when each fragment was
 * sent. Written in one step with the packet, so that no packet leaves whose answer cannot be read.
 */
import { concat, fromHex, fromUtf8, readUint, toHex, writeUint } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { guarded } from './clients.ts';
import { coarseEnd, DAY_MS } from './coarse-time.ts';
import type { Store } from './embedded.ts';
import { removeRecordLua, writeRecordLua } from './records.ts';
import type { ForwardRecord, Records } from './records.ts';
import { createScript, runScript } from './script.ts';
import { createSealing } from './sealing.ts';
import type { Sealing } from './sealing.ts';

const KINDS = ['fragment', 'cover', 'loop'] as const;
const ID_BYTES = 16;
const TIME_BYTES = 6;
/**
 * 29 bytes of kind, fragment and times; 7 keys of 16 bytes and 11 nodes of 32, each with its length and
 * both with their number: 513, for six hops out, which header length 320 allows, and six back. What is
 * longer takes as much again.
 */
const ENTRY_BYTES = 544;
const HOUR_MS = 3_600_000;
/** An answer that takes longer is of no use: the fragment has been sent again since. */
const SENT_MS = 2 * HOUR_MS;
/** Those of ten minutes end together. */
const SENT_STEP_MS = HOUR_MS / 6;
/** Longer than any fragment lives; only what a crash left behind comes to it. */
const SENDS_MS = 14 * DAY_MS;

/** A packet of our own that an answer is expected to. */
export interface SentPacket {
  readonly kind: (typeof KINDS)[number];
  /** Record of the fragment, 32 hex digits; null where it carried none. */
  readonly fragmentId: string | null;
  /** Opens the reply (Sphinx §3.4): up to 255 bytes each. */
  readonly keytuple: readonly Uint8Array[];
  /** Peer ids of all hops out and back, without ourselves. */
  readonly nodes: readonly string[];
  /** Unix ms. */
  readonly sentMs: number;
  /** When it should be back, unix ms. */
  readonly dueMs: number;
}

// KEYS: record, its index, endpoints, entry, history, record of the fragment.
// ARGV: four of the record, sealed entry, its end, sealed history or nothing, its end.
const SEND = createScript(
  'store a packet to send',
  `
  ${writeRecordLua(0, 0)}
  redis.call('SET', KEYS[4], ARGV[5], 'PXAT', ARGV[6])
  if ARGV[7] ~= '' and redis.call('EXISTS', KEYS[6]) == 1 then
    redis.call('SET', KEYS[5], ARGV[7], 'PXAT', ARGV[8])
  end
  `,
);

// KEYS: record of the fragment, entry, history. ARGV: two of the record's removal.
const SETTLE = createScript(
  'settle a fragment',
  `
  redis.call('DEL', KEYS[2], KEYS[3])
  ${removeRecordLua(0, 0)}
  `,
);

/** Packets of our own that are on their way, and back. */
export class SentStore {
  readonly #store: Store;
  readonly #records: Records;
  readonly #sealing: Sealing;
  readonly #now: () => number;

  /** @param options `storageKey`: 32 bytes, the node's own; `now` ms since 1970 */
  constructor(
    store: Store,
    options: {
      readonly primitives: Primitives;
      readonly storageKey: Uint8Array;
      readonly records: Records;
      readonly now?: () => number;
    },
  ) {
    this.#store = store;
    this.#records = options.records;
    this.#sealing = createSealing(options.primitives, options.storageKey);
    this.#now = options.now ?? Date.now;
  }

  /**
   * Stores a packet that is to leave, what opens its reply, and when its fragment has been sent, in one
   * write; then give the record its job. The same again changes nothing.
   * @param packet `replyId` 16 bytes; `sends` opaque here, null where there is no fragment. It is not
   * stored where the fragment has been settled meanwhile.
   * @throws RangeError where a field has not its size: a bug
   */
  async send(packet: {
    readonly record: ForwardRecord;
    readonly replyId: Uint8Array;
    readonly sent: SentPacket;
    readonly sends: Uint8Array | null;
  }): Promise<void> {
    const { record, replyId, sent, sends } = packet;
    const name = this.#nameOf(replyId);
    const fragmentId = sent.fragmentId ?? '';
    const write = this.#records.writeCall(record);
    await runScript(this.#store.redis, SEND, {
      keys: [
        ...write.keys,
        this.#entry(name),
        this.#history(fragmentId),
        ...this.#records.removeCall(fragmentId).keys,
      ],
      values: [
        ...write.values,
        this.#sealing.seal(encode(sent), context(name)),
        coarseEnd(this.#now(), SENT_MS, SENT_STEP_MS),
        sends === null ? '' : this.#sealing.seal(sends, historyContext(fragmentId)),
        coarseEnd(this.#now(), SENDS_MS),
      ],
    });
  }

  /** What was sent under this reply id; null where nothing was, or it is settled or too old. */
  async load(replyId: Uint8Array): Promise<SentPacket | null> {
    const name = this.#nameOf(replyId);
    const plain = await this.#open(this.#entry(name), context(name));
    return plain && decode(plain);
  }

  /**
   * It is back: forgets it; where it carried a fragment, removes that and its history too, in one write.
   * Twice is harmless. Take the fragment's job out after it: a job without a record does nothing.
   */
  async settle(replyId: Uint8Array): Promise<void> {
    const sent = await this.load(replyId);
    if (sent === null || sent.fragmentId === null) {
      if (sent !== null) await this.forget(replyId);
      return;
    }
    const { keys, values } = this.#records.removeCall(sent.fragmentId);
    const entry = this.#entry(this.#nameOf(replyId));
    await runScript(this.#store.redis, SETTLE, {
      keys: [...keys, entry, this.#history(sent.fragmentId)],
      values,
    });
  }

  /** Forgets it alone: a fragment that was refused stays, to be sent again. */
  async forget(replyId: Uint8Array): Promise<void> {
    const entry = this.#entry(this.#nameOf(replyId));
    await guarded('forget a packet', async () => await this.#store.redis.del(entry));
  }

  /** When a fragment was sent, as `send` got it; null where it never was. */
  async sends(fragmentId: string): Promise<Uint8Array | null> {
    return await this.#open(this.#history(fragmentId), historyContext(fragmentId));
  }

  /** Forgets when a fragment was sent: it has expired. */
  async removeSends(fragmentId: string): Promise<void> {
    const history = this.#history(fragmentId);
    await guarded('forget a history', async () => await this.#store.redis.del(history));
  }

  async #open(key: string, place: string): Promise<Uint8Array | null> {
    const sealed = await guarded('load what was sent', async () => {
      return await this.#store.redis.getBuffer(key);
    });
    return sealed && this.#sealing.unseal(new Uint8Array(sealed), place);
  }

  #nameOf(replyId: Uint8Array): string {
    if (replyId.length !== ID_BYTES) throw new RangeError(`reply id: expected ${ID_BYTES} bytes`);
    return this.#sealing.nameOf(concat(fromUtf8('sent:'), replyId));
  }

  #entry(name: string): string {
    return `${this.#store.prefix}:sent:${name}`;
  }

  #history(fragmentId: string): string {
    return `${this.#store.prefix}:sends:${fragmentId}`;
  }
}

/** Kind, fragment or zeros, times, keys and nodes with their lengths, zeros up to a whole entry. */
function encode(sent: SentPacket): Uint8Array {
  const { kind, fragmentId, keytuple, nodes, sentMs, dueMs } = sent;
  const fields = concat(
    writeUint(KINDS.indexOf(kind), 1),
    fragmentId === null ? new Uint8Array(ID_BYTES) : hexBytes('fragment id', fragmentId, ID_BYTES),
    writeUint(Math.floor(sentMs), TIME_BYTES),
    writeUint(Math.ceil(dueMs), TIME_BYTES),
    encodeList(keytuple),
    encodeList(nodes.map((node) => hexBytes('node', node, 32))),
  );
  const entries = Math.ceil(fields.length / ENTRY_BYTES);
  return concat(fields, new Uint8Array(entries * ENTRY_BYTES - fields.length));
}

function decode(plain: Uint8Array): SentPacket {
  const timesAt = 1 + ID_BYTES;
  const listsAt = timesAt + 2 * TIME_BYTES;
  const kind = KINDS[plain[0] as number] as SentPacket['kind'];
  const keytuple = decodeList(plain, listsAt);
  const nodes = decodeList(plain, keytuple.end);
  return {
    kind,
    fragmentId: kind === 'fragment' ? toHex(plain.subarray(1, timesAt)) : null,
    keytuple: keytuple.items,
    nodes: nodes.items.map(toHex),
    sentMs: readUint(plain, timesAt, TIME_BYTES),
    dueMs: readUint(plain, timesAt + TIME_BYTES, TIME_BYTES),
  };
}

function encodeList(items: readonly Uint8Array[]): Uint8Array {
  const parts = items.flatMap((item) => [writeUint(item.length, 1), item]);
  return concat(writeUint(items.length, 1), ...parts);
}

function decodeList(
  from: Uint8Array,
  at: number,
): { readonly items: readonly Uint8Array[]; readonly end: number } {
  const items: Uint8Array[] = [];
  let end = at + 1;
  for (let left = readUint(from, at, 1); left > 0; left--) {
    const start = end + 1;
    end = start + readUint(from, end, 1);
    items.push(from.slice(start, end));
  }
  return { items, end };
}

function hexBytes(name: string, text: string, length: number): Uint8Array {
  const bytes = fromHex(text);
  if (bytes?.length !== length) throw new RangeError(`${name}: expected ${2 * length} hex digits`);
  return bytes;
}

function context(name: string): string {
  return `sent:${name}`;
}

function historyContext(fragmentId: string): string {
  return `sends:${fragmentId}`;
}
