/** Makes a found input small: parts are left out for as long as the same fault shows. */
import { concat } from '../../src/bytes.ts';

/** Most tries; found inputs are to be read by a person, not to be proved minimal. */
const TRIES_MAX = 400;
/** Slow inputs would take hours otherwise. */
const SHRINK_MS_MAX = 5_000;

/**
 * @param isStill whether an input shows the same fault
 */
export async function shrink(
  input: Uint8Array,
  isStill: (smaller: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let small = input;
  let tries = 0;
  const untilMs = Date.now() + SHRINK_MS_MAX;
  for (let size = Math.ceil(small.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < small.length && tries < TRIES_MAX && Date.now() < untilMs;) {
      const without = concat(small.subarray(0, at), small.subarray(at + size));
      tries++;
      if (await isStill(without)) small = without;
      else at += size;
    }
  }
  return small;
}
