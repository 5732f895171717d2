import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { judgeCapture } from './capture-verdict.ts';
import { capture } from './capture.ts';
import { withRepeats } from './planted-fault.ts';
import { startRecordedMixnet } from './recorded-mixnet.ts';
import { P_ALARM, verdictLine } from './verdict.ts';

const RATES = { ticksPerSecond: 2, delayMeanMs: 200, windowMs: 4000 };
const RUNS_OF_EACH = 8;
const RUNS = { runsOfEach: RUNS_OF_EACH, runMs: 8000, gapMs: 1500, burstsPerRun: 1 };

test('a real mixnet shows nothing of its mail on any link, and a planted fault shows', async (t) => {
  t.timeout(15 * 60_000);
  const recorded = await startRecordedMixnet(RATES);
  t.teardown(() => recorded.stop());
  const random = seededRandom('runs');
  // Until the mixes are as full as they will be.
  await sleep(5000);
  const runs = await capture(recorded, { ...RUNS, random });
  const judged = judgeCapture(runs, RATES);
  t.log(verdictLine(judged.packets));
  t.log(`requests: p ${judged.requests.pValue}, ${judged.requests.strongest}`);
  t.true(judged.mails >= RUNS_OF_EACH);
  t.deepEqual(recorded.recorder.unread, []);
  t.is(judged.packetLengths.length, 1, `packets of ${judged.packetLengths.join()} bytes`);
  t.is(judged.answerLengths.length, 1, `answers of ${judged.answerLengths.join()} bytes`);
  t.deepEqual(judged.rateFaults, []);
  t.true(judged.packets.pValue > P_ALARM, judged.packets.strongest.column);
  t.true(judged.requests.pValue > P_ALARM, judged.requests.strongest);
  t.false(judged.isCaught);

  const faulty = await withRepeats(recorded, RATES.delayMeanMs, () =>
    capture(recorded, { ...RUNS, random, kinds: [true] }),
  );
  const idle = runs.filter(({ hasMail }) => !hasMail);
  const caught = judgeCapture([...idle, ...faulty], RATES);
  t.log(`with each packet repeated: ${verdictLine(caught.packets)}`);
  t.true(caught.packets.pValue <= P_ALARM);
  t.true(caught.rateFaults.length > 0);
});
