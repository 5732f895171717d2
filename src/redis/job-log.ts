/**
 * What a worker says of jobs that fail: each reason once, then its number in long intervals. A line for
 * each job and time would be a log of the mixing, and a next hop that is down would fill the disk.
 */
import type { Log } from '../log.ts';
import type { QueueName } from './jobs.ts';

const AGAIN_MS = 60_000;

/** The failures of one queue's jobs. */
export class JobLog {
  readonly #log: Log;
  readonly #queue: QueueName;
  readonly #now: () => number;
  readonly #reasons = new Map<string, { saidMs: number; since: number }>();

  /** @param now a clock that never goes back, ms */
  constructor(log: Log, queue: QueueName, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#queue = queue;
    this.#now = now;
  }

  /**
   * Counts a failure; says so where its reason was not said within the last minute.
   * @param reason a code of `ERRORS`
   * @param detail for the operator; of this failure alone, so it stands for the others
   */
  failed(reason: string, detail: string): void {
    const nowMs = this.#now();
    const known = this.#reasons.get(reason);
    if (known && nowMs - known.saidMs < AGAIN_MS) {
      known.since++;
      return;
    }
    this.#reasons.set(reason, { saidMs: nowMs, since: 0 });
    this.#log.warn(
      { queue: this.#queue, reason, error: detail, others: known?.since ?? 0 },
      'Jobs fail and are tried again',
    );
  }
}
