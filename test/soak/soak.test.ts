import test from 'ava';
import { judgeSoak, LIVE, tableOf } from './judge.ts';
import { soakPage } from './plot.ts';
import { soak } from './soak.ts';
import { residentLines } from './text-plot.ts';

const RUN_MS = 40_000;
/** Heaps go on finding their size for minutes: what is told of them here is what they hold on to. */
const WARM_UP_MS = 12_000;
const HEAP_TIMES = 8;
const PATIENCE_MS = 120_000;
const LARGE_BYTES = 1_500_000;
/**
 * Code that is compiled in a program's first minute takes 2 MB, and once, on a busy machine, 5. A gateway that kept
 * a fourth of the packets, of the 40 a second that it sends and takes, would have 10 MB more.
 */
const SHORT = { ...LIVE, bytesMax: 8 * 1024 * 1024 };

test('no program of a mixnet holds on to what has passed through it, small mails and large ones', async (t) => {
  t.timeout(300_000);
  const figures = await soak({
    mailsPerSecond: 2,
    largeMailsPerMinute: 4,
    largeMailBytes: LARGE_BYTES,
    runMs: RUN_MS,
    warmUpMs: WARM_UP_MS,
    heapTimes: HEAP_TIMES,
    patienceMs: PATIENCE_MS,
    mixnet: { ticksPerSecond: 8, delayMeanMs: 50, exitDelayMeanMs: 50 },
    say: (line) => t.log(line),
  });
  const verdict = judgeSoak(figures, WARM_UP_MS / 1000, SHORT);
  for (const line of tableOf(figures, verdict)) t.log(line);
  for (const line of residentLines(figures.processes)) t.log(line);
  const { load, judged, processes } = figures;
  t.is(load.refused, null);
  t.is(load.accepted, load.submitted);
  t.is(load.exact, load.submitted);
  t.is(load.twice, 0);
  t.true(judged.packets > 8 * judged.mails);
  t.is(processes.length, 20);
  for (const { name, live } of verdict.processes) {
    t.not(live.verdict, 'too-few-points', name);
  }
  // In so short a time resident memory is that of a start; what is held is not.
  t.deepEqual(
    verdict.failures.filter((failure) => !failure.includes('resident')),
    [],
  );
  t.regex(soakPage(figures, verdict, 'short'), /<svg[\s\S]*gateway&#39;s Redis|<svg[\s\S]*Redis/);
});
