/**
 * Whether a Redis that somebody else runs (`REDIS_URL`) keeps what it acknowledges. Each answer that
 * would lose mail is refused, with the command that puts it right.
 */
import type { Redis } from 'ioredis';

import { PanoramixError } from '../errors.ts';
import { guarded } from './clients.ts';

/** BullMQ 6 and ioredis 6 ask for it. */
const VERSION_MIN = [6, 2] as const;

/** What the check looks at. */
export interface RedisFacts {
  readonly version: string;
  readonly role: string;
  readonly clusterEnabled: boolean;
  /** CONFIG GET values, null where the server does not tell. */
  readonly appendonly: string | null;
  readonly appendfsync: string | null;
  readonly maxmemoryPolicy: string | null;
}

/** Asks a server for what `unsafe` judges. */
export async function readFacts(redis: Redis): Promise<RedisFacts> {
  return await guarded('read the settings of Redis', async () => {
    const info = parseInfo(await redis.info());
    return {
      version: info.get('redis_version') ?? '0',
      role: info.get('role') ?? 'master',
      clusterEnabled: info.get('cluster_enabled') === '1',
      appendonly: await setting(redis, 'appendonly'),
      appendfsync: await setting(redis, 'appendfsync'),
      maxmemoryPolicy: await setting(redis, 'maxmemory-policy'),
    };
  });
}

/**
 * What would lose mail, each with its fix; empty where the server is safe.
 * Only `appendfsync always` counts: with `everysec` a power failure takes back up to a second of what
 * was acknowledged, and a replica makes no difference to that before a failover has been waited for.
 */
export function unsafe(facts: RedisFacts): readonly string[] {
  const problems: string[] = [];
  if (olderThan(facts.version, VERSION_MIN)) {
    problems.push(`version ${facts.version} is too old; install ${VERSION_MIN.join('.')} or newer`);
  }
  if (facts.role !== 'master') {
    problems.push(
      `it is a ${facts.role}; name the primary in REDIS_URL, and do not fail over to a replica`,
    );
  }
  if (facts.clusterEnabled) {
    problems.push('it is part of a cluster; name a single primary in REDIS_URL');
  }
  for (const [name, value, wanted] of [
    ['appendonly', facts.appendonly, 'yes'],
    ['appendfsync', facts.appendfsync, 'always'],
    ['maxmemory-policy', facts.maxmemoryPolicy, 'noeviction'],
  ] as const) {
    if (value === null) {
      problems.push(`it does not tell its ${name}; allow this user CONFIG GET (ACL: +config|get)`);
    } else if (value !== wanted) {
      problems.push(
        `${name} is ${value}; run "CONFIG SET ${name} ${wanted}" and write "${name} ${wanted}" into redis.conf`,
      );
    }
  }
  return problems;
}

/** Throws `redis-unsafe` where the server would lose mail; the message holds every fix. */
export async function requireDurable(redis: Redis): Promise<void> {
  const problems = unsafe(await readFacts(redis));
  if (problems.length > 0) {
    throw new PanoramixError('redis-unsafe', `REDIS_URL: ${problems.join('; ')}`);
  }
}

/** The `name:value` lines of INFO. */
export function parseInfo(text: string): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) facts.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return facts;
}

/** One CONFIG value; null where the server hides it. */
export async function setting(redis: Redis, name: string): Promise<string | null> {
  try {
    const reply: unknown = await redis.config('GET', name);
    const value: unknown = Array.isArray(reply) ? reply[1] : null;
    return typeof value === 'string' ? value : null;
  } catch (thrown) {
    if (thrown instanceof Error && /^(NOPERM|ERR)/.test(thrown.message)) return null;
    throw thrown;
  }
}

function olderThan(version: string, min: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < min[0] || (major === min[0] && minor < min[1]);
}
