/**
 * By which directory the mix server works; a DirectoryStore is one. New work goes by `current`, and
 * waits while that has expired; what is under way goes by `last`.
 */
import type { Directory } from '../mixnet/directory.ts';
import { inTime } from './in-time.ts';

export interface DirectorySource {
  /** The directory to route by now, or why there is none. */
  current():
    | { readonly ok: true; readonly directory: Directory }
    | { readonly ok: false; readonly reason: string };
  /** The last one that verified, expired or not. */
  last(): Directory | null;
  /** Asks for a newer one. */
  refresh(): Promise<unknown>;
}

/** A hop may be newer than the directory held, or made up by somebody who wants us to ask. */
const REFRESH_MS_MIN = 10_000;
/**
 * A controller that hangs answers after 15 s or more, and meanwhile nothing behind the packet that asked
 * would be collected: one made-up hop every 10 s would stop the node.
 */
const PATIENCE_MS = 2_000;

/**
 * Asks a source for a newer directory, at most every 10 s; who asks while an answer is under way waits
 * for that one, nobody for longer than 2 s after it was asked for.
 * @param nowMs a clock that never goes back
 */
export function limitedRefresh(
  source: Pick<DirectorySource, 'refresh'>,
  nowMs: () => number = () => performance.now(),
): () => Promise<void> {
  let askedMs = -Infinity;
  let asking: Promise<unknown> | null = null;
  return async () => {
    if (asking === null && nowMs() - askedMs >= REFRESH_MS_MIN) {
      askedMs = nowMs();
      asking = source.refresh().finally(() => {
        asking = null;
      });
    }
    if (asking !== null) await inTime(asking, askedMs + PATIENCE_MS - nowMs());
  };
}
