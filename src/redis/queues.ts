/**
 * Adding jobs and working on them, with the settings of `jobs.ts` and no others. Ids and times are
 * all that a job stores; what a handler throws is logged by its reason and stored as that word only.
 */
import { DelayedError, Queue, Worker } from 'bullmq';
import type { Job, JobsOptions, QueueOptions, WorkerOptions } from 'bullmq';

import { PanoramixError, asPanoramixError } from '../errors.ts';
import { guarded, redisError } from './clients.ts';
import type { Store } from './embedded.ts';
import { JobLog } from './job-log.ts';
import {
  ATTEMPTS,
  LOCK_MS,
  QUEUES,
  STALLED_CHECK_MS,
  TIME_STEP_MS,
  backoffMs,
  queueKind,
} from './jobs.ts';
import type { JobData, QueueName } from './jobs.ts';

/** BullMQ refuses ids that are all digits, and one 32-digit hex id in three million is. */
const ID_MARK = 'j';
/** While Redis is away or full, workers ask again after this pause, doubled up to the second. */
const WORKER_PAUSE_MS = 100;
const WORKER_PAUSE_MS_MAX = 5_000;
const CLOSE_AWAY_MS_MAX = 1_000;
/** Half of the 20 s in which a program stops. */
const CLOSE_MS_MAX = 10_000;
/** BullMQ keeps waiting jobs by their due time times this, and counts those of one ms within it. */
const DUE_STEPS = 0x1000;
/** And those with a place by that times this. */
const PLACE_STEPS = 0x1_0000_0000;
/** BullMQ takes no higher one; whoever would stand behind it stands there, in the order of coming. */
export const PLACE_MAX = 2 ** 21 - 1;
const NOTHING: JobData = {};

/** A job as handlers see it. */
export interface RunningJob {
  readonly id: string;
  /** When it was due, Unix ms: the end of its delay; where it had none, when it was added. */
  readonly dueMs: number;
  /** Failed attempts before this one. */
  readonly failures: number;
}

/**
 * Works on a job. Returning settles it: it is removed. Returning a time holds it until then, which
 * counts as no failure; throwing tries it again after the queue's back-off, for ever.
 */
export type JobHandler = (job: RunningJob) => Promise<{ readonly againAtMs: number } | void>;

/** A job to add. */
export interface AddedJob {
  /** Letters, digits, `_`, `.` and `-`. */
  readonly id: string;
  /** Unix ms before which no worker sees it. */
  readonly dueMs?: number;
  /** From 1 to `PLACE_MAX`: lower ones are taken first, all of them after jobs that have none. */
  readonly place?: number;
}

/** A queue that jobs are added to. */
export interface JobQueue {
  readonly name: QueueName;
  /**
   * Adds a job; nothing happens where the queue holds one of that id already.
   * @param id letters, digits, `_`, `.` and `-`
   * @param dueMs Unix ms before which no worker sees it
   */
  add(id: string, dueMs?: number): Promise<void>;
  /** Adds many in one round trip, each for itself: after a failure some may be there. The same again is harmless. */
  addMany(jobs: readonly AddedJob[]): Promise<void>;
  /** The lowest place at which a job waits now; null where none waits that has a place. */
  firstPlace(): Promise<number | null>;
  /** Whether it holds a job of that id, in whichever state. */
  has(id: string): Promise<boolean>;
  /** Takes a job out; false, and it stays, where somebody works on it at this moment. */
  remove(id: string): Promise<boolean>;
  /**
   * Jobs that no worker sees before a time: what was added, or put off, while the clock was ahead.
   * @param dueMs Unix ms
   */
  dueAfter(dueMs: number): Promise<readonly string[]>;
  /** Frees what belongs to it; the store's closing does it too. */
  close(): Promise<void>;
}

/**
 * Opens a queue for adding, and checks that what Redis holds of its settings is the table's.
 * @throws PanoramixError `redis-unavailable`
 */
