/**
 * The commit: one atomic write of a packet's replay tag and of what becomes of the packet. A packet that
 * is not committed has left no trace and may come again; one that is never has a second outcome.
 */
import { setTimeout as pause } from 'node:timers/promises';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { FRAGMENT_KEYS, FRAGMENT_VALUES, writeFragmentLua } from './fragment-store.ts';
import type { Fragment, FragmentRefusal, FragmentStore } from './fragment-store.ts';
import { writeRecordLua } from './records.ts';
import type { Records } from './records.ts';
import { createScript, runScripts } from './script.ts';
import type { Script, ScriptCall } from './script.ts';

const TAG_BYTES = 16;
/**
 * Tags, each as 16 bytes of keyed hash, are fields of small hashes, by their first 16 bits: a hash of up to 128 short fields is one
 * packed string. At the default limit a bucket holds 61 tags on average, 128 practically never; more
 * would still be exact, only larger.
 */
const BUCKET_BITS = 16;
const BUCKETS = 2 ** BUCKET_BITS;
/** 370 packets/s for the 3 hours of an endpoint, or 4 a second for 11 days; about 96 MB (README). */
const TAGS_MAX_DEFAULT = 4_000_000;
/** Written and fsynced together: 128 packets are 4 MB. */
const GROUP_MAX = 128;
/** Buckets removed in one command, a ms or two of Redis; then others have their turn for as long again. */
const DESTROYED_AT_ONCE = 1_024;

/** A packet to pass on: the one that came, without its outermost layer, or the answer to it. */
export interface Onward {
  readonly packet: Uint8Array;
  /** Address of the next hop, 16 bytes. */
  readonly next: Uint8Array;
  /** Unix ms. */
  readonly dueMs: number;
}

/** What becomes of a packet. */
export type Outcome =
  | ({ readonly kind: 'forward' } & Onward)
  | {
      readonly kind: 'fragment';
      readonly fragment: Fragment;
      /** Leaves where the fragment is stored, under the record id of the tag; null: no answer. */
      readonly ack: Onward | null;
    }
  | { readonly kind: 'none' };

/** A packet to commit. */
export interface CommitEntry {
  /** The endpoint that the packet was sent to: tags are per mix key. */
  readonly endpointId: string;
  /** Replay tag, 16 bytes. */
  readonly tag: Uint8Array;
  readonly outcome: Outcome;
}

/**
 * `committed`: tag and outcome are stored (a fragment that is there already, or whose message has been
 * delivered, counts as stored). `replayed`: the tag was known. With all others nothing was written,
 * not even the tag; commit `none` for it where the packet shall not come again.
 */
export type CommitResult = 'committed' | 'replayed' | 'journal-full' | FragmentRefusal;

// KEYS: bucket of the tag, count of tags. ARGV: rest of the tag, most tags.
const CHECK_TAG = `
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'replayed' end
  if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[2]) then return 'journal-full' end
`;
const WRITE_TAG = `
  redis.call('HSET', KEYS[1], ARGV[1], '')
  redis.call('INCR', KEYS[2])
  return 'committed'
`;
const FORWARD = createScript('commit a packet', CHECK_TAG + writeRecordLua(2, 2) + WRITE_TAG);
const FRAGMENT = createScript('commit a fragment', CHECK_TAG + writeFragmentLua(2, 2) + WRITE_TAG);
/** A refused fragment returns before its ack is written. */
const ACKED = createScript(
  'commit a fragment and its ack',
  CHECK_TAG +
    writeFragmentLua(2, 2) +
    writeRecordLua(2 + FRAGMENT_KEYS, 2 + FRAGMENT_VALUES) +
    WRITE_TAG,
);
const NONE = createScript('commit a tag', CHECK_TAG + WRITE_TAG);

/** Replay tags and commits of all endpoints of a node. */
export class Journal {
  /** Packets that each endpoint can remember; then it drops new ones. */
  readonly tagsMax: number;
  readonly #store: Store;
  readonly #records: Records;
  readonly #fragments: FragmentStore | null;
  readonly #now: () => number;
  /** Tags whose commit failed with Redis away: it may have happened or not. */
  readonly #uncertain = new Set<string>();

