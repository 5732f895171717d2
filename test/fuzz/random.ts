/**
 * The fuzzer's dice: fast, and the same for the same seed, so that a run can be had again. Not for
 * secrets (sfc32, a generator of 128 bits of state that passes the usual statistical tests).
 */

/** Draws of one run. */
export interface Dice {
  /** A whole number from 0 to `below` - 1; 0 where there is none. */
  below(below: number): number;
  /** True once in `times`. */
  once(times: number): boolean;
  /** One of the items; the list must not be empty. */
  pick<Item>(items: readonly Item[]): Item;
}

/** @param seed any whole number; what is drawn follows from it alone */
export function createDice(seed: number): Dice {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, seed >>> 0, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  // The first numbers of near seeds are alike.
  for (let i = 0; i < 15; i++) next();
  const below = (limit: number): number =>
    limit <= 1 ? 0 : Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    once: (times) => below(times) === 0,
    pick: (items) => {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[below(items.length)] as (typeof items)[number];
    },
  };
}
