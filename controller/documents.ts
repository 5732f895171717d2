/**
 * The controller's state in Redis, messages apart: JSON documents, each with a version. Rules read
 * documents and say what shall be; one script writes all of it, or nothing where a document that the
 * rule looked at has changed since. So every rule stays plain TypeScript, and nothing happens between
 * its reading and its writing.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { PanoramixError } from '../src/errors.ts';
import { guarded } from '../src/redis/clients.ts';
import { createScript, runScript } from '../src/redis/script.ts';

/** A document as read. The version is empty where there is none. */
export interface Document<T> {
  readonly key: string;
  readonly version: string;
  readonly value: T | null;
}

/**
 * Documents that stay as long as somebody keeps them: there may be several keepers, each with a name.
 * `ttlMs` null keeps them; a number lets go, and whoever is the last sets so long a time.
 */
export interface Keep {
  readonly keys: readonly string[];
  /** Key of the set of keepers. */
  readonly keepers: string;
  readonly keeper: string;
  readonly ttlMs: number | null;
}

/** One atomic change. */
export interface Change {
  /** Documents that must still be as they were read. */
  readonly expect?: readonly Document<unknown>[];
  /** Fields of plain hashes that must hold a value. */
  readonly fields?: readonly {
    readonly key: string;
    readonly field: string;
    readonly is: string;
  }[];
  /** Sorted sets that must hold fewer than `max` members with scores above `nowMs`. */
  readonly limits?: readonly {
    readonly key: string;
    readonly max: number;
    readonly nowMs: number;
  }[];
  /** Documents to write; `ttlMs` null keeps them for good. */
  readonly put?: readonly {
    readonly key: string;
    readonly value: unknown;
    readonly ttlMs: number | null;
  }[];
  readonly keeps?: readonly Keep[];
  readonly remove?: readonly string[];
  readonly index?: readonly {
    readonly key: string;
    readonly score: number;
    readonly member: string;
  }[];
  /** Sorted sets from which scores up to a time go. */
  readonly prune?: readonly { readonly key: string; readonly nowMs: number }[];
  readonly unindex?: readonly { readonly key: string; readonly member: string }[];
  /** Members that go from one sorted set to another with their scores; all must be there. */
  readonly moves?: readonly {
    readonly from: string;
    readonly to: string;
    readonly members: readonly string[];
  }[];
  /** Sorted sets that go, with what a hash holds under each score and under `SCORE:m`. */
  readonly drops?: readonly { readonly key: string; readonly held: string }[];
  /** Sorted sets of which so many members with the highest scores stay. */
  readonly trims?: readonly { readonly key: string; readonly keep: number }[];
  /** Keys that go after a time; `ttlMs` null keeps them for good. */
  readonly lifetimes?: readonly { readonly key: string; readonly ttlMs: number | null }[];
}

/** `conflict`: something expected is no longer so; `limit`: a set is full. Both wrote nothing. */
export type Committed = 'done' | 'conflict' | 'limit';

/** Two hundred owners who contribute at the same moment all get through. */
const ATTEMPTS_MAX = 400;
const PAUSE_MS_MAX = 20;

const COMMIT = createScript(
  'change documents',
  `
  local plan = cjson.decode(ARGV[1])
  for _, e in ipairs(plan.expect) do
    if (redis.call('HGET', KEYS[e[1]], e[2]) or '') ~= e[3] then return 'conflict' end
  end
  for _, l in ipairs(plan.limits) do
    if redis.call('ZCOUNT', KEYS[l[1]], '(' .. l[3], '+inf') >= l[2] then return 'limit' end
  end
  for _, m in ipairs(plan.moves) do
    for _, member in ipairs(m[3]) do
      if not redis.call('ZSCORE', KEYS[m[1]], member) then return 'conflict' end
    end
  end
  for _, p in ipairs(plan.prune) do redis.call('ZREMRANGEBYSCORE', KEYS[p[1]], '-inf', p[2]) end
  for _, p in ipairs(plan.put) do
    redis.call('HSET', KEYS[p[1]], 'v', p[2], 'j', ARGV[p[3]])
    if p[4] == '' then redis.call('PERSIST', KEYS[p[1]]) else redis.call('PEXPIRE', KEYS[p[1]], p[4]) end
  end
  for _, k in ipairs(plan.keeps) do
    if k[4] == '' then redis.call('SADD', KEYS[k[2]], k[3]) else redis.call('SREM', KEYS[k[2]], k[3]) end
    if k[4] == '' then
      for _, key in ipairs(k[1]) do redis.call('PERSIST', KEYS[key]) end
    elseif redis.call('SCARD', KEYS[k[2]]) == 0 then
      for _, key in ipairs(k[1]) do redis.call('PEXPIRE', KEYS[key], k[4]) end
    end
  end
  for _, k in ipairs(plan.remove) do redis.call('DEL', KEYS[k]) end
  for _, i in ipairs(plan.index) do redis.call('ZADD', KEYS[i[1]], i[2], i[3]) end
  for _, i in ipairs(plan.unindex) do redis.call('ZREM', KEYS[i[1]], i[2]) end
  for _, m in ipairs(plan.moves) do
    for _, member in ipairs(m[3]) do
      redis.call('ZADD', KEYS[m[2]], redis.call('ZSCORE', KEYS[m[1]], member), member)
      redis.call('ZREM', KEYS[m[1]], member)
    end
  end
  for _, d in ipairs(plan.drops) do
    local pairs = redis.call('ZRANGE', KEYS[d[1]], 0, -1, 'WITHSCORES')
    for i = 2, #pairs, 2 do redis.call('HDEL', KEYS[d[2]], pairs[i], pairs[i] .. ':m') end
    redis.call('DEL', KEYS[d[1]])
  end
  for _, t in ipairs(plan.trims) do redis.call('ZREMRANGEBYRANK', KEYS[t[1]], 0, -1 - t[2]) end
  for _, l in ipairs(plan.lifetimes) do
    if l[2] == '' then redis.call('PERSIST', KEYS[l[1]]) else redis.call('PEXPIRE', KEYS[l[1]], l[2]) end
  end
  return 'done'
  `,
);

