/** Whether the clocks of a running node and of the controllers agree, for `status`, which is another process. */
import { z } from 'zod';

import type { ClockVerdict } from '../client/clocks.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';

/** A node writes every 10 s; what is older than this is of one that no longer runs. */
const KEPT_SECONDS = 60;

const verdict = z.object({
  isOwnWrong: z.boolean(),
  aheadMs: z.number(),
  heard: z.number(),
  differing: z.array(z.object({ url: z.string(), aheadMs: z.number(), ageMs: z.number() })),
});

/** Writes a verdict over the last one. */
export async function writeClockReport(store: Store, clocks: ClockVerdict): Promise<void> {
  await guarded('write the report on clocks', async () => {
    await store.redis.set(key(store), JSON.stringify(clocks), 'EX', KEPT_SECONDS);
  });
}

/** The last verdict; null where no node has written one for a minute, or it is of another version. */
export async function readClockReport(store: Store): Promise<ClockVerdict | null> {
  const text = await guarded('read the report on clocks', async () => {
    return await store.redis.get(key(store));
  });
  return text === null ? null : (verdict.safeParse(JSON.parse(text)).data ?? null);
}

function key(store: Store): string {
  return `${store.prefix}:clocks`;
}
