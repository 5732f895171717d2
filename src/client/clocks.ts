/**
 * What controllers' answers tell of clocks: each carries a `Date` (RFC 9110 §6.6.1), which is held against
 * the own clock. Between answers a clock that only runs on keeps count, so that a step of the own clock
 * shows at once. Pure but for the two clocks, which are arguments.
 */
import { STALE_MS } from '../api/signed.ts';

/** A `Date` is cut off to whole seconds: on average it is half a second old. */
const DATE_CUT_MS = 500;
/** Controllers remembered: the nodes of a mixnet, and no more of those that somebody makes up. */
const CONTROLLERS_MAX = 1024;

/** The own clock against that of one controller. */
export interface ClockDifference {
  /** The controller's catalog URL. */
  readonly url: string;
  /** How far the own clock is ahead of the controller's; below 0 where it is behind. */
  readonly aheadMs: number;
  /** How long ago the controller has answered. */
  readonly ageMs: number;
}

/** Which clocks differ by more than requests may (design §7): the own one, or that of some controllers. */
export interface ClockVerdict {
  /** Whether the own clock differs from most others. */
  readonly isOwnWrong: boolean;
  /** The median of the differences; 0 where nobody has answered. */
  readonly aheadMs: number;
  /** Controllers that were asked. */
  readonly heard: number;
  /** Those that differ from the own clock. */
  readonly differing: readonly ClockDifference[];
}

/** Where nothing is known that is wrong. */
export const CLOCKS_AGREE: ClockVerdict = {
  isOwnWrong: false,
  aheadMs: 0,
  heard: 0,
  differing: [],
};

export interface ClocksOptions {
  /** The own clock, ms since 1970. */
  readonly now?: () => number;
  /** Ms since whenever, never set. */
  readonly monotonic?: () => number;
}

/** The last answer of each controller. */
export class Clocks {
  readonly #now: () => number;
  readonly #monotonic: () => number;
  /** What each controller's clock shows more than ours that is never set, and when it was heard. */
  readonly #heard = new Map<string, { readonly beyondMs: number; readonly heardMs: number }>();

  constructor(options: ClocksOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#monotonic = options.monotonic ?? (() => performance.now());
  }

  /**
   * Notes the time in an answer that has just come.
   * @returns how far the own clock is ahead of it
   */
  heard(url: string, dateMs: number): number {
    const heardMs = this.#monotonic();
    const theirsMs = dateMs + DATE_CUT_MS;
    this.#heard.delete(url);
    this.#heard.set(url, { beyondMs: theirsMs - heardMs, heardMs });
    for (const [oldest] of this.#heard) {
      if (this.#heard.size <= CONTROLLERS_MAX) break;
      this.#heard.delete(oldest);
    }
    return this.#now() - theirsMs;
  }

  /** The own clock, as it is set now, against each controller that has answered. */
  differences(): readonly ClockDifference[] {
    const nowMs = this.#now();
    const monotonicMs = this.#monotonic();
    return [...this.#heard].map(([url, { beyondMs, heardMs }]) => ({
      url,
      aheadMs: nowMs - (monotonicMs + beyondMs),
      ageMs: monotonicMs - heardMs,
    }));
  }
}

/** Whether a request would be refused as stale. */
export function isOff({ aheadMs }: Pick<ClockDifference, 'aheadMs'>): boolean {
  return Math.abs(aheadMs) > STALE_MS;
}

/**
 * Who is wrong: the own clock where most others say so, else those that differ. One liar, or one controller
 * whose clock is wrong, stops nobody.
 * @param differences of answers that are fresh
 * @param ownUrl the node's own controller: mostly of the same machine, so it says nothing of this clock as
 *   long as anybody else does
 */
export function judgeClocks(differences: readonly ClockDifference[], ownUrl: string): ClockVerdict {
  const others = differences.filter(({ url }) => url !== ownUrl);
  const aheadMs = medianOf((others.length > 0 ? others : differences).map((one) => one.aheadMs));
  return {
    isOwnWrong: isOff({ aheadMs }),
    aheadMs,
    heard: differences.length,
    differing: differences.filter(isOff),
  };
}

/** A difference in words, such as `3 h 2 min ahead of`. */
export function differenceText(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24];
  const [minutes, rest] = [Math.floor(seconds / 60) % 60, seconds % 60];
  const text =
    days > 0
      ? `${days} d ${hours} h`
      : hours > 0
        ? `${hours} h ${minutes} min`
        : minutes > 0
          ? `${minutes} min ${rest} s`
          : `${rest} s`;
  return `${text} ${aheadMs < 0 ? 'behind' : 'ahead of'}`;
}

/** Of an even number the middle one that is nearer to 0: half of all others is not most of them. */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const left = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const right = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return Math.abs(left) <= Math.abs(right) ? left : right;
}
