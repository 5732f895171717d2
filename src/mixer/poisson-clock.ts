/**
 * The timer behind own packets: a Poisson clock of mixnet/ticks.ts on real time. Its rate is a constant of
 * the snapshot, looked at before each tick, and nothing else: never how much waits. Without a directory
 * it stands still.
 */
import type { Random } from '../crypto/primitives.ts';
import { DELAY_MEANS_MAX } from '../mixnet/delay.ts';
import { advanceTicks, startTicks, type TickClock } from '../mixnet/ticks.ts';

/** Timers that wait longer than a day overflow; a rate that slow looks at the clock now and then. */
const WAIT_MS_MAX = 3_600_000;
/** How long to wait before looking again whether there is a directory. */
const NO_DIRECTORY_MS = 1000;

export interface PoissonClockOptions {
  readonly random: Random;
  readonly now: () => number;
  /** Ticks a second by the directory that holds; null where none does. */
  readonly rate: () => number | null;
  /** Called when the clock begins to run, with the first directory and after each pause without one. */
  readonly onStart: () => void;
  readonly onTick: () => void;
  /** Ticks that were missed, as after a stop of the computer, and will not be made up for. */
  readonly onSkipped: (ticks: number) => void;
}

export class PoissonClock {
  readonly #options: PoissonClockOptions;
  #clock: TickClock | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;

  constructor(options: PoissonClockOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#isStopped) return;
    const { random, now, rate, onStart } = this.#options;
    const perSecond = rate();
    if (perSecond === null || this.#isFarAhead(perSecond)) this.#clock = null;
    if (perSecond !== null && this.#clock === null) {
      this.#clock = startTicks(random, now(), perSecond);
      onStart();
    }
    const waitMs = this.#clock === null ? NO_DIRECTORY_MS : this.#clock.dueMs - now();
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(waitMs, 0), WAIT_MS_MAX));
  }

  /** Further than any draw: the computer's clock was set back, and ticks would stop for as long. */
  #isFarAhead(perSecond: number): boolean {
    const aheadMs = (this.#clock?.dueMs ?? 0) - this.#options.now();
    return aheadMs > DELAY_MEANS_MAX * (1000 / perSecond);
  }

  #wake(): void {
    const { random, now, rate, onTick, onSkipped } = this.#options;
    const perSecond = rate();
    if (this.#clock !== null && perSecond !== null && this.#clock.dueMs <= now()) {
      onTick();
      const before = this.#clock.skipped;
      this.#clock = advanceTicks(random, this.#clock, now(), perSecond);
      if (this.#clock.skipped > before) onSkipped(this.#clock.skipped - before);
    }
    this.#schedule();
  }
}
