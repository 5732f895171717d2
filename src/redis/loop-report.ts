/**
 * What a running node has learnt from its own packets that came back, for `status`, which is another
 * process. Coarse, for it is written down: no single packet, times to tenths of a second.
 */
import { z } from 'zod';

import type { LoopReport, LoopVerdict } from '../mixnet/loops.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';

/** A node writes every 10 s; what is older than this is of one that no longer runs. */
const KEPT_SECONDS = 60;
const ROUND_TRIP_STEP_MS = 100;

/** The alarm, and each node and link. */
export interface StoredLoops {
  readonly verdict: LoopVerdict;
  readonly report: LoopReport;
}

const counts = z.record(
  z.string(),
  z.object({ due: z.number(), returned: z.number(), roundTripMs: z.number().nullable() }),
);
const storedLoops = z.object({
  verdict: z.object({ isAlarmed: z.boolean(), returned: z.number(), due: z.number() }),
  report: z.object({ nodes: counts, links: counts }),
});

/** Writes a report over the last one. */
export async function writeLoopReport(store: Store, loops: StoredLoops): Promise<void> {
  const { nodes, links } = loops.report;
  const coarse = { ...loops, report: { nodes: rounded(nodes), links: rounded(links) } };
  await guarded('write the report on loops', async () => {
    await store.redis.set(key(store), JSON.stringify(coarse), 'EX', KEPT_SECONDS);
  });
}

/** The last report; null where no node has written one for a minute, or it is of another version. */
export async function readLoopReport(store: Store): Promise<StoredLoops | null> {
  const text = await guarded('read the report on loops', async () => {
    return await store.redis.get(key(store));
  });
  return text === null ? null : (storedLoops.safeParse(JSON.parse(text)).data ?? null);
}

function rounded(all: LoopReport['nodes']): LoopReport['nodes'] {
  return Object.fromEntries(
    Object.entries(all).map(([name, { due, returned, roundTripMs }]) => {
      const steps = roundTripMs === null ? null : Math.round(roundTripMs / ROUND_TRIP_STEP_MS);
      return [
        name,
        { due, returned, roundTripMs: steps === null ? null : steps * ROUND_TRIP_STEP_MS },
      ];
    }),
  );
}

function key(store: Store): string {
  return `${store.prefix}:loops`;
}