export async function openQueue(store: Store, name: QueueName): Promise<JobQueue> {
  const queue = new Queue<JobData>(name, queueOptions(store, name));
  queue.on('error', () => undefined);
  await guarded(`open queue ${name}`, async () => await claimQueue(store, name));
  const close = async (): Promise<void> => {
    await queue.close();
  };
  store.beforeClose(close);
  const addMany: JobQueue['addMany'] = async (jobs) => {
    await guarded(`add to queue ${name}`, async () => {
      const bulk = jobs.map(({ id, dueMs, place }) => ({
        name,
        data: NOTHING,
        opts: {
          ...jobOptions(name, dueMs === undefined ? dueMs : dueMs + store.aheadMs()),
          ...(place !== undefined && { priority: place }),
          jobId: jobId(id),
        },
      }));
      const [only, ...more] = bulk;
      // A bulk of one is a transaction, and takes half as long again of both processors.
      if (only !== undefined && more.length === 0) await queue.add(name, NOTHING, only.opts);
      else await queue.addBulk(bulk);
    });
  };
  return {
    name,
    add: async (id, dueMs) => await addMany([dueMs === undefined ? { id } : { id, dueMs }]),
    addMany,
    firstPlace: async () =>
      await guarded(`look into queue ${name}`, async () => {
        const first = await store.redis.zrange(queue.toKey('prioritized'), '0', '0', 'WITHSCORES');
        const score = first.flat()[1];
        return score === undefined ? null : Math.floor(Number(score) / PLACE_STEPS);
      }),
    has: async (id) =>
      await guarded(`look into queue ${name}`, async () => {
        return (await store.redis.exists(queue.toKey(jobId(id)))) === 1;
      }),
    remove: async (id) =>
      await guarded(`remove from queue ${name}`, async () => {
        return (await queue.remove(jobId(id))) === 1;
      }),
    dueAfter: async (dueMs) =>
      await guarded(`look into queue ${name}`, async () => {
        return (await delayedAfter(store, name, dueMs)).map(bareId);
      }),
    close,
  };
}

/** A running worker. */
export interface JobWorker {
  /** Waits until the jobs that it has now are done; what is not by then comes back as stalled. */
  close(waitMsMax?: number): Promise<void>;
}

/**
 * Starts working on a queue.
 * @param options `concurrency` instead of the table's
 */
export async function openWorker(
  store: Store,
  name: QueueName,
  handler: JobHandler,
  options: { readonly concurrency?: number } = {},
): Promise<JobWorker> {
  await guarded(`open queue ${name}`, async () => await claimQueue(store, name));
  const failures = new JobLog(store.log, name);
  const worker = new PatientWorker(
    name,
    async (job, token) => await run(store, failures, handler, job, token),
    workerOptions(store, name, options.concurrency),
  );
  worker.on('error', (error) => {
    const { code, message } = redisError(`work on queue ${name}`, error);
    if (code !== 'redis-unavailable')
      store.log.warn({ queue: name, error: message }, 'Worker error');
  });
  worker.on('stalled', () => failures.failed('stalled', 'a worker that had it is gone'));
  const end = async (waitMsMax: number): Promise<void> => {
    // While Redis is away no job can be ended, and a polite QUIT would wait for it for ever.
    if (store.redis.status !== 'ready') await closeWorker(worker.close(true), CLOSE_AWAY_MS_MAX);
    else if (!(await closeWorker(worker.close(), waitMsMax)))
      worker.disconnect().catch(() => undefined);
  };
  let closing: Promise<void> | null = null;
  const close = async (waitMsMax = CLOSE_MS_MAX): Promise<void> => {
    // Once: what hangs was waited for, and must not hold up the store's closing as long again.
    closing ??= end(waitMsMax);
    await closing;
  };
  store.beforeClose(close);
  return { close };
}

/** Options of a queue: the table's. For tests and for the check at start. */
export function queueOptions(store: Store, name: QueueName): QueueOptions {
  queueKind(name);
  return {
    connection: store.connection('producer'),
    prefix: store.prefix,
    streams: { events: { maxLen: 0 } },
    defaultJobOptions: jobOptions(name),
    // Neither is needed once the store is open, and both would leave a queue that was opened while
    // Redis was away unusable for good.
    skipVersionCheck: true,
    skipWaitingForReady: true,
    skipMetasUpdate: true,
  };
}

/** Options of a worker: the table's. */
export function workerOptions(store: Store, name: QueueName, concurrency?: number): WorkerOptions {
  return {
    connection: store.connection('worker'),
    prefix: store.prefix,
    concurrency: concurrency ?? QUEUES[queueKind(name)].concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: ATTEMPTS,
    runRetryDelay: 1_000,
    removeOnComplete: { count: 0 },
    settings: { backoffStrategy: (attempt) => backoffMs(name, attempt) },
  };
}

/** Options of a job. `timestamp: 1` stores no time but the due one, which is always timestamp + delay. */
export function jobOptions(name: QueueName, dueMs?: number): JobsOptions {
  const timestamp = timestampOf(name, Date.now());
  const delay = dueMs === undefined ? {} : { delay: Math.max(0, Math.ceil(dueMs) - timestamp) };
  return {
    attempts: ATTEMPTS,
    backoff: { type: 'capped' },
    removeOnComplete: true,
    removeOnFail: false,
    stackTraceLimit: 0,
    keepLogs: 0,
    timestamp,
    ...delay,
  };
}

function timestampOf(name: QueueName, nowMs: number): number {
  const { storesTime } = QUEUES[queueKind(name)];
  if (storesTime === 'never') return 1;
  return storesTime === 'exactly' ? nowMs : Math.floor(nowMs / TIME_STEP_MS) * TIME_STEP_MS;
}

/** The id as BullMQ has it. */
export function jobId(id: string): string {
  if (!/^[\w.-]{1,200}$/.test(id)) throw new RangeError('job ids are letters, digits, _ . and -');
  return ID_MARK + id;
}

