/**
 * `panoramix simulate`: what a mixnet of so many providers, mixes and mails would give, how long mail
 * would take and what it would cost, and the same for another one beside it. Nothing is sent anywhere.
 */
import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { native } from '../crypto/native.ts';
import { PanoramixError } from '../errors.ts';
import type { MailSize } from '../simulation/arrivals.ts';
import { drawPage, type PageColumn } from '../simulation/page.ts';
import { reportRows } from '../simulation/rows.ts';
import { simulate } from '../simulation/simulate.ts';
import { DEFAULT_SPEC, refuseSpec, type SimulationSpec } from '../simulation/spec.ts';
import { formatDuration, Terminal } from '../terminal.ts';
import { EXIT, runVerb } from './program.ts';

/** Options that are numbers: the field each sets, its range, and what it says. */
const NUMBERS = {
  providers: ['providers', 2, 200, 'whole', 'providers, each with a gateway'],
  mixes: ['mixes', 0, 200, 'whole', 'mixes of other owners'],
  users: ['users', 0, 1e6, 'whole', 'users of each provider who opt in'],
  'mails-per-day': ['mailsPerDay', 0, 1e4, 'any', 'mails of each user'],
  burst: ['burst', 1, 1e4, 'any', 'mails that come at once, on average'],
  'ticks-per-second': ['ticksPerSecond', 0.001, 1000, 'any', 'packets of each gateway'],
  'loops-per-second': ['loopsPerSecond', 0.001, 1000, 'any', 'loops of each mix'],
  'delay-mean-ms': ['delayMeanMs', 0, 3.6e6, 'whole', 'mean delay at each mix'],
  'exit-delay-mean-ms': ['exitDelayMeanMs', 0, 8.64e7, 'whole', 'mean delay before delivery'],
  'mixes-per-route': ['mixesPerRoute', 1, 16, 'whole', 'mixes between two gateways'],
  loss: ['loss', 0, 0.5, 'any', 'share of packets lost on each link'],
  duplication: ['duplication', 0, 0.5, 'any', 'share of packets doubled on each link'],
  hostile: ['hostile', 0, 200, 'whole', 'mixes that work together against the others'],
  hours: ['hours', 0.01, 1000, 'any', 'hours to simulate'],
  seed: ['seed', 0, 2 ** 48, 'whole', 'the same seed gives the same numbers'],
  attacks: ['attacks', 0, 1e5, 'whole', 'n-1 attacks to try'],
} as const satisfies Record<
  string,
  readonly [keyof SimulationSpec, number, number, 'whole' | 'any', string]
>;

type NumberName = keyof typeof NUMBERS;

interface Flags extends Partial<SimulationSpec> {
  readonly json?: true;
  readonly plot?: string;
  readonly whatIf?: WhatIf;
}

/** What another mixnet has that this one has not. */
interface WhatIf {
  /** As it was asked for. */
  readonly text: string;
  readonly changes: Partial<SimulationSpec>;
}

/** The verb, for main.ts. */
export function simulateCommand(): Command {
  const command = new Command('simulate').description(
    'says what a mixnet gives, how long mail takes and what it costs, without sending anything',
  );
  for (const [name, [field, , , , says]] of Object.entries(NUMBERS)) {
    const option = new Option(`--${name} <n>`, says).default(DEFAULT_SPEC[field]);
    command.addOption(option.argParser((text) => parseNumber(name as NumberName, text)));
  }
  const sizes = DEFAULT_SPEC.sizes.map(({ bytes, weight }) => `${bytes / 1000}k:${weight}`).join();
  return command
    .option('--providers-mix', "each provider's node relays for others, too")
    .addOption(
      new Option('--sizes <size:weight,…>', 'sizes of mails and how often each comes')
        .argParser(parseSizes)
        .default(DEFAULT_SPEC.sizes, sizes),
    )
    .option(
      '--what-if <name=n,…>',
      'a second mixnet beside it, such as providers=10,mixes=6',
      parseWhatIf,
    )
    .option('--json', 'one JSON object for machines')
    .option('--plot <file>', 'writes an HTML page with table and plots')
    .action((flags: Flags) => runVerb(() => Promise.resolve(run(flags))));
}

