/**
 * The long soak: does any process of a mixnet grow while mail flows? `npm run soak -- [--minutes N]
 * [--mixes N] [--mails-per-second N] [--large-mails-per-minute N] [--large-mail-bytes N] [--ticks-per-second N]
 * [--key-minutes N] [--patience-seconds N] [--plot FILE.html] [--json]`. Tells once a minute how it goes, at its end a table, and
 * exits 1 where anything grows or a mail is missing.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { judgeSoak, tableOf } from './judge.ts';
import { soakPage } from './plot.ts';
import { soak } from './soak.ts';
import { residentLines } from './text-plot.ts';

const MINUTE_MS = 60_000;
/** The rest is judged. */
const WARM_UP_SHARE = 1 / 3;
const HEAP_TIMES = 12;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    // A machine that is too slow for all the hops of that many mails has fewer mixes; routes are as long as there are mixes.
    mixes: { type: 'string', default: '3' },
    'mails-per-second': { type: 'string', default: '20' },
    'large-mails-per-minute': { type: 'string', default: '0' },
    'large-mail-bytes': { type: 'string', default: '25000000' },
    // Each of two gateways has half of its ticks for each exit: 5 mails a second for 7 ticks.
    'ticks-per-second': { type: 'string', default: '14' },
    // Keys, and all that lasts as long as they do, begin and end within the run.
    'key-minutes': { type: 'string', default: '10' },
    // A large mail of 25 MB needs 776 ticks of one exit; those that wait at the end are waited for.
    'patience-seconds': { type: 'string', default: '900' },
    plot: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

// The programs are processes of their own: whoever ends this one ends them, too.
const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
const runMs = Number(values.minutes) * MINUTE_MS;
const warmUpMs = runMs * WARM_UP_SHARE;
const largeMailBytes = Number(values['large-mail-bytes']);
const keyLifetimeMs = Number(values['key-minutes']) * MINUTE_MS;
const figures = await soak({
  mailsPerSecond: Number(values['mails-per-second']),
  largeMailsPerMinute: Number(values['large-mails-per-minute']),
  largeMailBytes,
  runMs,
  warmUpMs,
  heapTimes: HEAP_TIMES,
  patienceMs: Number(values['patience-seconds']) * 1000,
  mixnet: {
    mixes: Number(values.mixes),
    ticksPerSecond: Number(values['ticks-per-second']),
    delayMeanMs: 200,
    exitDelayMeanMs: 200,
    keyLifetimeMs,
    snapshotLifetimeMs: keyLifetimeMs,
    messageBytesMax: Math.max(20_480_000, Math.ceil(1.1 * largeMailBytes)),
  },
  signal: ending.signal,
  say,
});
const verdict = judgeSoak(figures, warmUpMs / 1000);
say(`\n${machine}, load ${loadavg().map(Math.round).join(' ')}`);
for (const line of tableOf(figures, verdict)) say(line);
say(`\nresident memory over ${values.minutes} minutes: first, most, last`);
for (const line of residentLines(figures.processes)) say(line);
for (const failure of verdict.failures) say(`FAILED: ${failure}`);
if (values.json)
  say(JSON.stringify({ machine, load: figures.load, judged: figures.judged, ...verdict }));
if (values.plot !== undefined) writeFileSync(values.plot, soakPage(figures, verdict, machine));
process.exitCode = verdict.failures.length === 0 ? 0 : 1;
