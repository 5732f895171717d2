/**
 * Messages of batch endpoints in Redis. A box is a sorted set of message hashes by id; what each message
 * says stands once in a hash of the endpoint, so that thousands move by their names alone. `seen` are all
 * hashes taken, against repeats; `posted` counts what each owner has put into the PROCESSBOX.
 */
import { type Box, type MessageCreate, type MessageData } from '../../src/api/message.ts';
import type { EndpointStatus } from '../../src/api/endpoint.ts';
import { guarded } from '../../src/redis/clients.ts';
import { createScript, type Script, type ScriptCall } from '../../src/redis/script.ts';
import type { Change, Document, Documents } from '../documents.ts';
import { MOVES } from '../endpoints/cycle.ts';
import type { Endpoint } from '../endpoints/rules.ts';
import { DONE_MS_MAX } from '../negotiations/rules.ts';
import { MessagePage, REMEMBERED } from './page.ts';

/** Messages looked through at once; who and for whom costs 250 bytes each. */
const LOOK_STEP = 512;
/** Texts read at once: as many of the largest are 4 MB. */
const READ_STEP = 32;

const POST = createScript(
  'post a message of a batch',
  `
  if redis.call('ZSCORE', KEYS[4], ARGV[2]) or redis.call('ZSCORE', KEYS[3], ARGV[2]) then
    return 'repeat'
  end
  if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 'stale' end
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return 'full' end
  if ARGV[4] ~= '' then
    if redis.call('HINCRBY', KEYS[6], ARGV[4], 1) > tonumber(ARGV[5]) then
      redis.call('HINCRBY', KEYS[6], ARGV[4], -1)
      return 'full'
    end
  end
  local next = string.format('%d', redis.call('HINCRBY', KEYS[2], 'last', 1))
  redis.call('ZADD', KEYS[3], next, ARGV[2])
  redis.call('ZADD', KEYS[4], next, ARGV[2])
  redis.call('HSET', KEYS[5], next, ARGV[7], next .. ':m', ARGV[6])
  return 'stored'
  `,
);

/** What a message says beside its text. */
type Meta = Pick<MessageData, 'sender' | 'recipient' | 'serial' | 'message_hash'>;

/** The boxes of batch endpoints. */
export class BatchStore {
  readonly #documents: Documents;

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  /** Stores a message once, where the endpoint is still as it was read; replies as `Posted`. */
  postCall(
    endpoint: Document<Endpoint> & { readonly value: Endpoint },
    message: MessageCreate,
    messageHash: string,
    signer: string,
    boxMax: number,
  ): { readonly script: Script; readonly call: ScriptCall } {
    const { endpoint_id: id, box, sender, recipient, serial, text } = message;
    const meta: Meta = { sender, recipient, serial, message_hash: messageHash };
    const { size_max: ownersMax } = endpoint.value.data;
    const counted = box === 'PROCESSBOX' ? signer : '';
    const call = {
      keys: [
        endpoint.key,
        this.#key('position', id),
        this.#box(id, box),
        this.#key('seen', id),
        this.#key('texts', id),
        this.#key('posted', id),
      ],
      values: [
        endpoint.version,
        messageHash,
        boxMax,
        counted,
        ownersMax,
        JSON.stringify(meta),
        text,
      ],
    };
    return { script: POST, call };
  }

  /** Ids of messages in a box, by their hashes; null where one is not in it. */
  async idsOf(endpointId: string, box: Box, hashes: readonly string[]): Promise<(number | null)[]> {
    if (hashes.length === 0) return [];
    const scores = await guarded('look for messages', () =>
      this.#documents.redis.zmscore(this.#box(endpointId, box), ...hashes),
    );
    return scores.map((score) => (score === null ? null : Number(score)));
  }

  /** Messages of a box above an id, lowest first; only those for one recipient where it is named. */
  async list(
    endpointId: string,
    box: Box,
    after: number,
    limit: number,
    recipient: string | null,
  ): Promise<MessageData[]> {
    const page = new MessagePage(limit);
    for (let from = after; ;) {
      const ids = await this.#ids(endpointId, box, from);
      const metas = await this.#held(
        endpointId,
        ids.map((id) => `${id}:m`),
      );
      const wanted = ids.flatMap((id, position) => {
        const meta = JSON.parse(metas[position] ?? 'null') as Meta | null;
        return meta === null || (recipient !== null && meta.recipient !== recipient)
          ? []
          : [{ id, meta }];
      });
      for (let at = 0; at < wanted.length; at += READ_STEP) {
        const step = wanted.slice(at, at + READ_STEP);
        const texts = await this.#held(
          endpointId,
          step.map(({ id }) => String(id)),
        );
        for (const [position, { id, meta }] of step.entries()) {
          const text = texts[position];
          // Gone since we looked: the next cycle has opened.
          if (text === null || text === undefined) continue;
          if (!page.add({ endpoint_id: endpointId, box, id, ...meta, text })) return page.messages;
        }
      }
      const last = ids.at(-1);
      if (last === undefined || ids.length < LOOK_STEP) return page.messages;
      from = last;
    }
  }

  /** What a new status does to the boxes, beside what the endpoint's document says. */
  change(
    endpointId: string,
    before: EndpointStatus,
    status: EndpointStatus,
    hashes: readonly string[],
  ): Change {
    const texts = this.#key('texts', endpointId);
    const moved = MOVES[status]?.map((box) => this.#box(endpointId, box)) ?? [];
    const [from, to] = moved;
    const moves = from !== undefined && to !== undefined ? [{ from, to, members: hashes }] : [];
    if (status === 'PROCESSED') {
      return {
        moves,
        drops: [{ key: this.#box(endpointId, 'PROCESSBOX'), held: texts }],
        remove: [this.#key('posted', endpointId)],
        lifetimes: this.#lasting(endpointId, DONE_MS_MAX),
      };
    }
    if (status === 'OPEN' && before === 'PROCESSED') {
      const gone = (['ACCEPTED', 'OUTBOX'] as const).map((box) => this.#box(endpointId, box));
      return {
        drops: gone.map((key) => ({ key, held: texts })),
        trims: [{ key: this.#key('seen', endpointId), keep: REMEMBERED }],
        lifetimes: this.#lasting(endpointId, null),
      };
    }
    return { moves };
  }

  #lasting(endpointId: string, ttlMs: number | null): NonNullable<Change['lifetimes']> {
    const boxes = (['INBOX', 'ACCEPTED', 'OUTBOX'] as const).map((box) =>
      this.#box(endpointId, box),
    );
    const others = ['position', 'seen', 'texts'].map((kind) => this.#key(kind, endpointId));
    return [...boxes, ...others].map((key) => ({ key, ttlMs }));
  }

  async #ids(endpointId: string, box: Box, after: number): Promise<number[]> {
    const pairs = await guarded('list messages', () =>
      this.#documents.redis.zrangebyscore(
        this.#box(endpointId, box),
        `(${after}`,
        '+inf',
        'WITHSCORES',
        'LIMIT',
        0,
        LOOK_STEP,
      ),
    );
    return pairs.flatMap((value, position) => (position % 2 === 1 ? [Number(value)] : []));
  }

  async #held(endpointId: string, fields: readonly string[]): Promise<(string | null)[]> {
    if (fields.length === 0) return [];
    return await guarded('read messages', () =>
      this.#documents.redis.hmget(this.#key('texts', endpointId), ...fields),
    );
  }

  #key(kind: string, endpointId: string): string {
    return this.#documents.key(kind, endpointId);
  }

  #box(endpointId: string, box: Box): string {
    return this.#documents.key('box', endpointId, box);
  }
}
