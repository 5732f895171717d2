/**
 * The crash matrix in short: the most telling steps are hit once each, one program is killed at random and one during
 * its start, while mail of every kind flows between two real Postfix. `npm run crash` does all of it, often.
 */
import test from 'ava';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { runCrash, type RunResult } from './run.ts';
import { STEPS } from './steps.ts';
import { recoveryTable, stepTable, verdictLine } from './table.ts';

const TELLING = [
  'gateway: a mail is handed over',
  'gateway: one more fragment of a mail is stored',
  'mix: packets are committed',
  'mix: a packet is posted',
  'gateway: a fragment is committed with its ack',
  'gateway: what became of a delivery is recorded',
  'controller: a message is stored',
];
const MAILS = 60;

let result: RunResult;
/** What it was at when, for who reads of a failure. */
const said: string[] = [];

beforePostfixTests(async () => {
  const seed = String(Date.now());
  console.error(`crash run with seed ${seed}`);
  const random = seededRandom(seed);
  result = await runCrash(
    {
      mails: MAILS,
      mailsPerSecond: 3,
      ticksPerSecond: 8,
      snapshotLifetimeMs: 300_000,
      keyLifetimeMs: 600_000,
      steps: STEPS.filter(({ name }) => TELLING.includes(name)),
      hitsEach: 1,
      deathsAtOnce: 1,
      killMsMax: 240_000,
      drainMsMax: 120_000,
      random: () => 1 - drawUnit(random),
      say: (line) => said.push(line),
    },
    AbortSignal.timeout(480_000),
  );
});

postfixTest('kill -9 at the most telling steps: every mail arrives, unaltered, and once', (t) => {
  t.log(verdictLine(result.verdict));
  t.true(result.verdict.accepted >= MAILS);
  const tables = [stepTable(result.rows), recoveryTable(result.strikes)];
  t.deepEqual(result.failures, [], [...tables, ...said].join('\n'));
});

postfixTest(
  'each telling step was hit, and status called no victim well while it was down',
  (t) => {
    const hits = result.rows.filter(({ hits: times }) => times > 0).map(({ step }) => step);
    for (const step of TELLING) t.true(hits.includes(step), step);
    const looks = result.strikes.reduce((sum, strike) => sum + strike.looks, 0);
    t.true(looks > result.strikes.length / 2);
    t.true(result.strikes.every(({ lies }) => lies === 0));
  },
);

test('the telling steps are steps', (t) => {
  t.is(STEPS.filter(({ name }) => TELLING.includes(name)).length, TELLING.length);
});
