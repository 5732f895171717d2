/**
 * Fair draws from bytes of randomness: a whole number below a limit, a choice by weights, an order.
 * Routes, exits of ticks and the order in which packets leave come from here.
 */
import { readUint } from '../bytes.ts';
import type { Random } from '../crypto/primitives.ts';

const DRAW_BYTES = 6;
const DRAW_RANGE = 2 ** (8 * DRAW_BYTES);

/**
 * A whole number from 0 to `limit` - 1, each equally likely: draws above the last multiple of
 * `limit` are drawn again, for a plain remainder would favour the small numbers.
 * @param limit 1 to 2^48; RangeError else
 */
export function drawBelow(random: Random, limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > DRAW_RANGE) {
    throw new RangeError(`cannot draw below ${limit}`);
  }
  const fair = DRAW_RANGE - (DRAW_RANGE % limit);
  for (;;) {
    const drawn = readUint(random(DRAW_BYTES), 0, DRAW_BYTES);
    if (drawn < fair) return drawn % limit;
  }
}

/** A number in (0, 1], never 0: its logarithm is finite, and at least -33.3. */
export function drawUnit(random: Random): number {
  return (readUint(random(DRAW_BYTES), 0, DRAW_BYTES) + 1) / DRAW_RANGE;
}

/** One of `choices`, each equally likely, or null where there is none. */
export function drawOne<Choice>(random: Random, choices: readonly Choice[]): Choice | null {
  if (choices.length === 0) return null;
  return choices[drawBelow(random, choices.length)] as Choice;
}

/**
 * One of `choices`, each as likely as its share of all weights; null where no weight is above zero.
 * @param weightOf a finite number; negative counts as zero
 */
export function drawWeighted<Choice>(
  random: Random,
  choices: readonly Choice[],
  weightOf: (choice: Choice) => number,
): Choice | null {
  const weighted = choices.filter((choice) => weightOf(choice) > 0);
  const total = weighted.reduce((sum, choice) => sum + weightOf(choice), 0);
  let left = drawUnit(random) * total;
  for (const choice of weighted) {
    left -= weightOf(choice);
    if (left <= 0) return choice;
  }
  // Sums of floating-point numbers may fall short by a rounding error: the last one takes it.
  return weighted.at(-1) ?? null;
}

/** The same items in a random order, every order equally likely (Fisher and Yates). */
export function shuffle<Item>(random: Random, items: readonly Item[]): Item[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = drawBelow(random, last + 1);
    [order[last], order[other]] = [order[other] as Item, order[last] as Item];
  }
  return order;
}
