/**
 * The two kinds of connection to Redis, and the edge where their errors become ours.
 * Commands fail fast, so that a mail is answered 451 within seconds; workers wait for Redis to return.
 */
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';

import { PanoramixError } from '../errors.ts';

/** A command that takes longer is given up; what it did is then unknown. */
const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Longest pause between two attempts to connect: a restarted server is found again within it. */
const RECONNECT_MS_MAX = 1_000;

/** BullMQ names the job in its errors: in a log, with the time, that would be a trace of a packet. */
const JOB_NAMED = /\b(job|for) j[\w.-]+/gi;

/** Where a Redis server listens: a unix socket, or a URL as in `REDIS_URL`. */
export type RedisAddress = { readonly socket: string } | { readonly url: string };

/**
 * A client for commands and for adding jobs. Without a connection it throws at once, and a command
 * that was under way when the connection broke is reported, never sent a second time unseen.
 */
export function createCommandClient(address: RedisAddress, name: string): Redis {
  return create(address, {
    connectionName: name,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
  });
}

/** A client for BullMQ workers, and the end of it and of every copy that BullMQ has made of it. */
export interface WorkerClient {
  readonly redis: Redis;
  /** At once, also where a copy is just reconnecting: then a worker's own close would wait for ever. */
  disconnect(): void;
}

/** A client that waits as long as it takes, without a limit on blocking commands. */
export function createWorkerClient(address: RedisAddress, name: string): WorkerClient {
  const redis = create(address, { connectionName: name, maxRetriesPerRequest: null });
  const copies = new Set<Redis>();
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = (options) => {
    const copy = duplicate(options);
    copies.add(copy);
    copy.once('end', () => copies.delete(copy));
    return copy;
  };
  return {
    redis,
    disconnect: () => {
      for (const each of [...copies, redis]) each.disconnect();
    },
  };
}

/** A client for one look at a server: no reconnecting, no waiting for it to have loaded its data. */
export function createProbe(address: RedisAddress): Redis {
  return create(address, {
    connectionName: 'panoramix:probe',
    retryStrategy: () => null,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
  });
}

function create(address: RedisAddress, options: RedisOptions): Redis {
  const all: RedisOptions & { replyMapping: 'legacy' } = {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (attempts) => Math.min(25 * 2 ** Math.min(attempts, 10), RECONNECT_MS_MAX),
    disableClientInfo: true,
    ...options,
    // Replies of one shape, whichever protocol the server speaks; BullMQ expects this one.
    replyMapping: 'legacy',
  };
  const redis = new Redis('url' in address ? redisUrl(address.url) : address.socket, all);
  // Without a listener a lost connection would end the process; every command reports it anyway.
  redis.on('error', () => undefined);
  return redis;
}

/** What is no URL ioredis takes for a path, and says it, password and all, with every error. */
function redisUrl(url: string): string {
  const isUrl = URL.canParse(url) && /^rediss?:$/.test(new URL(url).protocol);
  if (isUrl || url.startsWith('/')) return url;
  throw new PanoramixError(
    'config-invalid',
    'REDIS_URL, or redis.url, begins with redis:// or rediss://',
  );
}

/**
 * Runs an operation on Redis; what it throws becomes a `PanoramixError`: `redis-unavailable` where
 * the server or the connection is at fault, `storage-pressure` where memory is used up.
 * After `redis-unavailable` a write may or may not have happened.
 */
export async function guarded<T>(doing: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (thrown) {
    throw redisError(doing, thrown);
  }
}

/** The `PanoramixError` for what ioredis or BullMQ threw. */
export function redisError(doing: string, thrown: unknown): PanoramixError {
  if (thrown instanceof PanoramixError) return thrown;
  // A discarded transaction says why in a list beside its own message.
  const causes = (thrown as { previousErrors?: readonly unknown[] } | null)?.previousErrors ?? [];
  const text = [thrown, ...causes].map(messageOf).join('; ').replaceAll(JOB_NAMED, '$1');
  if (text.includes('OOM command not allowed')) {
    return new PanoramixError('storage-pressure', `${doing}: Redis has no memory left`, thrown);
  }
  const ours = /\b(ERR|WRONGTYPE|NOSCRIPT)\b/.test(text) && !text.includes('max number of clients');
  if (ours) return new PanoramixError('unexpected', `${doing}: ${text}`, thrown);
  return new PanoramixError('redis-unavailable', `${doing}: ${text}`, thrown);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
