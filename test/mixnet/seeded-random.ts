/**
 * Randomness that repeats: the same seed gives the same bytes, so that a failure can be seen again.
 * A splitmix generator; for tests only, nothing here is secret.
 */
import type { Random } from '../../src/crypto/primitives.ts';

/** Bytes that depend on the seed alone. */
export function seededRandom(seed: number): Random {
  let state = BigInt(seed);
  const next = (): bigint => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let mixed = state;
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return mixed ^ (mixed >> 31n);
  };
  return (byteLength) => {
    const words = BigUint64Array.from({ length: Math.ceil(byteLength / 8) }, next);
    return new Uint8Array(words.buffer, 0, byteLength).slice();
  };
}
