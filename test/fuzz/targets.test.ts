/**
 * The short form: every target with a fixed seed and as many inputs as it names; `npm run fuzz` goes on for as
 * long as is wanted, and lets coverage say what to keep.
 */
import test from 'ava';
import { fuzzTarget } from './supervise.ts';
import { TARGETS } from './targets/index.ts';

const SEED = 6;
/** A busy machine gets fewer inputs done, and says how many. */
const DURATION_MS = 6_000;

for (const name of Object.keys(TARGETS)) {
  test.serial(`whatever is put before it, ${name} keeps to what must hold`, async (t) => {
    const wish = {
      name,
      seed: SEED,
      runs: 'short',
      durationMs: DURATION_MS,
      guided: false,
    } as const;
    const { summary, findings } = await fuzzTarget(wish);
    t.log(`${summary.runs} inputs`);
    t.deepEqual(findings, []);
    t.true(summary.runs > 0);
  });
}
