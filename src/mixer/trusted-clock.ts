/**
 * The time that a node goes by. The machine's clock, as long as it only runs on; where somebody sets it, by
 * more than requests may be off, the time that was before runs on until controllers have said which is
 * right: no delay is cut short, no mail expires and no key ends by a clock that was wrong for a moment.
 * Pure but for the two clocks, which are arguments.
 */
import { isOff, type ClockVerdict } from '../client/clocks.ts';

export interface TrustedClockOptions {
  /** The machine's clock, ms since 1970. */
  readonly now?: () => number;
  /** Ms since whenever, never set; it may stand still while the computer sleeps. */
  readonly monotonic?: () => number;
}

/** One for each node: all of its parts go by it. */
export class TrustedClock {
  readonly #machineMs: () => number;
  readonly #monotonicMs: () => number;
  /** A time that was right, and what the clock that is never set showed then. */
  #right: { readonly atMs: number; readonly monotonicMs: number };
  #isKnown = false;

  constructor(options: TrustedClockOptions = {}) {
    this.#machineMs = options.now ?? Date.now;
    this.#monotonicMs = options.monotonic ?? (() => performance.now());
    this.#right = { atMs: this.#machineMs(), monotonicMs: this.#monotonicMs() };
  }

  /** Ms since 1970. */
  now(): number {
    const { machineMs, keptMs } = this.#read();
    return isOff({ aheadMs: machineMs - keptMs }) ? keptMs : machineMs;
  }

  /**
   * How far the machine's clock is ahead of `now`, below 0 where it is behind: for what goes by the machine's.
   * Exactly 0 while nobody has set it.
   */
  aheadMs(): number {
    const { machineMs, keptMs } = this.#read();
    return isOff({ aheadMs: machineMs - keptMs }) ? machineMs - keptMs : 0;
  }

  /** Whether it was compared with any other since the start: a machine may start with any time. */
  isKnown(): boolean {
    return this.#isKnown;
  }

  /** What controllers' answers say of the machine's clock is so, until somebody sets it. */
  judged({ isOwnWrong, aheadMs }: Pick<ClockVerdict, 'isOwnWrong' | 'aheadMs'>): void {
    const atMs = this.#machineMs() - (isOwnWrong ? aheadMs : 0);
    this.#right = { atMs, monotonicMs: this.#monotonicMs() };
    this.#isKnown = true;
  }

  #read(): { readonly machineMs: number; readonly keptMs: number } {
    const { atMs, monotonicMs } = this.#right;
    return { machineMs: this.#machineMs(), keptMs: atMs + this.#monotonicMs() - monotonicMs };
  }
}
