/**
 * Messages of continuous endpoints in Redis. A box is a stream whose ids are the message ids; `seen` is a sorted set of message
 * hashes by id, against repeats and for the running hash; `position` counts what was taken and released.
 * Posting is one script: repeat, status, backlog, id and text in one atomic step.
 */
import { emptyInboxHash, type MessageData, runningInboxHash } from '../../src/api/message.ts';
import type { Box, MessageCreate } from '../../src/api/message.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { PanoramixError } from '../../src/errors.ts';
import { guarded } from '../../src/redis/clients.ts';
import { createScript, runScript, type Script, type ScriptCall } from '../../src/redis/script.ts';
import type { Change, Document, Documents } from '../documents.ts';
import type { Endpoint, Inbox } from '../endpoints/rules.ts';
import { MessagePage, REMEMBERED } from './page.ts';

/** Messages released in one script: Redis does nothing else meanwhile. */
const RELEASE_STEP = 512;
/** Hashes in one go: this process does nothing else meanwhile. */
const HASH_STEP = 1024;
/** Messages read at once: as many of the largest are 4 MB. */
const READ_STEP = 32;
const POST = createScript(
  'post a message',
  `
  local id = redis.call('ZSCORE', KEYS[4], ARGV[2])
  if id then return 'repeat' end
  if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 'stale' end
  if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[3]) then return 'full' end
  local next = string.format('%d', redis.call('HINCRBY', KEYS[2], 'last', 1))
  redis.call('XADD', KEYS[3], next .. '-0', 'sender', ARGV[4], 'recipient', ARGV[5],
    'serial', ARGV[6], 'hash', ARGV[2], 'text', ARGV[7])
  redis.call('ZADD', KEYS[4], next, ARGV[2])
  return 'stored'
  `,
);

const RELEASE = createScript(
  'release messages',
  `
  if (redis.call('HGET', KEYS[1], 'released') or '0') ~= ARGV[1] then return 'conflict' end
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[5])
  redis.call('HSET', KEYS[1], 'released', ARGV[2], 'hash', ARGV[4])
  return 'done'
  `,
);

/** What posting came to. `stale`: the endpoint has changed since it was read. */
export type Posted = 'stored' | 'repeat' | 'stale' | 'full';

/** How far an INBOX is. */
export interface Position {
  /** Last id that was given out; 0 before the first. */
  readonly last: number;
  /** Id up to which the owner has released. */
  readonly released: number;
  /** Running hash up to `released`. */
  readonly hash: string;
}

/** The boxes of continuous endpoints; `seen` and `position` also of batch endpoints. */
export class MessageStore {
  readonly #documents: Documents;
  readonly #primitives: Primitives;

  constructor(documents: Documents, primitives: Primitives) {
    this.#documents = documents;
    this.#primitives = primitives;
  }

