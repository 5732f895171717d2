import test from 'ava';
import { decryptWide, encryptWide } from '../../src/sphinx/lioness.ts';
import { flipped, primitiveSets } from './vectors.ts';

const KEY = new Uint8Array(16).fill(3);

for (const primitives of primitiveSets) {
  test(`decryption undoes encryption, and neither changes its input (${primitives.name})`, (t) => {
    for (const length of [32, 33, 64, 1000, 32_768]) {
      const plain = primitives.random(length);
      const before = Uint8Array.from(plain);
      const [encrypted, decrypted] = [new Uint8Array(length), new Uint8Array(length)];
      encryptWide(primitives, KEY, plain, encrypted);
      decryptWide(primitives, KEY, encrypted, decrypted);
      t.notDeepEqual(encrypted, plain);
      t.deepEqual(decrypted, before);
      t.deepEqual(plain, before);
      decryptWide(primitives, KEY, plain, encrypted);
      encryptWide(primitives, KEY, encrypted, decrypted);
      t.deepEqual(decrypted, before, 'and the other way round');
    }
  });

  test(`one bit changed anywhere changes half of all bits (${primitives.name})`, (t) => {
    const block = primitives.random(512);
    const outcome = (input: Uint8Array, apply: typeof decryptWide) => {
      const out = new Uint8Array(input.length);
      apply(primitives, KEY, input, out);
      return out;
    };
    for (const apply of [encryptWide, decryptWide]) {
      for (const offset of [0, 15, 16, 300, 511]) {
        const changed = outcome(flipped(block, offset), apply);
        const differing = outcome(block, apply).reduce(
          (sum, byte, i) => sum + bitCount(byte ^ (changed[i] as number)),
          0,
        );
        // 4096 bits: mean 2048, standard deviation 32; eight of them is beyond any luck.
        t.true(Math.abs(differing - 2048) < 256, `${offset}: ${differing}`);
      }
    }
  });
}

function bitCount(byte: number): number {
  return byte.toString(2).replaceAll('0', '').length;
}