  /** @param options `fragments` where the node is an exit; `tagsMax` per endpoint */
  constructor(
    store: Store,
    options: {
      readonly records: Records;
      readonly fragments?: FragmentStore;
      readonly tagsMax?: number;
      readonly now?: () => number;
    },
  ) {
    this.#store = store;
    this.#records = options.records;
    this.#fragments = options.fragments ?? null;
    this.tagsMax = options.tagsMax ?? TAGS_MAX_DEFAULT;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Commits packets, each atomically, all in few writes to disk, sorted by record id, a keyed hash of the
   * tag, so that neither the append-only file nor the time tells in which order they came.
   *
   * After `redis-unavailable` the same entries must be committed again: what had been written after
   * all answers `committed` once more, so that its job is added. Results are in the entries' order.
   * @throws PanoramixError `redis-unavailable`, `storage-pressure`
   */
  async commit(entries: readonly CommitEntry[]): Promise<readonly CommitResult[]> {
    const sorted = entries
      .map((entry, position) => ({ entry, position, tag: this.#nameOf(entry) }))
      .toSorted((left, right) => (left.tag < right.tag ? -1 : left.tag > right.tag ? 1 : 0));
    const results: CommitResult[] = entries.map(() => 'replayed');
    for (let from = 0; from < sorted.length; from += GROUP_MAX) {
      const group = sorted.slice(from, from + GROUP_MAX);
      const calls = group.map(({ entry }) => this.#call(entry));
      const replies = await runScripts(this.#store.redis, calls).catch((thrown: unknown) => {
        for (const { tag } of sorted) this.#uncertain.add(tag);
        throw thrown;
      });
      group.forEach(({ entry, position, tag }, index) => {
        const result = String(replies[index]) as CommitResult;
        if (result === 'committed') this.#store.wrote(lengthOf(entry.outcome));
        const ours = this.#uncertain.delete(tag) && result === 'replayed';
        results[position] = ours ? 'committed' : result;
      });
    }
    return results;
  }

  /** Whether a packet with this tag has been committed: saves peeling bodies; `commit` decides. */
  async has(endpointId: string, tag: Uint8Array): Promise<boolean> {
    const { bucket, rest } = this.#place(endpointId, tag);
    return await guarded('look for a tag', async () => {
      return (await this.#store.redis.hexists(bucket, rest)) === 1;
    });
  }

  /** Tags that an endpoint holds. */
  async count(endpointId: string): Promise<number> {
    return await guarded('count tags', async () => {
      return Number((await this.#store.redis.get(this.#count(endpointId))) ?? 0);
    });
  }

  /**
   * Removes an endpoint's tags and records, for good. Only after its mix key is destroyed: from then on
   * nobody can tell a replay. Its storage key must go at the same time. In pieces, between which other
   * commands have their turn; after a failure, or a kill, done again it does the rest.
   */
  async destroy(endpointId: string): Promise<void> {
    await this.#records.destroy(endpointId);
    // The count goes last, so where there is none there are no tags.
    if ((await this.count(endpointId)) === 0) return;
    for (let from = 0; from < BUCKETS; from += DESTROYED_AT_ONCE) {
      const buckets = Array.from({ length: DESTROYED_AT_ONCE }, (_, i) =>
        this.#bucket(endpointId, from + i),
      );
      const beganMs = performance.now();
      await guarded('destroy tags', async () => await this.#store.redis.unlink(...buckets));
      await pause(performance.now() - beganMs);
    }
    await guarded('destroy tags', async () => {
      await this.#store.redis.unlink(this.#count(endpointId));
    });
  }

  #call({ endpointId, tag, outcome }: CommitEntry): { script: Script; call: ScriptCall } {
    const { bucket, rest } = this.#place(endpointId, tag);
    const { script, writes } = this.#writes(endpointId, tag, outcome);
    return {
      script,
      call: {
        keys: [bucket, this.#count(endpointId), ...writes.flatMap(({ keys }) => keys)],
        values: [rest, this.tagsMax, ...writes.flatMap(({ values }) => values)],
      },
    };
  }

  #writes(
    endpointId: string,
    tag: Uint8Array,
    outcome: Outcome,
  ): { readonly script: Script; readonly writes: readonly ScriptCall[] } {
    if (outcome.kind === 'none') return { script: NONE, writes: [] };
    const onward = ({ packet, next, dueMs }: Onward): ScriptCall => {
      const recordId = this.#records.recordId(endpointId, tag);
      return this.#records.writeCall({ recordId, endpointId, packet, next, dueMs });
    };
    if (outcome.kind === 'forward') return { script: FORWARD, writes: [onward(outcome)] };
    if (this.#fragments === null) throw new RangeError('this node keeps no fragments');
    const kept = this.#fragments.writeCall(outcome.fragment, this.#now());
    return outcome.ack === null
      ? { script: FRAGMENT, writes: [kept] }
      : { script: ACKED, writes: [kept, onward(outcome.ack)] };
  }

  #nameOf({ endpointId, tag }: CommitEntry): string {
    return `${this.#records.recordId(endpointId, tag)}:${endpointId}`;
  }

  #place(endpointId: string, tag: Uint8Array): { readonly bucket: string; readonly rest: Buffer } {
    if (tag.length !== TAG_BYTES) throw new RangeError(`tag: expected ${TAG_BYTES} bytes`);
    const name = this.#records.tagName(endpointId, tag);
    const [first = 0, second = 0] = name;
    // The first byte is wholly in the bucket's number; of the second its last bit stays in the rest.
    const bucket = this.#bucket(endpointId, ((first << 8) | second) >> (16 - BUCKET_BITS));
    return { bucket, rest: Buffer.from(name.subarray(1)) };
  }

  #bucket(endpointId: string, number: number): string {
    return `${this.#store.prefix}:tags:${endpointId}:${number.toString(36)}`;
  }

  #count(endpointId: string): string {
    return `${this.#store.prefix}:tags:${endpointId}`;
  }
}

/** Bytes that an outcome keeps in the store, but for what is small. */
function lengthOf(outcome: Outcome): number {
  if (outcome.kind === 'none') return 0;
  if (outcome.kind === 'forward') return outcome.packet.length;
  return outcome.fragment.bytes.length + (outcome.ack?.packet.length ?? 0);
}
