import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { parseConfig } from '../../src/config.ts';
import type { SimulationReport } from '../../src/simulation/report.ts';
import { DEFAULT_SPEC } from '../../src/simulation/spec.ts';

const run = promisify(execFile);
const main = resolve(import.meta.dirname, '../../src/cli/main.ts');
const short = ['--hours', '0.1', '--attacks', '2'];

interface Answer {
  readonly now: SimulationReport;
  readonly what_if: SimulationReport | null;
}

interface Failed {
  readonly code: number;
  readonly stderr: string;
}

async function simulated(...words: readonly string[]): Promise<string> {
  return (await run(process.execPath, [main, 'simulate', ...words])).stdout;
}

test('for machines: one JSON object, the same for the same seed, with what was asked for', async (t) => {
  const words = [...short, '--json', '--providers', '3', '--sizes', '20k:3,1.5M', '--loss', '0.01'];
  const [first, again] = await Promise.all([simulated(...words), simulated(...words)]);
  t.is(first, again);
  t.is(first.trim().split('\n').length, 1);
  const { now, what_if: other } = JSON.parse(first) as Answer;
  t.is(other, null);
  t.like(now.spec, { providers: 3, loss: 0.01, hours: 0.1, seed: 1, ticksPerSecond: 2 });
  t.deepEqual(now.spec.sizes, [
    { bytes: 20_000, weight: 3 },
    { bytes: 1_500_000, weight: 1 },
  ]);
  t.true(now.delivery.lostPackets > 0);
  t.is(now.anonymity.strict.senderBitsMax, Math.log2(3));
});

test('for people: what if we were ten providers, in a column beside what is, and as a page', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-simulate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'page.html');
  const text = await simulated(
    ...short,
    '--what-if',
    'providers=10,mixes=6,providers-mix=true',
    '--plot',
    file,
  );
  const [head, ...rows] = text.split('\n');
  t.regex(head ?? '', /^ +now +what if providers=10,mixes=6,providers-mix=true$/);
  const row = rows.find((line) => line.includes('providers, mixes')) ?? '';
  t.regex(row, /4, 3 +10, 6 \+ own$/);
  for (const question of ['What you get', 'How long mail takes', 'What it costs']) {
    t.true(rows.includes(question));
  }
  const page = readFileSync(file, 'utf8');
  t.true(page.startsWith('<!doctype html>'));
  t.true(page.includes('what if providers=10,mixes=6,providers-mix=true'));
});

test('its defaults are those of a mixnet that is founded without any', (t) => {
  const text =
    'name: a\ndata_dir: d\ngateway: {}\nmixnet: { action: create, catalog_url: "http://127.0.0.1:8000/" }\n';
  const { mixnet, gateway } = parseConfig(text, '/a.yaml');
  t.like(mixnet?.traffic, {
    delay_mean_ms: DEFAULT_SPEC.delayMeanMs,
    ticks_per_second: DEFAULT_SPEC.ticksPerSecond,
    loops_per_second: DEFAULT_SPEC.loopsPerSecond,
    mixes_per_route: DEFAULT_SPEC.mixesPerRoute,
  });
  t.is(gateway?.exit.delay_mean_ms, DEFAULT_SPEC.exitDelayMeanMs);
});

const refused: readonly (readonly [readonly string[], RegExp, number])[] = [
  [['--mixes', '2'], /config-invalid: now: a route of 3 mixes/, 2],
  [['--what-if', 'mixes=1'], /config-invalid: what if mixes=1: a route of 3 mixes/, 2],
  [['--what-if', 'colour=3'], /"colour" is none of providers/, 1],
  [['--what-if', 'mixes='], /mixes is a whole number from 0 to 200/, 1],
  [['--providers', '2.5'], /providers is a whole number from 2 to 200/, 1],
  [['--loss', '0,5'], /loss is a number from 0 to 0.5/, 1],
  [['--sizes', '10q'], /"10q" is no size/, 1],
];

for (const [words, reason, code] of refused) {
  test(`${words.join(' ')} is refused with its reason`, async (t) => {
    const failed = (await t.throwsAsync(simulated(...words))) as unknown as Failed;
    t.regex(failed.stderr, reason);
    t.is(failed.code, code);
  });
}
