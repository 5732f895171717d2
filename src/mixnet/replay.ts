/**
 * Which packets an endpoint has seen: an exact set of replay tags, bounded. The in-process network
 * keeps it in memory; a mix server's journal keeps it in Redis together with the outcome, and
 * answers with the same words.
 */
import { toHex } from '../bytes.ts';

/**
 * - `committed`: seen for the first time, and remembered
 * - `replayed`: seen before
 * - `journal-full`: refused, for an endpoint's memory is full; nothing is ever forgotten to make room
 */
export type CommitVerdict = 'committed' | 'replayed' | 'journal-full';

/** Replay tags of many endpoints in memory. */
export class ReplaySet {
  readonly #tags = new Map<string, Set<string>>();
  readonly #tagsMax: number;

  /** @param tagsMax most tags of one endpoint; at 100 packets/s for 3 hours 1.1 million */
  constructor(tagsMax = 2_000_000) {
    this.#tagsMax = tagsMax;
  }

  commit(endpointId: string, tag: Uint8Array): CommitVerdict {
    const tags = this.#tags.get(endpointId) ?? new Set<string>();
    const name = toHex(tag);
    if (tags.has(name)) return 'replayed';
    if (tags.size >= this.#tagsMax) return 'journal-full';
    this.#tags.set(endpointId, tags.add(name));
    return 'committed';
  }

  /** Forgets an endpoint whose secret has been destroyed: nothing sent to it can be opened again. */
  forget(endpointId: string): void {
    this.#tags.delete(endpointId);
  }
}
