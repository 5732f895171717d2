/**
 * Jobs taken one at a time, by hand: a tick of the Poisson clock asks for the oldest packet of one
 * exit, and gets it or nothing, at once. What a dead process had taken comes back within 15 s.
 */
import { randomUUID } from 'node:crypto';

import { Worker, createRedisBackend } from 'bullmq';
import type { Job } from 'bullmq';

import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { LOCK_MS } from './jobs.ts';
import type { JobData, QueueName } from './jobs.ts';
import { bareId, claimQueue, putOff, workerOptions } from './queues.ts';

/** A job that is ours until we settle it or give it back; where that fails it comes back in 15 s. */
export interface TakenJob {
  readonly id: string;
  /** It is done: removes it. */
  settle(): Promise<void>;
  /** It is not: the queue has it again, as its oldest. */
  giveBack(): Promise<void>;
  /** It is not, and nobody gets it before this time, ms since 1970; also after a restart. */
  again(atMs: number): Promise<void>;
}

/** One queue, taken from by hand. */
export interface JobTaker {
  /** The oldest job that is due, or null where none is; never waits for one. */
  take(): Promise<TakenJob | null>;
  /** Frees what belongs to it; jobs that are taken at that time come back as stalled. */
  close(): Promise<void>;
}

/**
 * Opens a queue for taking; its lost jobs are looked for from now on.
 * @throws PanoramixError `redis-unavailable`
 */
export async function openTaker(store: Store, name: QueueName): Promise<JobTaker> {
  await guarded(`open queue ${name}`, async () => await claimQueue(store, name));
  // Without a processor BullMQ needs no connection to block on, one for each of many exits.
  const worker = new Worker<JobData, void>(
    name,
    null,
    { ...workerOptions(store, name), connection: store.connection('producer') },
    (queue, options) =>
      createRedisBackend(queue, {
        ...options,
        skipVersionCheck: true,
        skipWaitingForReady: true,
      }),
  );
  worker.on('error', () => undefined);
  await worker.startStalledCheckTimer();
  const held = new Map<string, string>();
  const renewing = setInterval(() => {
    if (held.size === 0) return;
    worker.extendJobLocks([...held.keys()], [...held.values()], LOCK_MS).catch(() => undefined);
  }, LOCK_MS / 2).unref();
  const close = async (): Promise<void> => {
    clearInterval(renewing);
    await worker.close(true);
  };
  store.beforeClose(close);
  return {
    take: async () => {
      const token = randomUUID();
      const job = await guarded(`take from queue ${name}`, async () => {
        // Bullmq types the answer as always a job.
        const next: Job<JobData, void> | undefined = await worker.getNextJob(token, {
          block: false,
        });
        return next;
      });
      if (job?.id === undefined) return null;
      held.set(job.id, token);
      return taken(store, name, job, token, held);
    },
    close,
  };
}

function taken(
  store: Store,
  name: QueueName,
  job: Job,
  token: string,
  held: Map<string, string>,
): TakenJob {
  const id = job.id ?? '';
  const end = async (doing: string, step: () => Promise<unknown>): Promise<void> => {
    try {
      await guarded(`${doing} in queue ${name}`, step);
    } finally {
      // Also where it failed: a lock that is renewed no more lapses, and the queue has the job again.
      if (held.get(id) === token) held.delete(id);
    }
  };
  return {
    id: bareId(id),
    settle: async () =>
      await end('settle a job', async () => await job.moveToCompleted(undefined, token, false)),
    giveBack: async () => await end('give a job back', async () => await job.moveToWait(token)),
    again: async (atMs) =>
      await end('put a job off', async () => await putOff(store, job, atMs, token)),
  };
}
