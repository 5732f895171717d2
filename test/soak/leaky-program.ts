/**
 * A program that makes garbage all the time and keeps so many bytes of it a second: what a soak must see,
 * or must not. `node leaky-program.ts BYTES`
 */
const TURN_MS = 20;
const GARBAGE_BYTES = 200_000;

const keptBytes = (Number(process.argv[2]) * TURN_MS) / 1000;
const kept: string[] = [];

setInterval(() => {
  const garbage = Array.from({ length: 100 }, (_, i) => String(i).repeat(GARBAGE_BYTES / 100));
  // A piece of a string would keep all of it.
  if (keptBytes > 0) kept.push(Buffer.alloc(keptBytes, garbage[0]).toString('latin1'));
}, TURN_MS);
