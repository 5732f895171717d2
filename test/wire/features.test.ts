import test from 'ava';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { describeWindows, featureNames } from './features.ts';
import { poissonRun, WATCHED, type Difference } from './poisson-runs.ts';
import { windowsOf } from './recording.ts';
import { crossFeatures, lagFeatures, streamFeatures } from './streams.ts';

/** Means of each feature over so many windows of one run. */
function means(difference: Difference, windows = 60): Map<string, number> {
  const run = poissonRun(seededRandom('features'), true, windows, difference);
  const rows = describeWindows(WATCHED, run);
  return new Map(
    featureNames(WATCHED).map((name, c) => [
      name,
      rows.reduce((sum, row) => sum + (row[c] as number), 0) / rows.length,
    ]),
  );
}

test('a run is cut into windows, and what lies outside is left out', (t) => {
  const event = { from: 'a', to: 'm1', bytes: 1 };
  const windowMs = 10;
  const events = [-1, 0, 9.9, 10, 25, 31].map((atMs) => ({ ...event, atMs: 100 + atMs }));
  const run = { hasMail: false, startMs: 100, endMs: 129, events };
  const windows = windowsOf({ ...WATCHED, windowMs }, run);
  t.deepEqual(
    windows.map((window) => window.events.map(({ atMs }) => atMs - window.startMs)),
    [[0, 9.9000000000000057], [0]],
  );
});

test('every feature has a name of its own, and a value in every window, also in an empty one', (t) => {
  const names = featureNames(WATCHED);
  t.is(new Set(names).size, names.length);
  const empty = { hasMail: false, startMs: 0, endMs: WATCHED.windowMs, events: [] };
  for (const run of [empty, poissonRun(seededRandom('full'), false, 1)]) {
    const [row] = describeWindows(WATCHED, run);
    t.is(row?.length, names.length);
    t.true(row?.every((value) => Number.isFinite(value)));
  }
});

test('of Poisson streams the rhythm is that of theory', (t) => {
  const known = means({});
  const near = (name: string, value: number, within: number): void => {
    const found = known.get(name) as number;
    t.true(Math.abs(found - value) < within, `${name}: ${found}`);
  };
  near('count a>m1', 25, 2);
  near('gap-cv out a', 1, 0.05);
  near('gap-lag1 in b', 0, 0.05);
  near('gap-short out m1', 1 - Math.exp(-0.1), 0.02);
  near('gap-tiny in a', 1 - Math.exp(-0.01), 0.01);
  near('fano8 in b', 1, 0.2);
  near('fano32 out a', 1, 0.1);
  near('lag[0,0.0625) in b, out b', 1, 0.1);
  near('lag[1,2) out a, in b', 1, 0.1);
  near('cross+0 out a, in b', 0, 0.05);
  near('out a / out others', Math.log(1 / 2), 0.05);
  near('mean bytes out a', 1000, 1e-9);
  near('lengths', 1, 1e-9);
});

for (const [what, difference, name] of [
  ['a higher rate', { rateOut: 1.2 }, 'out a / out others'],
  ['an answer at a fixed lag', { echo: 0.3 }, 'lag[0,0.0625) in b, out b'],
  ['a longer packet', { longer: 0.05 }, 'mean bytes out a'],
  ['a burst', { bursts: true }, 'fano32 out a'],
] as const) {
  test(`${what} moves ${name}`, (t) => {
    const moved = (means(difference).get(name) as number) - (means({}).get(name) as number);
    t.true(moved > 0.04, String(moved));
  });
}

test('a link that nothing should use, and a stranger, are counted', (t) => {
  const names = featureNames(WATCHED);
  const events = [
    { atMs: 1, from: 'a', to: 'b', bytes: 1 },
    { atMs: 2, from: 'x', to: 'm1', bytes: 1 },
  ];
  const [row] = describeWindows(WATCHED, {
    hasMail: true,
    startMs: 0,
    endMs: WATCHED.windowMs,
    events,
  });
  t.is(row?.[names.indexOf('count a>b')], 1);
  t.is(row?.[names.indexOf('count elsewhere')], 1);
});

test('the numbers of a stream are those counted by hand', (t) => {
  const [count, variation, lagged, short, tiny, eighths] = streamFeatures([0, 10, 30, 60], 80);
  t.is(count, 4);
  // Gaps 10, 20, 30: mean 20, variance 200 / 3; products of neighbours off the mean are 0.
  t.true(Math.abs((variation as number) - Math.sqrt(200 / 3) / 20) < 1e-12);
  t.is(lagged, 0);
  t.deepEqual([short, tiny], [0, 0]);
  t.true(Math.abs((eighths as number) - (4 * 0.25 + 4 * 0.25) / 7 / 0.5) < 1e-12);
  // Two pairs, 5 and 15 ms apart with delays of 16 ms: in [4, 8) and [8, 16), 0.02 expected per ms².
  const lags = lagFeatures([10], [15, 25], 16, 100);
  t.deepEqual(lags.slice(0, 5), [0, 0, 1 / (0.02 * 4), 1 / (0.02 * 8), 0]);
  const [, next] = crossFeatures(Float64Array.of(1, 0, 0, 0), Float64Array.of(0, 1, 0, 0));
  t.true(Math.abs((next as number) - (0.75 * 0.75 + 2 / 16) / 0.75) < 1e-12);
});
