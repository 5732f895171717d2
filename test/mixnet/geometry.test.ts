import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { createSphinx } from '../../src/sphinx/index.ts';

for (const [what, params, surbBytes, messageBytes, fragmentBytes] of [
  ['mail', { group: 'X25519', headerLen: 320, bodyLen: 32_768 }, 368, 32_713, 32_214],
  ['D4.2’s batches', { group: 'P-224', headerLen: 192, bodyLen: 1024 }, 237, 969, 601],
] as const) {
  test(`the room in packets for ${what} is the sum of its parts`, (t) => {
    const sphinx = createSphinx(params, native);
    const geometry = geometryOf(sphinx);
    t.is(sphinx.surbBytes, surbBytes);
    t.deepEqual(geometry, { messageBytes, replyBlockBytes: surbBytes, fragmentBytes });
    t.is(35 + 96 + surbBytes + fragmentBytes, messageBytes);
  });
}

test('parameters that leave no room for mail are refused with the sum', (t) => {
  const sphinx = createSphinx({ group: 'X25519', headerLen: 320, bodyLen: 512 }, native);
  t.throws(() => geometryOf(sphinx), { instanceOf: RangeError, message: /frame 35 \+ mark 96/ });
});
