/**
 * Changing an input: a few changes one on top of the other, each of a kind that suits the target. All
 * of it follows from the dice, so that a run can be had again.
 */
import type { Dice } from './random.ts';

/** One change. Gives new bytes, never changes what it was given. */
export type Mutation = (input: Uint8Array, around: Around) => Uint8Array;

/** What a change may draw on. */
export interface Around {
  readonly dice: Dice;
  readonly dictionary: readonly Uint8Array[];
  /** Another input of the corpus, to take parts from. */
  readonly other: Uint8Array;
  readonly inputBytesMax: number;
}

const CHANGES_MAX = 5;

/** An input of up to `CHANGES_MAX` changes, cut to the longest that is tried. */
export function mutate(
  input: Uint8Array,
  mutations: readonly Mutation[],
  around: Around,
): Uint8Array {
  const { dice, inputBytesMax } = around;
  // Mostly one or two: of many at once the first that is refused hides the others.
  const changes = 1 + dice.below(1 + dice.below(CHANGES_MAX));
  let changed = input;
  for (let i = 0; i < changes; i++) changed = dice.pick(mutations)(changed, around);
  return changed.length > inputBytesMax ? changed.slice(0, inputBytesMax) : changed;
}
