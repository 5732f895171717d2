/**
 * What a running node's mix keys are and how full their journals are, for `status`, which is another process.
 * Counts are rounded to hundredths of what a journal holds: fine ones are a record of what passed.
 */
import { z } from 'zod';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';

/** A node writes every 30 s or more often; what is older than this is of one that no longer runs. */
const KEPT_SECONDS = 120;
const STEPS = 100;

const storedKey = z.object({
  endpointId: z.string(),
  /** Ms since 1970. */
  opensMs: z.number(),
  closesMs: z.number(),
  /** At the latest its secrets are destroyed then; ms since 1970. */
  endsMs: z.number(),
  /** Not in use yet, in use, or used no more and not destroyed yet. */
  state: z.enum(['ahead', 'in-use', 'closing']),
  /** Packets that its journal remembers, to a hundredth of `tagsMax`. */
  tags: z.number(),
  tagsMax: z.number(),
});

/** One mix key of a node that is not destroyed. */
export type StoredKey = z.output<typeof storedKey>;

/** Writes a report over the last one. */
export async function writeKeyReport(store: Store, keys: readonly StoredKey[]): Promise<void> {
  const coarse = keys.map((key) => {
    const step = Math.ceil(key.tagsMax / STEPS);
    return { ...key, tags: Math.min(Math.ceil(key.tags / step) * step, key.tagsMax) };
  });
  await guarded('write the report on keys', async () => {
    await store.redis.set(nameOf(store), JSON.stringify(coarse), 'EX', KEPT_SECONDS);
  });
}

/** The last report; null where no node has written one for two minutes, or it is of another version. */
export async function readKeyReport(store: Store): Promise<readonly StoredKey[] | null> {
  const text = await guarded('read the report on keys', async () => {
    return await store.redis.get(nameOf(store));
  });
  return text === null ? null : (z.array(storedKey).safeParse(JSON.parse(text)).data ?? null);
}

function nameOf(store: Store): string {
  return `${store.prefix}:keys`;
}
