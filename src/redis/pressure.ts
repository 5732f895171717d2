/**
 * Back-pressure: how full memory and disk are, and what may still go on. A full Redis cannot drain,
 * because taking a BullMQ job needs memory too; so entry closes long before, then everything that adds.
 */
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

import type { Redis } from 'ioredis';

import { parseInfo } from './durability.ts';

/** What may go on: everything; everything but taking new work in; only what settles or removes. */
export type Pressure = 'open' | 'entry-closed' | 'settle-only';

/** New mail and packets are answered 451 and 503 from here on. */
export const ENTRY_CLOSED_FROM = 0.6;
/**
 * From here on a message's fragments are taken only where all the rest of it has room before nothing is taken any more: two
 * gateways that are both full of mail for each other would else keep parts of everything, and get rid of nothing.
 */
export const RESTS_ONLY_FROM = 0.7;
/** From here on only work that settles or removes. The rest is what settling itself needs. */
export const SETTLE_ONLY_FROM = 0.8;

/**
 * Disk that must be free for a rewrite of the append-only file and for what is under way: 60 % is
 * reached at 171 MB free, 80 % at 64 MB, however large the disk.
 */
const DISK_RESERVE_BYTES = 256 * 1024 * 1024;

/** jemalloc rounds the length of a value up by as much as a quarter: 33 kB take 40. */
const MEMORY_OF_BYTE = 1.25;

/** How full it is; null where that is not known or has no limit. */
export interface Fullness {
  readonly memory: { readonly usedBytes: number; readonly maxBytes: number } | null;
  readonly disk: { readonly ownBytes: number; readonly freeBytes: number } | null;
}

/** What is there for the rest of messages of which parts have come. */
export interface Rests {
  /** Nothing else is taken. */
  readonly only: boolean;
  /** For all of them together; null where there is no limit. */
  readonly bytesMax: number | null;
}

/** The fuller of the two, 0 to 1. */
export function fullnessOf(fullness: Fullness): number {
  return Math.max(0, ...sizesOf(fullness).map(({ held, all }) => held / all));
}

/** What is held, of how much, for each of the two that has a limit. */
function sizesOf({ memory, disk }: Fullness): { readonly held: number; readonly all: number }[] {
  const sizes = [];
  if (memory !== null && memory.maxBytes > 0) {
    sizes.push({ held: memory.usedBytes, all: memory.maxBytes });
  }
  // The share of the disk is of what we hold and may still get: a disk that others fill to 90 %
  // does not stop mail while gigabytes are free.
  if (disk !== null) {
    const held = disk.ownBytes + DISK_RESERVE_BYTES;
    sizes.push({ held, all: held + Math.max(disk.freeBytes, 0) });
  }
  return sizes;
}

/** What may go on at this fullness. */
export function pressureOf(fullness: Fullness): Pressure {
  const share = fullnessOf(fullness);
  if (share >= SETTLE_ONLY_FROM) return 'settle-only';
  return share >= ENTRY_CLOSED_FROM ? 'entry-closed' : 'open';
}

/** Bytes that may be added before entry closes, of memory or disk, the fewer; null where neither has a limit. */
export function roomBytesOf(fullness: Fullness): number | null {
  const rooms = sizesOf(fullness).map(({ held, all }) => ENTRY_CLOSED_FROM * all - held);
  return rooms.length === 0 ? null : Math.max(0, Math.min(...rooms));
}

/**
 * What there is for the rest of messages: from `RESTS_ONLY_FROM`, or from what is held where that is more, to `SETTLE_ONLY_FROM`.
 * @param addedBytes written since it was measured: on a busy machine what comes between two measurements would use up the room
 */
export function restsOf(fullness: Fullness, addedBytes: number): Rests {
  const sizes = sizesOf(fullness).map(({ held, all }) => {
    return { held: held + MEMORY_OF_BYTE * addedBytes, all };
  });
  const rooms = sizes.map(({ held, all }) => {
    return (SETTLE_ONLY_FROM * all - Math.max(held, RESTS_ONLY_FROM * all)) / MEMORY_OF_BYTE;
  });
  return {
    only: sizes.some(({ held, all }) => held >= RESTS_ONLY_FROM * all),
    bytesMax: rooms.length === 0 ? null : Math.max(0, Math.floor(Math.min(...rooms))),
  };
}

/**
 * Measures a server.
 * @param dir the private server's directory; null where the server is somebody else's
 */
export async function readFullness(redis: Redis, dir: string | null): Promise<Fullness> {
  const info = parseInfo(await redis.info('memory'));
  const maxBytes = Number(info.get('maxmemory') ?? 0);
  return {
    memory: { usedBytes: Number(info.get('used_memory') ?? 0), maxBytes },
    disk: dir === null ? null : await readDisk(dir),
  };
}

async function readDisk(dir: string): Promise<Fullness['disk']> {
  try {
    const disk = await statfs(dir);
    return { ownBytes: await appendOnlyBytes(dir), freeBytes: disk.bavail * disk.bsize };
  } catch {
    return null;
  }
}

async function appendOnlyBytes(dir: string): Promise<number> {
  const folder = join(dir, 'appendonlydir');
  let bytes = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    bytes += await stat(join(folder, name)).then(
      (facts) => facts.size,
      () => 0,
    );
  }
  return bytes;
}
