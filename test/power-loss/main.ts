/**
 * The long run of power cuts: `node test/power-loss/main.ts [--outages N] [--mixes N] [--mails-per-second N]
 * [--ticks-per-second N] [--sync-ms N] [--seed N] [--json]` says how each cut went, and exits 1 where anything
 * was not as it must be.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { failuresOf, runPowerCuts, summaryOf } from './run.ts';

const { values } = parseArgs({
  options: {
    outages: { type: 'string', default: '20' },
    mixes: { type: 'string', default: '3' },
    'mails-per-second': { type: 'string', default: '3' },
    'ticks-per-second': { type: 'string', default: '10' },
    'sync-ms': { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(`seed ${values.seed}`);
// The programs are processes of their own: whoever ends this one ends them, too.
const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
const draw = seededRandom(values.seed);
const figures = await runPowerCuts({
  outages: Number(values.outages),
  mixes: Number(values.mixes),
  mailsPerSecond: Number(values['mails-per-second']),
  ticksPerSecond: Number(values['ticks-per-second']),
  syncMs: Number(values['sync-ms']),
  random: () => 1 - drawUnit(draw),
  say,
  signal: ending.signal,
}).catch((error: unknown) => {
  if (!ending.signal.aborted) throw error;
  say('interrupted; its programs are ended');
  process.exit(1);
});
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
say(`${machine}, load ${loadavg().map(Math.round).join(' ')}`);
for (const line of summaryOf(figures)) say(line);
const failures = failuresOf(figures);
for (const failure of failures) say(`FAILED: ${failure}`);
if (values.json) say(JSON.stringify({ machine, seed: values.seed, failures, figures }));
process.exitCode = failures.length === 0 ? 0 : 1;
