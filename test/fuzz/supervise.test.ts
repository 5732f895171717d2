import test from 'ava';
import type { Finding } from './finding.ts';
import { fuzzTarget, type Wish } from './supervise.ts';

const WISH = { seed: 1, runs: 6_000, durationMs: 60_000, guided: false };

/** What must be found, and where that is asked, other wishes than the usual ones. */
const FAULTS: readonly [string, Finding['kind'], RegExp, Partial<Wish>?][] = [
  ['planted-exception', 'exception', /^TypeError: pricked$/],
  ['planted-magic', 'exception', /^TypeError: guessed$/, { guided: true, runs: 60_000 }],
  ['planted-hang', 'hang', /^no end within 1000 ms$/, { hangMs: 1_000 }],
  ['planted-slow', 'slow', /more than 150 ms of CPU/, { durationMs: 5_000 }],
  ['planted-leak', 'memory', /grown/],
  ['planted-late', 'exception', /SyntaxError/],
  ['planted-change', 'violation', /changed in place/],
];

for (const [name, kind, what, wish] of FAULTS) {
  test.serial(`the fuzzer finds what was planted: ${name}`, async (t) => {
    const { findings } = await fuzzTarget({ ...WISH, name, ...wish });
    const found = findings.find((finding) => finding.kind === kind);
    t.regex(found?.what ?? '', what);
    t.is(found?.target, name);
  });
}

test.serial('a found input is made as small as it goes', async (t) => {
  const { findings } = await fuzzTarget({ ...WISH, name: 'planted-exception' });
  t.deepEqual(
    findings.map(({ input }) => Buffer.from(input, 'base64').toString('latin1')),
    ['needle'],
  );
});

test.serial('without coverage nothing leads to what hides behind three bytes', async (t) => {
  const { findings, summary } = await fuzzTarget({ ...WISH, name: 'planted-magic', runs: 60_000 });
  t.deepEqual(findings, []);
  t.is(summary.reached, 0);
});

test.serial('the same seed finds the same at the same input', async (t) => {
  const one = await fuzzTarget({ ...WISH, name: 'planted-exception' });
  const two = await fuzzTarget({ ...WISH, name: 'planted-exception' });
  t.deepEqual(one.findings, two.findings);
});
