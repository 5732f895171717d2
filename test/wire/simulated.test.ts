import test from 'ava';
import type { Behaviour } from '../../src/simulation/behaviour.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { featureNames } from './features.ts';
import { LEAKS } from './leaks.ts';
import { describeRuns, simulateRun, WATCHED } from './simulated-runs.ts';
import { AUC_MAX, judge, P_ALARM, verdictLine, WINDOWS_MIN, type Verdict } from './verdict.ts';

/** Windows of a run: twelve minutes of the mixnet's time. */
const WINDOWS = 12;
const RUNS_HONEST = 340;
/** Enough for each leak to be caught with room to spare; the smallest needs most. */
const RUNS_LEAKING = 40;
const RUNS_FASTER = 160;

function judged(runs: number, firstSeed: number, leak?: string): Verdict {
  const scenario = leak === undefined ? {} : { leak: LEAKS[leak] as Partial<Behaviour> };
  const described = describeRuns(runs, WINDOWS, firstSeed, scenario);
  const random = seededRandom(`judge ${firstSeed}`);
  return judge(described, { names: featureNames(WATCHED), random });
}

test('an observer of all links cannot tell runs with mail from idle ones', (t) => {
  const verdict = judged(RUNS_HONEST, 1);
  t.log(verdictLine(verdict));
  t.true(verdict.windowsTested >= WINDOWS_MIN);
  t.true(verdict.auc <= AUC_MAX, String(verdict.auc));
  t.true(verdict.pValue > P_ALARM, String(verdict.pValue));
  t.false(verdict.isCaught);
});

for (const [place, leak] of Object.keys(LEAKS).entries()) {
  test(`the same test catches: ${leak}`, (t) => {
    const runs = leak.includes('faster') ? RUNS_FASTER : RUNS_LEAKING;
    const verdict = judged(runs, 1_000_000 * (place + 1), leak);
    t.log(verdictLine(verdict));
    t.true(verdict.isCaught);
    t.true(verdict.pValue <= P_ALARM, String(verdict.pValue));
  });
}

test('with one seed the wire is the same to the last packet, with mail and without', (t) => {
  const [idle, busy] = [false, true].map((hasMail) =>
    simulateRun({ seed: 77, hasMail, windows: 10 }),
  );
  t.true((idle?.events.length ?? 0) > 30_000);
  t.true(JSON.stringify(idle?.events) === JSON.stringify(busy?.events));
  for (const [name, leak] of Object.entries(LEAKS)) {
    const [off, on] = [false, true].map((hasMail) =>
      simulateRun({ seed: 77, hasMail, windows: 2, leak }),
    );
    t.false(JSON.stringify(off?.events) === JSON.stringify(on?.events), name);
  }
});

test('mail does flow in runs with mail, most of the time', (t) => {
  const run = simulateRun({ seed: 78, hasMail: true, windows: 10, leak: LEAKS['cover off'] ?? {} });
  const [sender] = WATCHED.gateways;
  const own = run.events.filter(({ from }) => from === sender).length;
  // With cover off only fragments leave, at most half a second apart on average: 300 in ten minutes.
  t.true(own > 150, String(own));
});
