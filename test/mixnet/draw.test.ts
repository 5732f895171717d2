import test from 'ava';
import { drawBelow, drawOne, drawUnit, drawWeighted, shuffle } from '../../src/mixnet/draw.ts';
import { seededRandom } from './seeded-random.ts';

const DRAWS = 30_000;

function counts<Item>(draw: () => Item): Map<Item, number> {
  const seen = new Map<Item, number>();
  for (let i = 0; i < DRAWS; i++) {
    const item = draw();
    seen.set(item, (seen.get(item) ?? 0) + 1);
  }
  return seen;
}

test('every number below the limit is drawn equally often', (t) => {
  const random = seededRandom(1);
  const seen = counts(() => drawBelow(random, 7));
  t.is(seen.size, 7);
  // 30 000 / 7 = 4286, standard deviation 61: five of them.
  for (const count of seen.values()) t.true(Math.abs(count - DRAWS / 7) < 305, `${count}`);
});

test('a draw that would favour small numbers is drawn again', (t) => {
  // 2^48 leaves 2^48 mod 3 = 1 when divided by 3: the very last number has no fair remainder.
  const draws = [new Uint8Array(6).fill(255), new Uint8Array([0, 0, 0, 0, 0, 5])];
  t.is(
    drawBelow(() => draws.shift() as Uint8Array, 3),
    2,
  );
  t.is(draws.length, 0);
});

for (const limit of [0, -1, 1.5, Number.NaN, 2 ** 48 + 1]) {
  test(`nothing is drawn below ${limit}`, (t) => {
    t.throws(() => drawBelow(seededRandom(1), limit), { instanceOf: RangeError });
  });
}

test('the smallest and the largest unit have a finite logarithm', (t) => {
  t.is(
    drawUnit(() => new Uint8Array(6)),
    2 ** -48,
  );
  t.is(
    drawUnit(() => new Uint8Array(6).fill(255)),
    1,
  );
});

test('weights give each choice its share, and zero none', (t) => {
  const random = seededRandom(2);
  const weights = { once: 1, thrice: 3, never: 0 };
  const names = ['never', 'once', 'thrice'] as const;
  const seen = counts(() => drawWeighted(random, names, (name) => weights[name]));
  t.is(seen.get('never'), undefined);
  t.true(Math.abs((seen.get('once') ?? 0) - DRAWS / 4) < 375, `${seen.get('once')}`);
  t.is((seen.get('once') ?? 0) + (seen.get('thrice') ?? 0), DRAWS);
});

test('where there is nothing to choose, nothing is chosen', (t) => {
  const random = seededRandom(3);
  t.is(drawOne(random, []), null);
  t.is(
    drawWeighted(random, ['a'], () => 0),
    null,
  );
});

test('every order of a shuffle is equally likely', (t) => {
  const random = seededRandom(4);
  const seen = counts(() => shuffle(random, ['a', 'b', 'c']).join(''));
  t.is(seen.size, 6);
  for (const count of seen.values()) t.true(Math.abs(count - DRAWS / 6) < 325, `${count}`);
});

test('a shuffle leaves its input as it was', (t) => {
  const items = [1, 2, 3, 4, 5];
  t.deepEqual(
    shuffle(seededRandom(5), items).toSorted((left, right) => left - right),
    items,
  );
  t.deepEqual(items, [1, 2, 3, 4, 5]);
});
