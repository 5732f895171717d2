/**
 * Every queue, in one table: what its jobs mean, how they are tried again, how many run at once. A job
 * names something by its id and holds nothing else; bytes live in `mail-store.ts` and `records.ts`.
 * BullMQ's own defaults lose mail (one attempt, one stall) and keep a log of the mixing; see the README.
 */

/** Queues; those whose name is completed by `-NAME` exist once per exit gateway or application. */
export type QueueKind = 'mail' | 'outbound' | 'mixing' | 'delivery' | 'exit';

/** The full name: BullMQ refuses `:`, so parts are joined by `-`. */
export type QueueName = 'mail' | 'mixing' | 'delivery' | `outbound-${string}` | `exit-${string}`;

/** What a job carries besides its id: nothing. */
export type JobData = Readonly<Record<string, never>>;

/** Settings of one kind of queue. */
export interface QueueSettings {
  readonly description: string;
  /** What the job's id names. */
  readonly idNames: string;
  /** Jobs that one worker runs at a time. */
  readonly concurrency: number;
  /** First pause after a failed attempt; doubles, with half of it random. */
  readonly backoffMs: number;
  /** Longest pause. */
  readonly backoffMsMax: number;
  /**
   * What a job stores of when it was added, which `status` shows as its age: the ms, the step of
   * `TIME_STEP_MS`, or nothing. Where packets of others pass, any would be a log of the mixing; such a job
   * holds only when it is due.
   */
  readonly storesTime: 'exactly' | 'coarsely' | 'never';
}

/** A fragment waits until its exit has it; in which minute it came tells who has just sent a mail. */
export const TIME_STEP_MS = 600_000;
/** Tries and stalls never end a job: at a pause of seconds, a billion attempts are centuries. */
export const ATTEMPTS = 1_000_000_000;
/** A lock that is not renewed within it is lost; renewed twice as often. */
export const LOCK_MS = 10_000;
/** How often jobs without a lock are looked for: a killed worker's job is back after 10 to 15 s. */
export const STALLED_CHECK_MS = 5_000;

/** Every queue. */
export const QUEUES = {
  mail: {
    description: 'accepted mail, to be fragmented and built into packets',
    idNames: 'the message id (mail-store.ts)',
    concurrency: 2,
    backoffMs: 1_000,
    backoffMsMax: 60_000,
    storesTime: 'exactly',
  },
  outbound: {
    description: 'fragments for one exit gateway until it has them; a tick takes the oldest',
    idNames: 'the record (records.ts)',
    concurrency: 1,
    backoffMs: 500,
    backoffMsMax: 30_000,
    storesTime: 'coarsely',
  },
  mixing: {
    description: "others' packets, held for their delay, then posted to the next hop",
    idNames: 'the record (records.ts)',
    concurrency: 64,
    backoffMs: 500,
    backoffMsMax: 30_000,
    storesTime: 'never',
  },
  delivery: {
    description: 'complete messages, held for the exit delay, then given to Postfix',
    idNames: 'the message (fragment-store.ts)',
    concurrency: 4,
    backoffMs: 5_000,
    backoffMsMax: 300_000,
    storesTime: 'never',
  },
  exit: {
    description: 'application messages for one program behind this node',
    idNames: 'the message (fragment-store.ts)',
    concurrency: 4,
    backoffMs: 1_000,
    backoffMsMax: 60_000,
    storesTime: 'never',
  },
} as const satisfies Record<QueueKind, QueueSettings>;

/** The kind that a queue's name belongs to; RangeError where the name is none of ours. */
export function queueKind(name: QueueName): QueueKind {
  const [kind = '', ...rest] = name.split('-');
  const named = kind === 'outbound' || kind === 'exit';
  if (!Object.hasOwn(QUEUES, kind) || named !== rest.join('-').length > 0 || /[^\w-]/.test(name)) {
    throw new RangeError(`no queue has the name ${name}`);
  }
  return kind as QueueKind;
}

/**
 * The pause before the next attempt: doubling up to the queue's longest, half of it random, so that
 * what failed together does not come back together.
 * @param attempt failed attempts so far, from 1
 * @param random from 0 up to 1
 */
export function backoffMs(name: QueueName, attempt: number, random = Math.random()): number {
  const settings = QUEUES[queueKind(name)];
  const wholeMs = Math.min(
    settings.backoffMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 30),
    settings.backoffMsMax,
  );
  return Math.round(wholeMs / 2 + (wholeMs / 2) * random);
}
