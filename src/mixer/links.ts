/**
 * Links to the controllers of next hops. One that does not answer holds up its own packets only: few
 * wait on it at a time, after a failure one alone tries it, and the others come again later.
 */
import type { Random } from '../crypto/primitives.ts';
import { drawUnit } from '../mixnet/draw.ts';

/**
 * Posts under way on one link. A hop that hangs costs its share of the 64 [mixing] workers for one
 * timeout, and four of them at once are needed to stop the rest; at 50 ms a post it is 320 packets/s.
 */
const UNDER_WAY_MAX = 16;
/** What finds a link busy comes again within twice this. */
const BUSY_MS = 50;
/** First pause after a failure, doubled up to the longest. */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;

interface Link {
  underWay: number;
  /** Failed tries in a row; 0 while it works. */
  failures: number;
  closedUntilMs: number;
}

/** One entry for each controller that this node has posted to since its start. */
export class Links {
  readonly #random: Random;
  readonly #links = new Map<string, Link>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Null where a packet may be posted now, and `leave` must follow; else when to come again. */
  enter(url: string, nowMs: number): { readonly againAtMs: number } | null {
    const link = this.#link(url);
    // A clock that was set back must not keep a link closed for longer than any pause is.
    link.closedUntilMs = Math.min(link.closedUntilMs, nowMs + PAUSE_MS_MAX);
    if (link.failures > 0 && (nowMs < link.closedUntilMs || link.underWay > 0)) {
      // Spread over a pause: what has waited together does not come back together.
      const fromMs = Math.max(nowMs, link.closedUntilMs);
      return { againAtMs: fromMs + drawUnit(this.#random) * pauseMs(link.failures) };
    }
    if (link.underWay >= UNDER_WAY_MAX) {
      return { againAtMs: nowMs + BUSY_MS * (1 + drawUnit(this.#random)) };
    }
    link.underWay++;
    return null;
  }

  /** The end of a post that `enter` let go; `answered` whatever the controller has answered. */
  leave(url: string, nowMs: number, outcome: 'answered' | 'failed'): void {
    const link = this.#link(url);
    link.underWay--;
    if (outcome === 'answered') link.failures = 0;
    else if (link.failures === 0 || nowMs >= link.closedUntilMs) {
      // Those that were under way at the first failure and fail after it are one failure with it.
      link.closedUntilMs = nowMs + pauseMs(++link.failures);
    }
  }

  #link(url: string): Link {
    const known = this.#links.get(url);
    if (known !== undefined) return known;
    const link = { underWay: 0, failures: 0, closedUntilMs: 0 };
    this.#links.set(url, link);
    return link;
  }
}

function pauseMs(failures: number): number {
  return Math.min(PAUSE_MS * 2 ** Math.min(failures - 1, 20), PAUSE_MS_MAX);
}
