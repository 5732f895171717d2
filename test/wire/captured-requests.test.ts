import test from 'ava';
import { seededRandom } from '../../src/simulation/seeded.ts';
import type { CapturedRun } from './capture.ts';
import { describeRequests, lengthsOf } from './captured-requests.ts';
import { permutationTest } from './permutation.ts';
import type { SeenExchange } from './recorder.ts';

const ASKED: SeenExchange = {
  atMs: 1,
  endedMs: 2,
  by: 'a'.repeat(64),
  to: 'mix-1',
  what: 'GET /panoramix/messages',
  bytes: 600,
  answerBytes: 300,
};

/** Eight runs of each kind; those with mail hold what `change` makes of a request too. */
function made(change: Partial<SeenExchange>): CapturedRun[] {
  return Array.from({ length: 16 }, (_, i) => ({
    hasMail: i % 2 === 0,
    startMs: 0,
    endMs: 10,
    events: [],
    exchanges: i % 2 === 0 ? [ASKED, { ...ASKED, ...change }] : [ASKED, ASKED],
    mails: 0,
  }));
}

for (const [what, change, name] of [
  ['a longer request', { bytes: 601 }, /^bytes a{8} GET/],
  ['a longer answer', { answerBytes: 301 }, /^answer a{8} GET/],
  [
    'something else that is asked',
    { what: 'GET /panoramix/peers' },
    /^(count|bytes|answer) a{8} GET/,
  ],
  ['somebody else who is asked', { to: 'mix-2' }, /^(count|bytes|answer) a{8} GET/],
] as const) {
  test(`${what} only where mail flows is found`, (t) => {
    const { names, rows } = describeRequests(made(change));
    const found = permutationTest(rows, { random: seededRandom(what), permutations: 4999 });
    t.true(found.pValue <= 0.001, String(found.pValue));
    t.regex(names[found.column] as string, name);
  });
}

test('alike requests are alike, and their lengths are counted', (t) => {
  const runs = made({});
  const { rows } = describeRequests(runs);
  const found = permutationTest(rows, { random: seededRandom('alike'), permutations: 99 });
  t.is(found.pValue, 1);
  const exchanges = [ASKED, ASKED, { ...ASKED, bytes: 5 }];
  t.deepEqual(
    [...lengthsOf(exchanges, 'bytes')],
    [
      [600, 2],
      [5, 1],
    ],
  );
});