/** Reads and changes documents. */
export class Documents {
  readonly redis: Redis;
  readonly #prefix: string;

  /** @param prefix of all keys: the node's hash tag, so that one script may touch them all */
  constructor(redis: Redis, prefix: string) {
    this.redis = redis;
    this.#prefix = prefix;
  }

  /** The key of a thing. */
  key(kind: string, ...ids: readonly (string | number)[]): string {
    return [this.#prefix, 'api', kind, ...ids].join(':');
  }

  async read<T>(key: string): Promise<Document<T>> {
    return (await this.readMany<T>([key]))[0] as Document<T>;
  }

  /** All of one kind of value, in the order of the keys. */
  async readMany<T>(keys: readonly string[]): Promise<Document<T>[]> {
    if (keys.length === 0) return [];
    return await guarded('read documents', async () => {
      const commands = this.redis.pipeline();
      for (const key of keys) commands.hmget(key, 'v', 'j');
      const replies = (await commands.exec()) ?? [];
      return keys.map((key, position) => {
        const [error, reply] = replies[position] ?? [new Error('no reply'), null];
        if (error) throw error;
        const [version, text] = reply as [string | null, string | null];
        const value = text === null ? null : (JSON.parse(text) as T);
        return { key, version: version ?? '', value };
      });
    });
  }

  /** The first members of a sorted set, lowest score first, or its last, highest score first. */
  async members(key: string, limit: number, from: 'lowest' | 'highest'): Promise<string[]> {
    return await guarded('read an index', () =>
      from === 'lowest'
        ? this.redis.zrange(key, 0, String(limit - 1))
        : this.redis.zrevrange(key, 0, limit - 1),
    );
  }

  /** How long a key still lives, ms; Infinity where it stays, 0 where it is gone. */
  async lifeLeftMs(key: string): Promise<number> {
    const leftMs = await guarded('read a lifetime', () => this.redis.pttl(key));
    return leftMs === -1 ? Infinity : Math.max(0, leftMs);
  }

  /** The next number of a counter, from 1. */
  async next(key: string): Promise<number> {
    return await guarded('count', () => this.redis.incr(key));
  }

  /** Writes all of a change or nothing. Durable when it returns `done`, as the store is set. */
  async commit(change: Change): Promise<Committed> {
    const keys: string[] = [];
    const at = (key: string): number => {
      const found = keys.indexOf(key);
      return found === -1 ? keys.push(key) : found + 1;
    };
    const texts: string[] = [];
    const put = (change.put ?? []).map(({ key, value, ttlMs }) => {
      texts.push(JSON.stringify(value));
      return [at(key), newVersion(), texts.length + 1, lifetimeText(ttlMs)];
    });
    const plan = {
      expect: [
        ...(change.expect ?? []).map(({ key, version }) => [at(key), 'v', version]),
        ...(change.fields ?? []).map(({ key, field, is }) => [at(key), field, is]),
      ],
      limits: (change.limits ?? []).map(({ key, max, nowMs }) => [at(key), max, String(nowMs)]),
      prune: (change.prune ?? []).map(({ key, nowMs }) => [at(key), String(nowMs)]),
      put,
      keeps: (change.keeps ?? []).map(({ keys: kept, keepers, keeper, ttlMs }) => [
        kept.map((key) => at(key)),
        at(keepers),
        keeper,
        lifetimeText(ttlMs),
      ]),
      remove: (change.remove ?? []).map((key) => at(key)),
      index: (change.index ?? []).map(({ key, score, member }) => [
        at(key),
        scoreText(score),
        member,
      ]),
      unindex: (change.unindex ?? []).map(({ key, member }) => [at(key), member]),
      moves: (change.moves ?? []).map(({ from, to, members }) => [at(from), at(to), members]),
      drops: (change.drops ?? []).map(({ key, held }) => [at(key), at(held)]),
      trims: (change.trims ?? []).map(({ key, keep }) => [at(key), keep]),
      lifetimes: (change.lifetimes ?? []).map(({ key, ttlMs }) => [at(key), lifetimeText(ttlMs)]),
    };
    const call = { keys, values: [JSON.stringify(plan), ...texts] };
    return String(await runScript(this.redis, COMMIT, call)) as Committed;
  }

  /** Repeats a read-decide-commit step until nobody has come in between. */
  async untilCommitted<T>(step: () => Promise<T | 'conflict'>): Promise<T> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const done = await step();
      if (done !== 'conflict') return done;
      await delay(Math.random() * Math.min(attempt, PAUSE_MS_MAX));
    }
    throw new PanoramixError('redis-unavailable', `lost ${ATTEMPTS_MAX} races for one document`);
  }
}

function lifetimeText(ttlMs: number | null): string {
  return ttlMs === null ? '' : String(ttlMs);
}

function scoreText(score: number): string {
  return score === Infinity ? '+inf' : String(score);
}

// Random, so that a document that expired and was made anew is not taken for the old one.
function newVersion(): string {
  return randomBytes(9).toString('base64url');
}