/** The id as it was added. */
export function bareId(id: string): string {
  return id.startsWith(ID_MARK) ? id.slice(ID_MARK.length) : id;
}

/** When a job was due: what its options say, since BullMQ clears the job's own delay. */
export function dueMsOf(job: Job): number {
  return job.timestamp + (job.opts.delay ?? 0);
}

/**
 * Names the queue for `status`, and puts its setting where every script of BullMQ looks for it. Writes
 * only at the first time, so that a store that is full can still be opened, to drain it.
 * @throws PanoramixError `redis-unsafe` where another program has made the queue keep events, which
 * would be a log of the mixing
 */
export async function claimQueue(store: Store, name: QueueName): Promise<void> {
  queueKind(name);
  const meta = `${store.prefix}:${name}:meta`;
  const names = `${store.prefix}:queues`;
  const kept = await store.redis.hget(meta, 'opts.maxLenEvents');
  if (kept !== null && kept !== '0') {
    throw new PanoramixError(
      'redis-unsafe',
      `queue ${name} keeps ${kept} events: another program has used it; end that program, then ` +
        `redis-cli HSET '${meta}' opts.maxLenEvents 0`,
    );
  }
  if (kept === '0' && (await store.redis.sismember(names, name)) === 1) return;
  await store.redis.multi().hset(meta, 'opts.maxLenEvents', '0').sadd(names, name).exec();
}

/** Puts an active job off, without a trace of when it was taken. */
export async function putOff(store: Store, job: Job, atMs: number, token?: string): Promise<void> {
  await store.redis.hdel(`${job.prefix}:${job.queueName}:${job.id ?? ''}`, 'processedOn');
  await job.moveToDelayed(Math.ceil(atMs + store.aheadMs()), token);
}

/**
 * Shows workers at once what they would not see before a time: jobs of all kinds that were added, or put off,
 * by a clock that was ahead, and has been set back since. Handlers look at what a job leads to, and put it off
 * again where it is too early.
 * @param dueMs Unix ms; later than any job of these queues waits by a clock that is right
 * @returns how many there were
 */
export async function hastenJobs(
  store: Store,
  names: readonly QueueName[],
  dueMs: number,
): Promise<number> {
  let hastened = 0;
  for (const name of names) {
    const ids = await guarded(`look into queue ${name}`, async () => {
      return await delayedAfter(store, name, dueMs);
    });
    if (ids.length === 0) continue;
    const queue = new Queue<JobData>(name, queueOptions(store, name));
    queue.on('error', () => undefined);
    try {
      await guarded(`hasten jobs of queue ${name}`, async () => {
        for (const id of ids) {
          const job = await queue.getJob(id);
          // Taken, settled or hastened meanwhile: then it is not late.
          await job?.promote().then(
            () => hastened++,
            () => undefined,
          );
        }
      });
    } finally {
      await queue.close();
    }
  }
  return hastened;
}

async function delayedAfter(store: Store, name: QueueName, dueMs: number): Promise<string[]> {
  const from = (Math.floor(dueMs + store.aheadMs()) + 1) * DUE_STEPS;
  return await store.redis.zrangebyscore(`${store.prefix}:${name}:delayed`, from, '+inf');
}

async function run(
  store: Store,
  failures: JobLog,
  handler: JobHandler,
  job: Job,
  token: string | undefined,
): Promise<void> {
  let again: { readonly againAtMs: number } | void;
  const id = bareId(job.id ?? '');
  try {
    again = await handler({ id, dueMs: dueMsOf(job), failures: job.attemptsMade });
  } catch (thrown) {
    const error = asPanoramixError(thrown);
    failures.failed(error.code, error.message);
    // The message may name an address or a route, and BullMQ would store it beside the job.
    const reason = new Error(error.code);
    delete reason.stack;
    throw reason;
  }
  if (again !== undefined) {
    await putOff(store, job, again.againAtMs, token);
    throw new DelayedError();
  }
}

/** Whether the closing came to its end in time; it goes on where it did not. */
async function closeWorker(closing: Promise<void>, waitMsMax: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), waitMsMax);
  });
  const closed = closing.then(() => true);
  closed.catch(() => undefined);
  try {
    return await Promise.race([closed, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * BullMQ asks for the next job again at once when Redis answers with an error, such as out of memory:
 * a loop that takes a whole core. This one pauses, longer each time.
 */
class PatientWorker extends Worker<JobData, void> {
  #pauseMs = WORKER_PAUSE_MS;

  protected override async moveToActive(token: string, name?: string) {
    try {
      const job = await super.moveToActive(token, name);
      this.#pauseMs = WORKER_PAUSE_MS;
      return job;
    } catch (error) {
      await this.delay(this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, WORKER_PAUSE_MS_MAX);
      throw error;
    }
  }
}
