import test from 'ava';
import fc from 'fast-check';
import { concat, readUint, writeUint } from '../../src/bytes.ts';
import {
  decodeFragment,
  encodeFragment,
  FRAGMENTS_MAX,
  fragmentsOf,
  join,
  split,
} from '../../src/mixnet/fragment.ts';
import { FRAME_BYTES, MARK_BYTES, type Geometry } from '../../src/mixnet/geometry.ts';
import { NOW_MS } from './made-directory.ts';

const geometry: Geometry = {
  messageBytes: FRAME_BYTES + MARK_BYTES + 100 + 50,
  replyBlockBytes: 100,
  fragmentBytes: 50,
};
const about = { messageId: new Uint8Array(16).fill(7), expiryMs: NOW_MS };

test('the frame is the sum of its parts', (t) => {
  t.is(FRAME_BYTES, 35);
  t.is(MARK_BYTES, 96);
});

test('a message of any length comes back from its fragments, in any order', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (message) => {
      const frames = split(message, about, geometry).map((part) => encodeFragment(part, geometry));
      t.true(frames.every((frame) => frame.length === geometry.messageBytes));
      const parts = frames.toReversed().map((frame) => decodeFragment(frame, geometry));
      const ordered = parts.toSorted((left, right) => (left?.index ?? 0) - (right?.index ?? 0));
      t.deepEqual(join(ordered.map((part) => part?.bytes as Uint8Array)), message);
    }),
  );
});

for (const [bytes, total] of [
  [0, 1],
  [1, 1],
  [49, 1],
  [50, 1],
  [51, 2],
  [100, 2],
  [101, 3],
] as const) {
  test(`${bytes} bytes of 50 a fragment are ${total}`, (t) => {
    t.is(fragmentsOf(bytes, geometry), total);
    t.is(split(new Uint8Array(bytes), about, geometry).length, total);
  });
}

test('more fragments than an exit would keep are a bug of the sender', (t) => {
  const message = new Uint8Array((FRAGMENTS_MAX + 1) * 50);
  t.throws(() => split(message, about, geometry), { instanceOf: RangeError });
});

const whole = encodeFragment({ ...about, index: 0, total: 2, bytes: new Uint8Array(50) }, geometry);
const short = encodeFragment({ ...about, index: 1, total: 2, bytes: new Uint8Array(9) }, geometry);
const put = (frame: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array =>
  concat(frame.subarray(0, offset), bytes, frame.subarray(offset + bytes.length));

for (const [what, frame] of [
  ['nothing', new Uint8Array()],
  ['a byte too few', whole.subarray(1)],
  ['a byte too many', concat(whole, new Uint8Array(1))],
  ['another version', put(whole, 0, new Uint8Array([2]))],
  ['an index beyond the total', put(whole, 17, writeUint(2, 4))],
  ['a total of none', put(whole, 21, writeUint(0, 4))],
  ['a total beyond the limit', put(whole, 21, writeUint(FRAGMENTS_MAX + 1, 4))],
  ['a length beyond the room', put(whole, 31, writeUint(51, 4))],
  ['a short fragment that is not the last', put(whole, 31, writeUint(49, 4))],
  ['bytes behind the end', put(short, short.length - 1, new Uint8Array([1]))],
] as const) {
  test(`${what} is no fragment`, (t) => {
    t.truthy(decodeFragment(whole, geometry));
    t.truthy(decodeFragment(short, geometry));
    t.is(decodeFragment(frame, geometry), null);
  });
}

test('what later fills the room of mark and reply block does not hide the fragment', (t) => {
  const filled = put(whole, FRAME_BYTES, new Uint8Array(MARK_BYTES + 100).fill(1));
  t.deepEqual(decodeFragment(filled, geometry), decodeFragment(whole, geometry));
  t.is(readUint(whole, 25, 6), NOW_MS);
});

test('any bytes are a fragment or none, never an exception', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: geometry.messageBytes, maxLength: geometry.messageBytes }),
      (frame) => {
        frame[0] = 1;
        t.notThrows(() => decodeFragment(frame, geometry));
      },
    ),
  );
});
