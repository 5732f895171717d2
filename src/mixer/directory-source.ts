/**
 * By which directory the mix server works; a DirectoryStore is one. New work goes by `current`, and
 * waits while that has expired; what is under way goes by `last`.
 */
import type { Directory } from '../mixnet/directory.ts';

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
