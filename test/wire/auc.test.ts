import test from 'ava';
import fc from 'fast-check';
import { areaUnderCurve, rocCurve } from './auc.ts';

test('the area is the share of pairs in the right order, ties counting half', (t) => {
  t.is(areaUnderCurve([1, 2, 3, 4], [false, false, true, true]), 1);
  t.is(areaUnderCurve([4, 3, 2, 1], [false, false, true, true]), 0);
  t.is(areaUnderCurve([7, 7, 7, 7], [false, true, false, true]), 0.5);
  t.is(areaUnderCurve([1, 2, 2, 3], [false, false, true, true]), 3.5 / 4);
});

test('it equals counting all pairs, for any scores and labels', (t) => {
  const cases = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), {
    minLength: 2,
    maxLength: 30,
  });
  fc.assert(
    fc.property(cases, (drawn) => {
      const scores = drawn.map(([score]) => score);
      const labels = drawn.map(([, label]) => label);
      const ones = scores.filter((_, i) => labels[i]);
      const zeros = scores.filter((_, i) => !labels[i]);
      fc.pre(ones.length > 0 && zeros.length > 0);
      const wins = ones.flatMap((one) =>
        zeros.map((zero) => (one === zero ? 0.5 : one > zero ? 1 : 0)),
      );
      const counted = wins.reduce((sum: number, win) => sum + win, 0) / wins.length;
      return Math.abs(areaUnderCurve(scores, labels) - counted) < 1e-12;
    }),
  );
  t.pass();
});

test('the curve says how many are found for how many mistaken', (t) => {
  const labels = [false, false, false, false, true, true, true, true];
  t.deepEqual(rocCurve([1, 2, 3, 4, 5, 6, 7, 8], labels, 4), [1, 1, 1, 1, 1]);
  t.deepEqual(rocCurve([5, 6, 7, 8, 1, 2, 3, 4], labels, 4), [0, 0, 0, 0, 1]);
  t.deepEqual(rocCurve([1, 3, 5, 7, 2, 4, 6, 8], labels, 4), [0.25, 0.5, 0.75, 1, 1]);
});

test('scores of one kind only, or that are no numbers, are refused', (t) => {
  t.throws(() => areaUnderCurve([1, 2], [true, true]), { instanceOf: RangeError });
  t.throws(() => areaUnderCurve([1, Number.NaN], [true, false]), { instanceOf: RangeError });
  t.throws(() => areaUnderCurve([1], [true, false]), { instanceOf: RangeError });
});
