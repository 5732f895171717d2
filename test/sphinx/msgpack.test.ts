import test from 'ava';
import { encode } from '@msgpack/msgpack';
import { toHex } from '../../src/bytes.ts';
import { MsgpackReader, binaryBytes, encodeArray, encodeBinary } from '../../src/sphinx/msgpack.ts';
import { bytes } from './vectors.ts';

test('byte strings are written as msgpack does, in their shortest form, and read back', (t) => {
  for (const length of [0, 1, 255, 256, 65_535, 65_536, 70_000]) {
    const value = new Uint8Array(length).fill(5);
    const encoded = encodeArray(encodeBinary(value), encodeBinary(value));
    t.deepEqual(encoded, Uint8Array.from(encode([value, value])), `${length}`);
    t.is(encoded.length, 1 + 2 * binaryBytes(length));
    const reader = new MsgpackReader(encoded);
    t.is(reader.arrayCount(), 2);
    t.deepEqual(reader.binary(), value);
    t.false(reader.atEnd);
    t.deepEqual(reader.binary(), value);
    t.true(reader.atEnd);
    t.is(reader.binary(), null, 'there is no third');
  }
});

test('a byte string in a longer form than it needs, or cut short, is refused', (t) => {
  const hostile = ['', 'c4', 'c401', 'c5', 'c500', 'c50001ff', 'c500ff', 'c60000', 'c60000ffff'];
  for (const hex of [...hostile, 'c6ffffffff', 'a161', 'd90161', 'c0', 'c70100ff']) {
    t.is(new MsgpackReader(bytes(hex)).binary(), null, hex);
  }
  const long = `c500ff${'00'.repeat(255)}`;
  t.is(new MsgpackReader(bytes(long)).binary(), null);
  t.is(toHex(new MsgpackReader(bytes(`c4ff${long.slice(6)}`)).binary() ?? bytes('00')).length, 510);
});
