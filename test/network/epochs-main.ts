/**
 * The long run of key epochs: keys of two minutes for half an hour, 5 mails a second, nothing disturbed.
 * `node test/network/epochs-main.ts [--minutes N] [--mails-per-second N] [--ticks-per-second N] [--json]`
 * tells once a minute how it goes, at its end a table, and exits 1 where anything was not as it must be.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { endedAtLeast, runEpochs, tableOf, type EpochFigures } from './epochs.ts';

const KEY_MS = 120_000;
const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    'mails-per-second': { type: 'string', default: '5' },
    // Half of the ticks of each of two gateways go to the other: 2.5 mails a second wait for 4 ticks a second.
    'ticks-per-second': { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
  },
});

// The programs are processes of their own: whoever ends this one ends them, too.
const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const figures = await runEpochs({
  keyLifetimeMs: KEY_MS,
  snapshotLifetimeMs: KEY_MS,
  ticksPerSecond: Number(values['ticks-per-second']),
  mailsPerSecond: Number(values['mails-per-second']),
  runMs: Number(values.minutes) * MINUTE_MS,
  patienceMs: 5 * MINUTE_MS,
  progressMs: MINUTE_MS,
  signal: ending.signal,
  say,
}).catch((thrown: unknown) => {
  if (!ending.signal.aborted) throw thrown;
  say('interrupted');
  process.exit(1);
});

const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, Node ${process.version}`;
say(`\n${machine}, load ${loadavg().map(Math.round).join(' ')}`);
for (const line of tableOf(figures)) say(line);
const failures = failuresOf(figures);
for (const failure of failures) say(`FAILED: ${failure}`);
if (values.json) say(JSON.stringify({ machine, failures, mail: figures.mail }));
process.exitCode = failures.length === 0 ? 0 : 1;

function failuresOf(run: EpochFigures): string[] {
  const { mail, nodes, planted, findings, remains, opened } = run;
  const least = endedAtLeast(run.untilMs - run.fromMs, KEY_MS);
  const isWhole = mail.exact === mail.submitted && mail.delivered === mail.submitted;
  return [
    ...(isWhole ? [] : [`${mail.submitted - mail.exact} mails did not arrive byte for byte`]),
    ...(mail.twice === 0 ? [] : [`${mail.twice} mails came twice`]),
    ...(mail.refused.length === 0 ? [] : [`a gateway refused ${mail.refused[0]}`]),
    ...nodes.flatMap(({ node, ended, refusals }) => [
      ...Object.entries(refusals).map(([name, times]) => `${node}: ${name} ${times} times`),
      ...(ended.length >= least ? [] : [`${node}: ${ended.length} of ${least} keys have ended`]),
      ...(ended.some(({ sealed }) => sealed.length > 0) ? [] : [`${node}: no sealed packet seen`]),
    ]),
    ...(opened.ofLiving > 0 ? [] : ['what is left opens no packet of a key that lives']),
    ...(planted.length === 4 ? [] : [`the search finds a secret only as ${planted.join(', ')}`]),
    ...findings.map(({ needle, spelling, source }) => `${needle} lies in ${source} as ${spelling}`),
    ...remains.map(({ needle }) => `${needle} was unlinked before it was overwritten`),
    ...opened.ofEnded.map((key) => `a packet sealed by ${key} opens with something that is left`),
  ];
}
