import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { createSphinx, relayRouting } from '../../src/sphinx/index.ts';
import { freshPath } from './vectors.ts';

const RELAY = relayRouting(new Uint8Array(16), 0);
const DEST = Uint8Array.of(1);
const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 64 }, native);

test('a header is as long for one hop as for four, and no two are alike', (t) => {
  const headers = [1, 2, 3, 4, 4].map((hopCount) =>
    sphinx.build(freshPath(sphinx, native, Array(hopCount).fill(RELAY)), DEST, DEST),
  );
  t.deepEqual([...new Set(headers.map(({ length }) => length))], [sphinx.packetBytes]);
  t.is(new Set(headers.map((header) => header.subarray(0, 32).join())).size, 5);
});

test('what a sender brings that cannot be is our own bug, named', (t) => {
  const hops = freshPath(sphinx, native, [RELAY, RELAY]);
  const [first, second] = hops;
  if (!first || !second) throw new Error('two hops were asked for');
  const build = (path: typeof hops, random = native.random) =>
    sphinx.build(path, DEST, DEST, random);
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => build([]), /a path has at least one/],
    [() => build([first, { ...second, routing: new Uint8Array(128) }]), /routing: 1 to 127 bytes/],
    [() => build([first, { ...second, routing: new Uint8Array(0) }]), /routing: 1 to 127 bytes/],
    [() => build([first, { ...second, publicKey: new Uint8Array(32) }]), /hops\[1\]\.publicKey/],
    [() => build([{ ...first, publicKey: new Uint8Array(31) }, second]), /hops\[0\]\.publicKey/],
    [() => build(Array(5).fill(first)), /the path takes 209 = 32 \+ \(1 \+ 26 \+ 16\)/],
    [() => build(hops, () => new Uint8Array(8)), /random: expected 32 bytes, got 8/],
  ];
  for (const [make, message] of wrong) t.throws(make, { instanceOf: RangeError, message });
  t.notThrows(() => build(hops));
  t.notThrows(() => build([{ ...first, routing: new Uint8Array(0) }, second]), 'not carried');
});
