/**
 * Long polls: who waits at which endpoint, woken the moment a message has been stored in this process.
 * Another controller on the same Redis wakes nobody here; the fallback finds what it stored.
 */
import { PanoramixError } from '../../src/errors.ts';

/** How late a message is noticed that another process has stored. */
const FALLBACK_MS = 1_000;
/** An owner's collectors, and those that it has just restarted. */
const WAITING_PER_ENDPOINT_MAX = 16;

/** Wakes long polls. */
export class Arrivals {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Wakes everybody who waits at an endpoint. */
  notify(endpointId: string): void {
    for (const isOwner of [true, false]) {
      const waiting = this.#waiting.get(placeOf(endpointId, isOwner));
      if (waiting !== undefined) for (const wake of waiting) wake();
    }
  }

  /**
   * Looks until there is something, the time is over or `signal` aborts: then what was last seen.
   * Looks again on every arrival, also one that comes while it looks.
   * @param isOwner owners have places of their own: others who wait for an OUTBOX take none of them
   */
  async until<T>(
    endpointId: string,
    isOwner: boolean,
    waitMs: number,
    signal: AbortSignal,
    look: () => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    if (waitMs === 0) return await look();
    const place = placeOf(endpointId, isOwner);
    const endsMs = performance.now() + waitMs;
    let arrived = false;
    let wake: (() => void) | null = null;
    const onArrival = (): void => {
      arrived = true;
      wake?.();
    };
    this.#add(place, onArrival);
    signal.addEventListener('abort', onArrival);
    try {
      for (;;) {
        arrived = false;
        const found = await look();
        const leftMs = endsMs - performance.now();
        if (found.length > 0 || leftMs <= 0 || signal.aborted) return found;
        if (arrived) continue;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.min(leftMs, FALLBACK_MS));
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      signal.removeEventListener('abort', onArrival);
      this.#remove(place, onArrival);
    }
  }

  #add(place: string, wake: () => void): void {
    const waiting = this.#waiting.get(place) ?? new Set();
    if (waiting.size >= WAITING_PER_ENDPOINT_MAX) {
      throw new PanoramixError('readers-too-many', 'at this endpoint');
    }
    this.#waiting.set(place, waiting.add(wake));
  }

  #remove(place: string, wake: () => void): void {
    const waiting = this.#waiting.get(place);
    waiting?.delete(wake);
    if (waiting?.size === 0) this.#waiting.delete(place);
  }
}

function placeOf(endpointId: string, isOwner: boolean): string {
  return `${isOwner ? 'owner' : 'other'}/${endpointId}`;
}
