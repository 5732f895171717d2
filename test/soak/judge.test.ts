import test from 'ava';
import { judgeSoak, tableOf } from './judge.ts';
import { soakPage } from './plot.ts';
import type { SoakFigures } from './soak.ts';
import type { ProcessSeries } from './watch.ts';

const MB = 1024 * 1024;
const WARM_UP_SECONDS = 600;
const RUN_SECONDS = 1800;
const MAILS = 24_000;
const PACKETS = 240_000;

/** Half an hour: in the first third everything grows, then by so much in all. */
function series(kind: ProcessSeries['kind'], grows: { resident?: number; live?: number } = {}) {
  const at = (seconds: number, bytes = 0): number => {
    const judged = Math.max(0, seconds - WARM_UP_SECONDS) / (RUN_SECONDS - WARM_UP_SECONDS);
    return Math.min(seconds, WARM_UP_SECONDS) * 0.1 * MB + judged * bytes;
  };
  return {
    name: kind,
    kind,
    resident: Array.from({ length: RUN_SECONDS }, (_, seconds) => ({
      seconds,
      bytes: 100 * MB + at(seconds, grows.resident) + (seconds % 30) * 0.1 * MB,
    })),
    live: Array.from({ length: 13 }, (_, i) => {
      const seconds = WARM_UP_SECONDS + i * 100;
      return { seconds, bytes: 50 * MB + at(seconds, grows.live) + (i % 3) * 10_000 };
    }),
    heldUpMsMax: 20,
    processorMs: 1_000,
  } satisfies ProcessSeries;
}

const LOAD: SoakFigures['load'] = {
  submitted: 100,
  accepted: 100,
  delivered: 100,
  exact: 100,
  twice: 0,
  deferred: 0,
  refused: null,
  large: { submitted: 0, accepted: 0, delivered: 0 },
  medianMs: 1,
  p95Ms: 2,
  latestMs: 3,
};

function figures(processes: ProcessSeries[], load: Partial<SoakFigures['load']> = {}): SoakFigures {
  return {
    processes,
    load: { ...LOAD, ...load },
    judged: { seconds: RUN_SECONDS - WARM_UP_SECONDS, mails: MAILS, packets: PACKETS },
  };
}

const GROWTHS: readonly [string, ProcessSeries, RegExp | null][] = [
  ['a program that only warmed up', series('mix'), null],
  [
    'a program whose memory grows',
    series('mix', { resident: 30 * MB }),
    /mix: resident .* 28\.5 MB in all/,
  ],
  [
    'a program that holds on to more',
    series('gateway', { live: 4 * MB }),
    /gateway: what it holds/,
  ],
  ['a program that holds on to a little more', series('gateway', { live: MB / 2 }), null],
  ['a program that shrinks', series('controller', { resident: -30 * MB, live: -9 * MB }), null],
  // 24 000 mails of 2 kB are 47 MB, and of 240 000 packets a node keeps 7 MB of tags.
  ["a gateway's Redis with what it is to keep", series("gateway's Redis", { live: 45 * MB }), null],
  ["a gateway's Redis with more", series("gateway's Redis", { live: 70 * MB }), /gateway's Redis/],
  ["a mix's Redis that keeps packets", series("mix's Redis", { live: 45 * MB }), /mix's Redis/],
  ["a controller's Redis with hashes", series("controller's Redis", { live: 4 * MB }), null],
  [
    "a controller's Redis with more",
    series("controller's Redis", { live: 20 * MB }),
    /kB a minute/,
  ],
];
for (const [name, process, failure] of GROWTHS) {
  test(`${name} ${failure === null ? 'is well' : 'is a failure'}`, (t) => {
    const { failures } = judgeSoak(figures([process]), WARM_UP_SECONDS);
    if (failure === null) t.deepEqual(failures, []);
    else t.regex(failures.join('\n'), failure);
  });
}

const LOSSES: readonly [Partial<SoakFigures['load']>, RegExp][] = [
  [{ accepted: 99 }, /1 mails were never accepted/],
  [{ delivered: 98, exact: 98 }, /2 mails did not arrive/],
  [{ exact: 97 }, /3 mails were altered/],
  [{ twice: 1 }, /1 mails came twice/],
  [{ refused: '{"code":550}' }, /refused a mail: .*550/],
];
for (const [load, failure] of LOSSES) {
  test(`mail that is missing or wrong is a failure: ${JSON.stringify(load)}`, (t) => {
    const { failures } = judgeSoak(figures([], load), WARM_UP_SECONDS);
    t.regex(failures.join('\n'), failure);
  });
}

test('table and page show every process, and the page says why a run has failed', (t) => {
  const run = figures([series('mix'), series("mix's Redis"), series('gateway', { live: 9 * MB })]);
  const verdict = judgeSoak(run, WARM_UP_SECONDS);
  const table = tableOf(run, verdict).join('\n');
  const page = soakPage(run, verdict, 'a machine <of mine>');
  for (const { name } of run.processes) {
    t.true(table.includes(name));
    t.true(page.includes(name));
  }
  t.regex(page, /<li>gateway: what it holds grows/);
  t.is(page.match(/<svg/g)?.length, 3);
  t.true(page.includes('a machine &lt;of mine&gt;'));
});
