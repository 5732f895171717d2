/**
 * All that a node's Redis tells: to who connects (every key, its content, its dump), on disk (append-only
 * file, log, whatever else lies there), and, to who has the storage keys, what is sealed in both.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Redis } from 'ioredis';

import { fromUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { createSealing } from '../../src/redis/sealing.ts';
import type { Source } from './search-bytes.ts';

/** A value as it is, or was, stored. */
export interface StoredValue {
  readonly key: string;
  /** Of a hash; else null. */
  readonly field: string | null;
  readonly value: Buffer;
}

/** Every key of a store, with its name, content and dump. */
export async function storeSources(redis: Redis): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const key of await allKeys(redis)) {
    const parts = [Buffer.from(key), ...(await contentOf(redis, key))];
    const dump = (await redis.callBuffer('DUMP', key)) as Buffer | null;
    // A key may be gone by now.
    const bytes = Buffer.concat(
      [...parts, dump ?? Buffer.alloc(0)].flatMap((part) => [part, SEAM]),
    );
    sources.push({ name: key, bytes });
  }
  return sources;
}

/** Every file below a folder, byte for byte. */
export async function fileSources(folder: string): Promise<readonly Source[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return await Promise.all(
    files.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      // A rewrite may have taken it away.
      return { name: path, bytes: await readFile(path).catch(() => Buffer.alloc(0)) };
    }),
  );
}

/** Strings and fields of hashes that a store holds now. */
export async function storedValues(redis: Redis): Promise<readonly StoredValue[]> {
  const values: StoredValue[] = [];
  for (const key of await allKeys(redis)) {
    const type = await redis.type(key);
    const content = await contentOf(redis, key);
    if (type === 'string') values.push(...content.map((value) => ({ key, field: null, value })));
    if (type === 'hash') values.push(...fieldsOf(key, content));
  }
  return values;
}

/** Strings and fields of hashes that were written since the last rewrite, removed ones too. */
export async function writtenValues(dataDir: string): Promise<readonly StoredValue[]> {
  const folder = join(dataDir, 'redis', 'appendonlydir');
  const values: StoredValue[] = [];
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.incr.aof')) continue;
    for (const [command = SEAM, key = SEAM, ...rest] of commandsOf(
      await readFile(join(folder, name)),
    )) {
      const verb = command.toString().toUpperCase();
      const [value = SEAM] = rest;
      if (verb === 'SET') values.push({ key: key.toString(), field: null, value });
      if (verb === 'HSET' || verb === 'HMSET') values.push(...fieldsOf(key.toString(), rest));
    }
  }
  return values;
}

/** What the storage keys open of stored values, each under the context that its name says. */
export function openedSources(
  values: readonly StoredValue[],
  storageKeys: readonly Uint8Array[],
): readonly Source[] {
  const sealings = storageKeys.map((key) => createSealing(native, key));
  return values.flatMap((stored) => {
    const { context, sealed } = sealedPart(stored);
    for (const sealing of sealings) {
      const bytes = sealing.unseal(sealed, context);
      if (bytes !== null) return [{ name: `opened ${context}`, bytes }];
    }
    return [];
  });
}

/** Lines of a log as one source. */
export function textSource(name: string, text: string): Source {
  return { name, bytes: fromUtf8(text) };
}

/** Between two parts: nothing that is looked for goes across it. */
const SEAM = Buffer.from([0xff, 0x00, 0xff]);

async function allKeys(redis: Redis): Promise<readonly string[]> {
  const keys = new Set<string>();
  let cursor = '0';
  do {
    const [next, some] = await redis.scan(cursor, 'COUNT', 1_000);
    for (const key of some) keys.add(key);
    cursor = next;
  } while (cursor !== '0');
  return [...keys].toSorted();
}

async function contentOf(redis: Redis, key: string): Promise<readonly Buffer[]> {
  const reads: Record<string, readonly string[]> = {
    string: ['GET', key],
    hash: ['HGETALL', key],
    list: ['LRANGE', key, '0', '-1'],
    set: ['SMEMBERS', key],
    zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
    stream: ['XRANGE', key, '-', '+'],
    none: ['ECHO', ''],
  };
  const [command = '', ...rest] = reads[await redis.type(key)] ?? [];
  return flat(await redis.callBuffer(command, ...rest));
}

function flat(reply: unknown): readonly Buffer[] {
  if (Array.isArray(reply)) return reply.flatMap(flat);
  if (Buffer.isBuffer(reply)) return [reply];
  return typeof reply === 'string' || typeof reply === 'number' ? [Buffer.from(`${reply}`)] : [];
}

function fieldsOf(key: string, pairs: readonly Buffer[]): StoredValue[] {
  return pairs.flatMap((field, i) =>
    i % 2 === 0 ? [{ key, field: field.toString(), value: pairs[i + 1] ?? SEAM }] : [],
  );
}

/** Where a value is sealed and under which context, by the names that src/redis and src/mixer give. */
function sealedPart({ key, field, value }: StoredValue): { context: string; sealed: Uint8Array } {
  const [, kind = '', id = ''] = key.split(':');
  const place = kind === 'message' ? 'fragment' : kind;
  const context = [place, id, ...(field === null ? [] : [field])].join(':');
  // A record names its owner before it.
  const from = kind === 'record' ? 1 + (value[0] ?? 0) : 0;
  return { context, sealed: new Uint8Array(value.subarray(from)) };
}

/** The commands of an append-only file: `*COUNT`, then `$LENGTH` and bytes for each word. */
function* commandsOf(file: Buffer): Generator<readonly Buffer[]> {
  let at = 0;
  const number = (): number => {
    const end = file.indexOf('\r\n', at);
    const value = Number(file.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  while (at < file.length) {
    const words: Buffer[] = [];
    for (let left = number(); left > 0; left--) {
      const length = number();
      words.push(file.subarray(at, at + length));
      at += length + 2;
    }
    yield words;
  }
}
