/**
 * BullMQ writes an event with the time and the job's id at every step of a job: kept, they would be a
 * log of the mixing. Our queues keep none, and the private server drops them at once (one entry a node);
 * a server with other settings keeps the last hundred of each queue until they are trimmed exactly.
 */
import type { Redis } from 'ioredis';

/** Removes the events of all queues that have been opened. */
export async function trimEvents(redis: Redis, prefix: string): Promise<void> {
  const names = await redis.smembers(`${prefix}:queues`);
  await Promise.all(
    names.map(async (name) => await redis.xtrim(`${prefix}:${name}:events`, 'MAXLEN', '=', 0)),
  );
}
