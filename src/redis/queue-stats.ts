/**
 * How long every queue is and how old its oldest job, for `panoramix status`: read only, from any
 * process that can connect to the store.
 */
import { Queue } from 'bullmq';
import type { Job } from 'bullmq';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import type { QueueName } from './jobs.ts';
import { dueMsOf, queueOptions } from './queues.ts';

/** One queue at one moment. */
export interface QueueStats {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Never anything but 0, unless somebody else's program works on the store: an alarm. */
  readonly failed: number;
  /** Since when the oldest job that is due waits or is worked on; null where none is due. */
  readonly oldestAgeMs: number | null;
}

/** Names of all queues that a program has opened on this store, sorted. */
export async function queueNames(store: Store): Promise<QueueName[]> {
  const names = await guarded('list the queues', async () => {
    return await store.redis.smembers(`${store.prefix}:queues`);
  });
  return (names as QueueName[]).toSorted();
}

/** Statistics of every queue by its name. */
export async function allQueueStats(
  store: Store,
  nowMs = Date.now(),
): Promise<ReadonlyMap<QueueName, QueueStats>> {
  const stats = new Map<QueueName, QueueStats>();
  for (const name of await queueNames(store)) stats.set(name, await queueStats(store, name, nowMs));
  return stats;
}

/** Statistics of one queue. */
export async function queueStats(
  store: Store,
  name: QueueName,
  nowMs = Date.now(),
): Promise<QueueStats> {
  const queue = new Queue(name, queueOptions(store, name));
  queue.on('error', () => undefined);
  try {
    return await guarded(`look into queue ${name}`, async () => {
      const counts = await queue.getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed');
      const oldest: (Job | undefined)[] = [
        ...(await queue.getJobs('wait', 0, 0, true)),
        // By place, not by age: of those that are last, the ones of large mails, some are the oldest.
        ...(await queue.getJobs('prioritized', 0, 0, true)),
        ...(await queue.getJobs('prioritized', 0, 0, false)),
        ...(await queue.getJobs('active', 0, -1, true)),
        ...(await queue.getJobs('delayed', 0, 0, true)),
      ];
      const dueMs = oldest
        .flatMap((job) => (job === undefined ? [] : [dueMsOf(job)]))
        .filter((due) => due > 1 && due <= nowMs);
      return {
        waiting: (counts['wait'] ?? 0) + (counts['prioritized'] ?? 0),
        active: counts['active'] ?? 0,
        delayed: counts['delayed'] ?? 0,
        failed: counts['failed'] ?? 0,
        oldestAgeMs: dueMs.length === 0 ? null : nowMs - Math.min(...dueMs),
      };
    });
  } finally {
    await queue.close();
  }
}
