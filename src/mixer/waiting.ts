/**
 * Packets that are due and that their next hop has not taken yet, counted by hop: this node's own and
 * those of others apart, for each kind has its own limit and must not decide what becomes of the other.
 * In memory; after a start each counts again when its job comes.
 */

/** Whose packet it is. */
export type Owner = 'own' | 'others';

export class Waiting {
  readonly #places = new Map<string, { readonly owner: Owner; readonly hop: string }>();
  readonly #counts = new Map<string, number>();

  /**
   * Counts a packet once, however often it is tried.
   * @param most how many of its kind may wait for one hop
   * @returns false, and it does not count, where there are as many already
   */
  enter(recordId: string, owner: Owner, hop: string, most = Infinity): boolean {
    if (this.#places.has(recordId)) return true;
    const count = this.count(owner, hop);
    if (count >= most) return false;
    this.#places.set(recordId, { owner, hop });
    this.#counts.set(nameOf(owner, hop), count + 1);
    return true;
  }

  /** It has left, or ended, or was gone already. */
  leave(recordId: string): void {
    const place = this.#places.get(recordId);
    if (place === undefined) return;
    this.#places.delete(recordId);
    const left = this.count(place.owner, place.hop) - 1;
    if (left > 0) this.#counts.set(nameOf(place.owner, place.hop), left);
    else this.#counts.delete(nameOf(place.owner, place.hop));
  }

  count(owner: Owner, hop: string): number {
    return this.#counts.get(nameOf(owner, hop)) ?? 0;
  }
}

function nameOf(owner: Owner, hop: string): string {
  return `${owner} ${hop}`;
}
