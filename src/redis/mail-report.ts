/**
 * What a gateway owes to senders, for `status`, which is another process: numbers of what waits, read from the
 * store itself, and how often what was told or dropped. Coarse, for that is written down: every ten minutes.
 */
import { z } from 'zod';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';

/** How often each thing happened since the gateway's start, by its name. */
export type MailCounts = Readonly<Record<string, number>>;

/** What is owed, at this moment. */
export interface MailReport {
  /** Mails that this gateway has taken in, of which an exit has not acked all. */
  readonly underWay: number;
  /** Reports that nobody has taken yet. */
  readonly reportsWaiting: number;
  /** What is remembered of mails that may bounce. */
  readonly returnBytes: number;
  /** None where they are of another version. */
  readonly counts: MailCounts;
}

const stored = z.record(z.string(), z.number());

/** Writes counts over the last ones. */
export async function writeMailCounts(store: Store, counts: MailCounts): Promise<void> {
  await guarded('write the report on mail', async () => {
    await store.redis.set(keyOf(store), JSON.stringify(counts));
  });
}

/** What is owed now; null where no gateway has run on this store. */
export async function readMailReport(store: Store): Promise<MailReport | null> {
  const { redis, prefix } = store;
  return await guarded('read the report on mail', async () => {
    const text = await redis.get(keyOf(store));
    if (text === null) return null;
    const ends = await redis.zrange(`${prefix}:returns`, '0', '-1');
    const sizes = await Promise.all(
      ends.map(async (end) => await redis.hget(`${prefix}:returns:${end}`, 'bytes')),
    );
    return {
      underWay: await redis.scard(`${prefix}:notices`),
      reportsWaiting: await redis.scard(`${prefix}:reports`),
      returnBytes: sizes.reduce((sum, size) => sum + Number(size ?? 0), 0),
      counts: stored.safeParse(JSON.parse(text)).data ?? {},
    };
  });
}

function keyOf(store: Store): string {
  return `${store.prefix}:mail-report`;
}
