import test from 'ava';
import { portable } from '../../src/crypto/portable.ts';
import { drawPage } from '../../src/simulation/page.ts';
import { drawPlot, escapeText } from '../../src/simulation/plot.ts';
import { percent, reportRows, sizeOf } from '../../src/simulation/rows.ts';
import { simulate } from '../../src/simulation/simulate.ts';
import { DEFAULT_SPEC } from '../../src/simulation/spec.ts';

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
const spec = { ...DEFAULT_SPEC, hours: 0.2, attacks: 2, hostile: 3 };
const report = simulate(spec, portable);
const rows = reportRows(report, seconds);

test('a page needs nothing but itself', (t) => {
  const page = drawPage([{ name: 'now', report, rows }]);
  t.notRegex(page, /https?:|<script|<link|<img|@import|url\(/);
  t.is(page.match(/<svg /g)?.length, 4);
  t.is(page.match(/<svg /g)?.length, page.match(/<\/svg>/g)?.length);
  for (const { label, value } of rows)
    t.true(page.includes(`<td>${escapeText(label)}</td>`), value);
  for (const warning of report.warnings) t.true(page.includes(escapeText(warning)));
  t.notRegex(page, /NaN|undefined|Infinity/);
});

test('two reports stand beside each other, each under its name', (t) => {
  const other = simulate({ ...spec, providers: 10 }, portable);
  const columns = [
    { name: 'now', report, rows },
    { name: 'if <10>', report: other, rows: reportRows(other, seconds) },
  ];
  const page = drawPage(columns);
  t.true(page.includes('<th>now</th><th>if &lt;10&gt;</th>'));
  t.false(page.includes('<10>'));
  t.true(page.includes('5.0 MB, if &lt;10&gt;'));
  t.deepEqual(
    columns[1]?.rows.map(({ label }) => label),
    rows.map(({ label }) => label),
  );
});

test('the rows answer what is got, how long it takes and what it costs', (t) => {
  const sections = [...new Set(rows.map(({ section }) => section))];
  t.deepEqual(sections, ['The mixnet', 'What you get', 'How long mail takes', 'What it costs']);
  const value = (label: string) => rows.find((row) => row.label === label)?.value;
  t.is(value('providers, mixes'), '4, 3');
  t.is(value('hostile mixes that see a whole way'), '3: 100.0 %');
  t.is(value('a gateway sends'), '15 GB a day (1.41 Mbit/s)');
  t.is(value('the most that can go to one exit'), '58 MB an hour');
  t.is(value('n-1 attack: succeeds at best')?.includes('%'), true);
});

test('points lie where their axes say', (t) => {
  const svg = drawPlot({
    title: 'a & b',
    xLabel: 'x',
    yLabel: 'y',
    xScale: 'log',
    yMax: 1,
    lines: [
      {
        name: 'one',
        points: [
          [1, 0],
          [100, 0.5],
          [10_000, 1],
        ],
        colour: 0,
      },
    ],
  });
  const points = /<polyline points="([^"]+)"/
    .exec(svg)?.[1]
    ?.split(' ')
    .map((point) => point.split(',').map(Number));
  const [first, middle, last] = points as [number, number][] as [
    [number, number],
    [number, number],
    [number, number],
  ];
  // A hundred is as far from one as from ten thousand.
  t.true(Math.abs((first[0] + last[0]) / 2 - middle[0]) < 0.2);
  t.true(Math.abs((first[1] + last[1]) / 2 - middle[1]) < 0.2);
  t.true(last[1] < first[1], 'and up is more');
  t.true(svg.includes('a &amp; b'));
  t.regex(svg, />1<.*>10<.*>100<.*>1000<.*>10000</);
});

test('a plot of nothing is a plot, and what is no number is left out', (t) => {
  const nothing = { title: '', xLabel: '', yLabel: '', lines: [] };
  t.notRegex(drawPlot(nothing), /NaN|Infinity/);
  const odd = { name: 'odd', points: [[1, Number.NaN] as const, [2, 3] as const], colour: 9 };
  t.notRegex(drawPlot({ ...nothing, lines: [odd] }), /NaN|Infinity/);
});

test('sizes and shares read as people say them', (t) => {
  t.deepEqual([0, 999, 1500, 15_000, 5e6, 2.5e9].map(sizeOf), [
    '0 bytes',
    '999 bytes',
    '1.5 kB',
    '15 kB',
    '5.0 MB',
    '2.5 GB',
  ]);
  t.deepEqual([0, 1e-6, 0.05, 0.5, 1].map(percent), [
    '0.0 %',
    '< 0.01 %',
    '5.00 %',
    '50.0 %',
    '100.0 %',
  ]);
});
