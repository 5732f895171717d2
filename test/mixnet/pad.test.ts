import test from 'ava';
import { pad, unpad } from '../../src/mixnet/pad.ts';

test('padded bytes come back', (t) => {
  const padded = pad(new Uint8Array([1, 2, 0]), 6);
  t.deepEqual(padded, new Uint8Array([1, 2, 0, 0, 0, 0]));
  t.deepEqual(unpad(padded, 3), new Uint8Array([1, 2, 0]));
});

test('what does not fit is a bug, what was not padded is refused', (t) => {
  t.throws(() => pad(new Uint8Array(7), 6), { instanceOf: RangeError });
  t.is(unpad(new Uint8Array([1, 2, 0, 0, 9]), 2), null);
  t.is(unpad(new Uint8Array(5), 6), null);
});