function run({ json, plot, whatIf, ...given }: Flags): number {
  const spec = { ...DEFAULT_SPEC, ...given };
  const specs: (readonly [string, SimulationSpec])[] = [['now', spec]];
  if (whatIf !== undefined) {
    specs.push([`what if ${whatIf.text}`, { ...spec, ...whatIf.changes }]);
  }
  for (const [name, one] of specs) {
    const refusal = refuseSpec(one);
    if (refusal !== null) throw new PanoramixError('config-invalid', `${name}: ${refusal}`);
  }
  const progress = new Terminal(process.stderr);
  const columns = specs.map(([name, one]) => simulateColumn(name, one, progress));
  if (plot !== undefined) writeFileSync(plot, drawPage(columns));
  if (json) {
    const [now, other] = columns.map(({ report }) => report);
    process.stdout.write(`${JSON.stringify({ now, what_if: other ?? null })}\n`);
  } else {
    print(columns, new Terminal());
  }
  if (plot !== undefined) progress.done(`plots are in ${plot}`);
  return EXIT.done;
}

function simulateColumn(name: string, spec: SimulationSpec, progress: Terminal): PageColumn {
  const report = simulate(spec, native, (doing, share) => {
    const what = doing === 'mail' ? `${spec.hours} hours of mail` : `${spec.attacks} n-1 attacks`;
    progress.progress(`${name}: ${what}, ${(100 * share).toFixed(0)} %`);
  });
  return { name, report, rows: reportRows(report, formatDuration) };
}

function print(columns: readonly PageColumn[], terminal: Terminal): void {
  const [first] = columns;
  if (first === undefined) return;
  const labels = Math.max(...first.rows.map(({ label }) => label.length));
  const widths = columns.map(({ name, rows }) =>
    Math.max(name.length, ...rows.map(({ value }) => value.length)),
  );
  const cells = (texts: readonly string[]): string =>
    texts
      .map((text, i) => text.padEnd(widths[i] as number))
      .join('   ')
      .trimEnd();
  if (columns.length > 1) {
    terminal.line(`${' '.repeat(labels + 5)}${cells(columns.map(({ name }) => name))}`);
  }
  for (const [i, { section, label }] of first.rows.entries()) {
    if (section !== first.rows[i - 1]?.section) terminal.line(terminal.paint('cyan', section));
    const values = columns.map(({ rows }) => rows[i]?.value ?? '');
    terminal.line(`  ${label.padEnd(labels)}   ${cells(values)}`);
  }
  for (const { name, report } of columns) {
    for (const warning of report.warnings) {
      const text = columns.length > 1 ? `${name}: ${warning}` : warning;
      terminal.line(terminal.paint('yellow', `! ${text}`));
    }
  }
}

function parseNumber(name: NumberName, text: string): number {
  const [, least, most, kind] = NUMBERS[name];
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isOne = kind === 'whole' ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (!isOne || value < least || value > most) {
    const wanted = kind === 'whole' ? 'a whole number' : 'a number';
    throw new InvalidArgumentError(`${name} is ${wanted} from ${least} to ${most}.`);
  }
  return value;
}

function parseWhatIf(text: string): WhatIf {
  const changes = text.split(',').map((part) => {
    const [name = '', value = ''] = part.split('=');
    if (name === 'providers-mix') return ['providersMix', value !== 'false'] as const;
    if (!Object.hasOwn(NUMBERS, name)) {
      const known = Object.keys(NUMBERS).join(', ');
      throw new InvalidArgumentError(`"${name}" is none of ${known}, providers-mix.`);
    }
    return [NUMBERS[name as NumberName][0], parseNumber(name as NumberName, value)] as const;
  });
  return { text, changes: Object.fromEntries(changes) };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, m: 1e6 };

function parseSizes(text: string): readonly MailSize[] {
  return text.split(',').map((part) => {
    const match = /^(\d+(?:\.\d+)?)([kKmM]?)(?::(\d+(?:\.\d+)?))?$/.exec(part.trim());
    if (match === null) {
      throw new InvalidArgumentError(
        `"${part}" is no size such as 15k:60 (15 000 bytes, weight 60).`,
      );
    }
    const [, digits = '', unit = '', weight = '1'] = match;
    const bytes = Math.round(Number(digits) * (UNITS[unit === 'K' ? 'k' : unit] ?? 1));
    return { bytes, weight: Number(weight) };
  });
}
