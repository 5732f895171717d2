/**
 * `npm run fuzz -- [--minutes N] [--target NAME,…] [--seed N] [--json] [--blind]`: every parser that reads what others
 * wrote, for as long as is wanted, the time shared among the targets. `--replay BASE64 --target NAME` runs
 * one input again. Exit code 1 where something was found.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Finding } from './finding.ts';
import { fuzzTarget, type Outcome } from './supervise.ts';
import { TARGETS } from './targets/index.ts';
import { tryInput } from './try-input.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    target: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
    blind: { type: 'boolean', default: false },
    replay: { type: 'string' },
  },
});

const names = values.target === undefined ? Object.keys(TARGETS) : values.target.split(',');
const unknown = names.filter((name) => !Object.hasOwn(TARGETS, name));
const minutes = Number(values.minutes);
// Another seed each day finds other things; one that is given finds the same again.
const seed = Number(values.seed ?? Math.floor(Date.now() / 1000));
if (unknown.length > 0 || !(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error(`fuzz: --minutes N --seed N --target of ${Object.keys(TARGETS).join(', ')}`);
  process.exitCode = 2;
} else if (values.replay === undefined) await fuzzAll();
else await replay(names[0] as string, values.replay);

async function fuzzAll(): Promise<void> {
  const outcomes: Outcome[] = [];
  for (const name of names) {
    const durationMs = (minutes * 60_000) / names.length;
    const outcome = await fuzzTarget({ name, seed, runs: null, durationMs, guided: !values.blind });
    outcomes.push(outcome);
    if (!values.json) show(outcome);
  }
  if (values.json) console.log(JSON.stringify({ seed, minutes, outcomes }));
  const found = outcomes.reduce((sum, { findings }) => sum + findings.length, 0);
  if (!values.json) console.log(`${found} found, seed ${seed}`);
  process.exitCode = found > 0 ? 1 : 0;
}

async function replay(name: string, input: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'panoramix-fuzz-'));
  const target = await (await TARGETS[name]?.())?.(scratch);
  if (target === undefined) return;
  const tried = await tryInput(target, new Uint8Array(Buffer.from(input, 'base64')));
  console.log(JSON.stringify(tried));
  await target.close?.();
  await rm(scratch, { recursive: true, force: true });
  process.exitCode = tried.fault === null ? 0 : 1;
}

function show({ name, elapsedMs, summary, findings }: Outcome): void {
  const { runs, corpus, reached, cpuMsMax, grownBytes } = summary;
  const perSecond = Math.round((runs * 1000) / Math.max(1, elapsedMs));
  const parts = [
    name.padEnd(20),
    `${runs} inputs`,
    `${perSecond}/s`,
    `corpus ${corpus}`,
    `reached ${reached}`,
    `most CPU ${cpuMsMax.toFixed(1)} ms`,
    `grown ${Math.round(grownBytes / 1024)} kB`,
  ];
  console.log(parts.join('  '));
  for (const finding of findings) showFinding(finding);
}

function showFinding({ target, kind, what, where, input }: Finding): void {
  const bytes = Buffer.from(input, 'base64');
  console.log(`  ${kind}: ${what} ${where}`);
  console.log(`    ${JSON.stringify(bytes.subarray(0, 300).toString('latin1'))}`);
  console.log(`    npm run fuzz -- --target ${target} --replay ${input}`);
}
