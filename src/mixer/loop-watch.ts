/**
 * Watches what comes back of this node's own packets, and raises the alarm when fewer do than chance allows:
 * somebody may be holding all packets but one, to see where that one goes (an n-1 attack). What is done
 * about it stands in forward.ts; here it is said, in the log, the counters and the report for `status`.
 */
import { toHex } from '../bytes.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Loops, tripDueMs } from '../mixnet/loops.ts';
import type { PreparedPacket } from '../mixnet/prepare.ts';
import type { StoredLoops } from '../redis/loop-report.ts';
import type { Counters } from './counters.ts';

/** Packets leave after seconds: an alarm that is seen within this time stops those that are due next. */
const JUDGE_MS = 250;
const REPORT_MS = 10_000;

type Packet = Extract<PreparedPacket, { kind: 'packet' }>;

export interface LoopWatchOptions {
  /** Own peer id. */
  readonly me: string;
  readonly now: () => number;
  readonly counters: Counters;
  readonly log: Log;
  /** Whether this node collects what comes for it: without a directory it does not. */
  readonly listens: () => boolean;
  /** Leaves what `status` shows. */
  readonly write: (loops: StoredLoops) => Promise<void>;
}

export class LoopWatch {
  readonly #options: LoopWatchOptions;
  #loops: Loops;
  #alarms = 0;
  #isAlarmed = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: LoopWatchOptions) {
    this.#options = options;
    this.#loops = new Loops(options.me);
  }

  start(): void {
    const report = (): void => void this.#report();
    this.#timers = [
      setInterval(() => this.#judge(), JUDGE_MS).unref(),
      setInterval(report, REPORT_MS).unref(),
    ];
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#report();
  }

  /** By when a packet that leaves now should be back. */
  dueMs({ trip }: Packet, sentMs: number, ackDelayMeanMs: number): number {
    return tripDueMs({ sentMs, delayMs: trip.delayMs, ackDelayMeanMs });
  }

  /** A packet of ours has left. */
  sent({ reply, trip }: Packet, sentMs: number, dueMs: number): void {
    this.#loops.sent({ id: toHex(reply.id), nodes: trip.nodes, sentMs, dueMs });
  }

  /** One is back. */
  returned(id: string): void {
    this.#loops.returned(id, this.#options.now());
  }

  /** The number of the alarm that is on, from 1; null where none is. */
  alarm(): number | null {
    return this.#isAlarmed ? this.#alarms : null;
  }

  #judge(): void {
    const { me, now, counters, log, listens } = this.#options;
    // Who does not listen learns nothing of what comes back: what was sent before does not count.
    if (!listens()) this.#loops = new Loops(me);
    const { isAlarmed, returned, due } = this.#loops.judge(now());
    if (isAlarmed === this.#isAlarmed) return;
    this.#isAlarmed = isAlarmed;
    if (isAlarmed) {
      this.#alarms += 1;
      counters.count('loop-alarm');
      log.warn(
        { event: 'loop-alarm', returned, due },
        'Too few of our own packets come back: packets of others are held longer for a while',
      );
      return;
    }
    log.info(
      { event: 'loop-alarm-over', returned, due },
      'Our own packets come back again: packets of others leave at their times',
    );
  }

  async #report(): Promise<void> {
    const { now, write, log } = this.#options;
    const loops = { verdict: this.#loops.judge(now()), report: this.#loops.report(now()) };
    await write(loops).catch((thrown: unknown) => {
      const { code } = asPanoramixError(thrown);
      log.debug({ event: 'loop-report-failed', reason: code }, 'The report was not stored');
    });
  }
}
