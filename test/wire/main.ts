/**
 * The whole wire test: thousands of runs of the simulated mixnet, honest and with each planted leak, then
 * a long capture of a real one. `node test/wire/main.ts [--runs N] [--only NAME] [--captured N] [--json]
 * [--plot FILE.html]`
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
import { describeRuns, WATCHED, type Scenario } from './simulated-runs.ts';
import { judge, verdictLine, type Verdict } from './verdict.ts';

const RATES = { ticksPerSecond: 2, delayMeanMs: 200, windowMs: 5000 };
const RUN_MS = 10_000;
/** Runs with a leak, for one honest run: what they show, few runs show. */
const LEAK_SHARE = 0.25;
const WINDOWS = 12;

/** What is simulated, and whether it is to be caught. */
const SCENARIOS: Readonly<Record<string, Scenario & { readonly share: number }>> = {
  honest: { share: 1 },
  // Acks and fragments are lost, and fragments are sent again: still nothing may show.
  'honest, one packet in ten lost': { share: 0.5, faults: { loss: 0.1 } },
  ...Object.fromEntries(
    Object.entries(LEAKS).map(([name, leak]) => [name, { share: LEAK_SHARE, leak }]),
  ),
};

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '2000' },
    only: { type: 'string', default: '' },
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
const failures = [
  ...(Object.keys(simulated).length === 0 ? [`no scenario is called ${values.only}`] : []),
  ...Object.entries(simulated).flatMap(([name, { isCaught }]) =>
    isCaught === isLeaky(name) ? [] : [`${isCaught ? 'shows its mail' : 'not caught'}: ${name}`],
  ),
  ...(captured?.honest.isCaught === true ? ['the real mixnet shows its mail'] : []),
  ...Object.entries(captured?.faults ?? {}).flatMap(([name, { isCaught }]) =>
    isCaught ? [] : [`not caught: ${name}`],
  ),
];
say(failures.length === 0 ? `passed in ${tookSeconds} s` : failures.join('; '));
process.exitCode = failures.length === 0 ? 0 : 1;

function simulate(runs: number): Readonly<Record<string, Verdict>> {
  const chosen = Object.entries(SCENARIOS).filter(([name]) => name.includes(values.only));
  return Object.fromEntries(
    chosen.map(([name, scenario]) => {
      const count = Math.max(8, Math.round(scenario.share * runs));
      // Each scenario has seeds of its own, whichever are chosen.
      const firstSeed = 10_000_000 * (1 + Object.keys(SCENARIOS).indexOf(name));
      const described = describeRuns(count, WINDOWS, firstSeed, scenario);
      const names = featureNames(WATCHED);
      const verdict = judge(described, { names, random: seededRandom(`judge ${name}`) });
      say(`simulated, ${name}: ${verdictLine(verdict)}`);
      return [name, verdict];
    }),
  );
}

function isLeaky(name: string): boolean {
  return SCENARIOS[name]?.leak !== undefined;
}

async function captureReal(runsOfEach: number): Promise<{
  readonly honest: CaptureVerdict;
  readonly faults: Readonly<Record<string, Verdict>>;
}> {
  const recorded = await startRecordedMixnet(RATES);
  const interrupt = (): void => void recorded.stop().finally(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
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
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await recorded.stop();
  }
}

/** Progress and results for people; with `--json` standard output holds the JSON alone. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
