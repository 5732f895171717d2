/**
 * Randomness that repeats, fast: a simulation draws a hundred million bytes, and the same seed must give
 * the same run. Each purpose has a stream of its own, so that what one part draws changes nothing for
 * another: with one seed the clocks tick alike whether mail waits or not. Nothing here is secret.
 */
import type { Random } from '../crypto/primitives.ts';

/** A stream for each purpose; asked twice for one purpose, it starts over. */
export type RandomFor = (purpose: string) => Random;

/** The streams of a seed. */
export function seededStreams(seed: number | string): RandomFor {
  return (purpose) => seededRandom(`${seed}/${purpose}`);
}

/**
 * A stream of bytes that depends on the text alone: sfc32 (Chris Doty-Humphrey's small fast counting
 * generator), which passes PractRand, with a 32-bit counter that rules out short cycles.
 */
export function seededRandom(seed: string): Random {
  const next = sfc32(seed);
  return (byteLength) => {
    const bytes = new Uint8Array(byteLength);
    for (let offset = 0; offset < byteLength; offset += 4) {
      let word = next();
      const end = offset + 4 < byteLength ? offset + 4 : byteLength;
      for (let i = offset; i < end; i++) {
        bytes[i] = word;
        word >>>= 8;
      }
    }
    return bytes;
  };
}

function sfc32(seed: string): () => number {
  let a = hash32(seed, 0x811c9dc5);
  let b = hash32(seed, 0x2545f491);
  let c = hash32(seed, 0x9e3779b9);
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum;
  };
  // Its author's number of rounds before the state is well mixed.
  for (let round = 0; round < 15; round++) next();
  return next;
}

/** FNV-1a over the text, then a finaliser that spreads its last characters over all bits. */
function hash32(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
