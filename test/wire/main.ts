/**
 * The whole wire test: thousands of runs of the simulated mixnet, honest and with each planted leak, then
 * a long capture of a real one. `node test/wire/main.ts [--runs N] [--captured N] [--json] [--plot FILE.html]`
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../src/simulation/seeded.ts';
import { judgeCapture, type CaptureVerdict } from './capture-verdict.ts';
import { capture } from './capture.ts';
import { featureNames } from './features.ts';
import { LEAKS } from './leaks.ts';
import { withRepeats } from './planted-fault.ts';
import { verdictPage } from './plot.ts';
import { startRecordedMixnet } from './recorded-mixnet.ts';
import { describeRuns, WATCHED } from './simulated-runs.ts';
import { judge, verdictLine, type Verdict } from './verdict.ts';

const RATES = { ticksPerSecond: 2, delayMeanMs: 200, windowMs: 5000 };
const RUN_MS = 10_000;
/** Runs with a leak, for one honest run: what they show, few runs show. */
const LEAK_SHARE = 0.25;
const WINDOWS = 12;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '2000' },
    captured: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
    plot: { type: 'string' },
  },
});

const startMs = performance.now();
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
const simulated = simulate(Number(values.runs));
const captured = Number(values.captured) > 0 ? await captureReal(Number(values.captured)) : null;
const tookSeconds = Math.round((performance.now() - startMs) / 1000);

if (values.json) {
  process.stdout.write(`${JSON.stringify({ machine, tookSeconds, simulated, captured })}\n`);
}
if (values.plot !== undefined) {
  const real = captured && { 'real mixnet': captured.honest.packets, ...captured.faults };
  writeFileSync(values.plot, verdictPage({ ...simulated, ...real }, machine));
}
const { honest, ...leaks } = simulated;
const missed = Object.entries(leaks).filter(([, verdict]) => !verdict.isCaught);
const failures = [
  ...(honest?.isCaught === false ? [] : ['the simulated mixnet shows its mail']),
  ...missed.map(([name]) => `not caught: ${name}`),
  ...(captured?.honest.isCaught === true ? ['the real mixnet shows its mail'] : []),
  ...Object.entries(captured?.faults ?? {}).flatMap(([name, { isCaught }]) =>
    isCaught ? [] : [`not caught: ${name}`],
  ),
];
say(failures.length === 0 ? `passed in ${tookSeconds} s` : failures.join('; '));
process.exitCode = failures.length === 0 ? 0 : 1;

function simulate(runs: number): Readonly<Record<string, Verdict>> {
  const scenarios = [['honest', {}] as const, ...Object.entries(LEAKS)];
  return Object.fromEntries(
    scenarios.map(([name, leak], place) => {
      const count = place === 0 ? runs : Math.max(8, Math.round(LEAK_SHARE * runs));
      const described = describeRuns(count, WINDOWS, 1_000_000 * (10 + place), leak);
      const names = featureNames(WATCHED);
      const verdict = judge(described, { names, random: seededRandom(`judge ${name}`) });
      say(`simulated, ${name}: ${verdictLine(verdict)}`);
      return [name, verdict];
    }),
  );
}

async function captureReal(runsOfEach: number): Promise<{
  readonly honest: CaptureVerdict;
  readonly faults: Readonly<Record<string, Verdict>>;
}> {
  const recorded = await startRecordedMixnet(RATES);
  try {
    await sleep(10_000);
    const options = {
      random: seededRandom('long capture'),
      runMs: RUN_MS,
      gapMs: 2000,
      burstsPerRun: 1,
      progress: say,
    };
    const runs = await capture(recorded, { ...options, runsOfEach });
    const judged = judgeCapture(runs, RATES);
    say(`real: ${verdictLine(judged.packets)}`);
    say(`real, requests: p ${judged.requests.pValue.toFixed(4)}, ${judged.requests.strongest}`);
    say(
      `real, lengths ${judged.packetLengths.join()}; ${judged.rateFaults.join('; ') || 'rates kept'}`,
    );
    const idle = runs.filter(({ hasMail }) => !hasMail).slice(0, 10);
    const faulty = await withRepeats(recorded, RATES.delayMeanMs, () =>
      capture(recorded, { ...options, runsOfEach: 10, kinds: [true] }),
    );
    const fault = judgeCapture([...idle, ...faulty], RATES).packets;
    say(`real, each packet repeated: ${verdictLine(fault)}`);
    return { honest: judged, faults: { 'real mixnet, each packet repeated': fault } };
  } finally {
    await recorded.stop();
  }
}

/** Progress and results for people; with `--json` standard output holds the JSON alone. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
