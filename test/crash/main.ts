/**
 * The whole crash matrix. `node test/crash/main.ts [--mails N] [--hits N] [--only NAME] [--minutes N] [--deaths N]
 * [--rate N] [--ticks N] [--seed TEXT] [--json]`: exit code 0 where nothing was lost, altered or twice without
 * cause, and every step was hit.
 */
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { drawUnit } from '../../src/mixnet/draw.ts';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { runCrash } from './run.ts';
import { STEPS } from './steps.ts';
import { recoveryTable, stepTable, verdictLine } from './table.ts';

const { values } = parseArgs({
  options: {
    mails: { type: 'string', default: '1000' },
    hits: { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    minutes: { type: 'string', default: '240' },
    rate: { type: 'string', default: '4' },
    ticks: { type: 'string', default: '8' },
    deaths: { type: 'string', default: '2' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const seed = values.seed ?? String(Date.now());
const steps = STEPS.filter(({ name }) => name.includes(values.only));
const interrupted = new AbortController();
const interrupt = (): void => interrupted.abort();
process.on('SIGINT', interrupt).on('SIGTERM', interrupt);

const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
const startMs = Date.now();
say(`seed ${seed}, ${steps.length} steps, ${values.hits} hits each; ${machine}`);
const result = await runCrash(
  {
    mails: Number(values.mails),
    mailsPerSecond: Number(values.rate),
    ticksPerSecond: Number(values.ticks),
    snapshotLifetimeMs: 180_000,
    keyLifetimeMs: 300_000,
    steps,
    hitsEach: Number(values.hits),
    deathsAtOnce: Number(values.deaths),
    killMsMax: 60_000 * Number(values.minutes),
    drainMsMax: 600_000,
    random: randomOf(seed),
    say,
  },
  interrupted.signal,
);
const tookSeconds = Math.round((Date.now() - startMs) / 1000);

if (values.json) {
  process.stdout.write(`${JSON.stringify({ machine, seed, tookSeconds, ...result })}\n`);
}
process.stderr.write(`\n${stepTable(result.rows)}\n\n${recoveryTable(result.strikes)}\n\n`);
say(verdictLine(result.verdict));
for (const { number, cause } of result.verdict.twice)
  say(`twice: ${number}, ${cause ?? 'nobody knows why'}`);
say(result.failures.length === 0 ? 'passed' : `FAILED: ${result.failures.join('; ')}`);
process.exitCode = result.failures.length === 0 ? 0 : 1;

/** Below 1, repeatable. */
function randomOf(text: string): () => number {
  const random = seededRandom(text);
  return () => 1 - drawUnit(random);
}

/** Progress and results for people, with the time; with `--json` standard output holds the JSON alone. */
function say(text: string): void {
  const at = ((Date.now() - startMs) / 1000).toFixed(0).padStart(5);
  process.stderr.write(`${at} s  ${text}\n`);
}
