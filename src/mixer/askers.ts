/**
 * Whose wish for a snapshot out of turn is heeded: everybody's, and of each one a few between two that come in turn.
 * Each snapshot is kept for months where the owners meet, and each owner may have so many negotiations open: a
 * node that asked every minute would use up both within hours, and the nodes could agree on nothing.
 */

/**
 * A pause and its end. Other nodes may have heeded other wishes of the same one, so twice as many may come of it by
 * the rule of more than half: 224 in seven days of turns of three hours, of an owner's 256 negotiations.
 */
const ASKED_MAX = 2;

/** See the head of this file. */
export class Askers {
  /** By peer: when he was heeded lately, and the numbers of the directories that were held then. */
  readonly #heeded = new Map<
    string,
    readonly { readonly atMs: number; readonly number: number }[]
  >();

  /**
   * Heeds the first who may ask now. One whose snapshot has not come yet still may.
   * @param peers who have said where they are for the next snapshot, in the order in which they did
   * @param number of the directory that is held
   * @param turnMs between two snapshots that come in turn
   */
  heed(peers: readonly string[], number: number, nowMs: number, turnMs: number): boolean {
    for (const peer of peers) {
      const lately = (this.#heeded.get(peer) ?? []).filter(({ atMs }) => nowMs - atMs < turnMs);
      if (lately.some((one) => one.number >= number)) return true;
      if (lately.length >= ASKED_MAX) continue;
      this.#heeded.set(peer, [...lately, { atMs: nowMs, number }]);
      return true;
    }
    return false;
  }
}
