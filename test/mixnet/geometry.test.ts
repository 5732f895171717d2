import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { refuseTerms } from '../../src/mixnet/directory-texts.ts';
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

const terms = (GROUP: 'X25519' | 'P-224', BODY_LEN: number): string | null =>
  refuseTerms({ GROUP, HEADER_LEN: 320, BODY_LEN }, 3);

test('parameters without room for mail are refused when they are set: nodes once died of them', (t) => {
  for (const group of ['X25519', 'P-224'] as const) {
    for (let bodyLen = 64; bodyLen < 1000; bodyLen++) {
      const sphinx = createSphinx({ group, headerLen: 320, bodyLen }, native);
      let refusal: string | null = null;
      try {
        geometryOf(sphinx);
      } catch (error) {
        refusal = (error as RangeError).message;
      }
      t.is(terms(group, bodyLen), refusal);
    }
    t.regex(terms(group, 500) ?? '', /BODY_LEN 500 leaves/);
    t.is(terms(group, 1000), null);
  }
});