  /** Stores a message once, where the endpoint is still as it was read; replies as `Posted`. */
  postCall(
    endpoint: Document<Endpoint>,
    message: MessageCreate,
    messageHash: string,
    boxMax: number,
  ): { readonly script: Script; readonly call: ScriptCall } {
    const id = message.endpoint_id;
    const { sender, recipient, serial, text, box } = message;
    const call = {
      keys: [endpoint.key, this.#position(id), this.#box(id, box), this.#seen(id)],
      values: [endpoint.version, messageHash, boxMax, sender, recipient, serial, text],
    };
    return { script: POST, call };
  }

  /** Whether this very message has been stored, as far as that is remembered. */
  async hasSeen(endpointId: string, messageHash: string): Promise<boolean> {
    const score = await guarded('look for a message', () =>
      this.#documents.redis.zscore(this.#seen(endpointId), messageHash),
    );
    return score !== null;
  }

  /** Messages of a box above an id, lowest first; fewer than `limit` where they are large. */
  async list(endpointId: string, box: Box, after: number, limit: number): Promise<MessageData[]> {
    const page = new MessagePage(limit);
    for (let from = after; ;) {
      const found = await this.#read(endpointId, box, from, Math.min(READ_STEP, limit));
      for (const message of found) if (!page.add(message)) return page.messages;
      const last = found.at(-1);
      if (last === undefined || found.length < Math.min(READ_STEP, limit)) return page.messages;
      from = last.id;
    }
  }

  async #read(endpointId: string, box: Box, after: number, count: number): Promise<MessageData[]> {
    const entries = await guarded('list messages', () =>
      this.#documents.redis.xrange(
        this.#box(endpointId, box),
        `${after + 1}-0`,
        '+',
        'COUNT',
        count,
      ),
    );
    return entries.map(([streamId, pairs]) => {
      const fields: Record<string, string> = {};
      for (let i = 0; i + 1 < pairs.length; i += 2) fields[pairs[i] ?? ''] = pairs[i + 1] ?? '';
      const { sender = '', recipient = '', serial = '', hash = '', text = '' } = fields;
      const id = Number(streamId.split('-')[0]);
      const common = { endpoint_id: endpointId, box, id };
      return { ...common, sender, recipient, text, serial, message_hash: hash };
    });
  }

  /** How far an INBOX is. */
  async position(endpointId: string): Promise<Position> {
    const [last, released, hash] = await guarded('read a position', () =>
      this.#documents.redis.hmget(this.#position(endpointId), 'last', 'released', 'hash'),
    );
    return {
      last: Number(last ?? 0),
      released: Number(released ?? 0),
      hash: hash ?? emptyInboxHash(this.#primitives, endpointId),
    };
  }

  /** Everything that an INBOX has taken, as its closing names it. */
  async inbox(endpointId: string, position: Position): Promise<Inbox> {
    let inboxHash = position.hash;
    // In steps, since a full backlog takes a third of a second to hash.
    for (let at = position.released; at < position.last; at += HASH_STEP) {
      const to = Math.min(position.last, at + HASH_STEP);
      const hashes = await this.#hashes(endpointId, at, to);
      inboxHash = runningInboxHash(this.#primitives, inboxHash, hashes);
    }
    return { inboxHash, lastMessageId: position.last };
  }

  /** Removes messages up to an id, in steps; each moves the running hash on. Harmless when repeated. */
  async release(endpointId: string, upTo: number): Promise<void> {
    for (;;) {
      const before = await this.position(endpointId);
      if (upTo > before.last) {
        throw new PanoramixError('last-message-mismatch', 'released what was never given out');
      }
      if (upTo <= before.released) return;
      const to = Math.min(upTo, before.released + RELEASE_STEP);
      const hashes = await this.#hashes(endpointId, before.released, to);
      const hash = runningInboxHash(this.#primitives, before.hash, hashes);
      const forget = Math.min(to, before.last - REMEMBERED);
      await runScript(this.#documents.redis, RELEASE, {
        keys: [this.#position(endpointId), this.#box(endpointId, 'INBOX'), this.#seen(endpointId)],
        values: [before.released, to, `${to + 1}-0`, hash, forget],
      });
    }
  }

  /** What a change of the endpoint expects of the INBOX: that nothing has come in since. */
  unmoved(endpointId: string, position: Position): NonNullable<Change['fields']> {
    const is = position.last === 0 ? '' : String(position.last);
    return [{ key: this.#position(endpointId), field: 'last', is }];
  }

  /** Keys that go when an endpoint has been processed. */
  keys(endpointId: string): string[] {
    return [this.#position(endpointId), this.#box(endpointId, 'INBOX'), this.#seen(endpointId)];
  }

  /** Message hashes with ids above one and up to another, in the order of ids. */
  async #hashes(endpointId: string, above: number, upTo: number): Promise<string[]> {
    if (above === upTo) return [];
    return await guarded('read message hashes', () =>
      this.#documents.redis.zrangebyscore(this.#seen(endpointId), above + 1, upTo),
    );
  }

  #box(endpointId: string, box: Box): string {
    return this.#documents.key('box', endpointId, box);
  }

  #position(endpointId: string): string {
    return this.#documents.key('position', endpointId);
  }

  #seen(endpointId: string): string {
    return this.#documents.key('seen', endpointId);
  }
}
