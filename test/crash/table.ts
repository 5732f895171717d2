/**
 * What a crash run shows for people: how often each step was hit, whose death it was, and how long each program
 * took to be well again.
 */
import type { Verdict } from './ledger.ts';

/** One kill, as the table counts it; times in ms. */
export interface Strike {
  /** The named step, or `at random`. */
  readonly step: string;
  /** `before` the request was passed on, or `after` its answer came; null at random. */
  readonly moment: string | null;
  readonly victim: string;
  /** What the victim is: gateway, mix, controller, redis, postfix. */
  readonly kind: string;
  readonly atMs: number;
  /** From its restart until `status` called it well; null where that was not within a minute. */
  readonly wellAfterMs: number | null;
  /** Programs that were well then but for own packets that came back late. */
  readonly alarms: number;
  /** How often `status` was asked while it was down, and how often it called it well. */
  readonly looks: number;
  readonly lies: number;
}

/** Rows of one step. */
export interface StepRow {
  readonly step: string;
  readonly hits: number;
  /** By kind of victim. */
  readonly victims: Readonly<Record<string, number>>;
  readonly moments: Readonly<Record<string, number>>;
}

const KINDS = ['gateway', 'mix', 'controller', 'redis', 'postfix'] as const;

/** Counts strikes by step; a step that was never hit is a row of zeros. */
export function rowsOf(steps: readonly string[], strikes: readonly Strike[]): StepRow[] {
  const names = [...new Set([...steps, ...strikes.map(({ step }) => step)])];
  return names.map((step) => {
    const own = strikes.filter((strike) => strike.step === step);
    return {
      step,
      hits: own.length,
      victims: countBy(own.map(({ kind }) => kind)),
      moments: countBy(own.flatMap(({ moment }) => (moment === null ? [] : [moment]))),
    };
  });
}

/** The table as text, Markdown at the same time. */
export function stepTable(rows: readonly StepRow[]): string {
  const head = ['step', 'hits', ...KINDS, 'before', 'after'];
  const lines = rows.map(({ step, hits, victims, moments }) => [
    step,
    String(hits),
    ...KINDS.map((kind) => countText(victims[kind])),
    countText(moments['before']),
    countText(moments['after']),
  ]);
  return markdown(head, lines);
}

/** How long each kind of program took to be well again. */
export function recoveryTable(strikes: readonly Strike[]): string {
  const lines = KINDS.map((kind) => {
    const own = strikes.filter((strike) => strike.kind === kind);
    const well = own.flatMap(({ wellAfterMs }) => (wellAfterMs === null ? [] : [wellAfterMs]));
    well.sort((a, b) => a - b);
    return [
      kind,
      String(own.length),
      seconds(well[Math.floor(well.length / 2)]),
      seconds(well[Math.floor(0.95 * well.length)]),
      seconds(well.at(-1)),
      String(own.length - well.length),
      String(own.filter(({ alarms }) => alarms > 0).length),
      `${sum(own, 'lies')} of ${sum(own, 'looks')}`,
    ];
  });
  return markdown(
    [
      'kind',
      'kills',
      'well after p50',
      'p95',
      'max',
      'not in a minute',
      'loop alarm then',
      'called well while down',
    ],
    lines,
  );
}

/** The verdict on the mail in one line. */
export function verdictLine(verdict: Verdict): string {
  const { lateMs } = verdict;
  return (
    `${verdict.accepted} accepted, ${verdict.lost.length} lost, ${verdict.altered.length} altered, ` +
    `${verdict.twice.length} twice, ${verdict.strangers.length} strangers; ` +
    `${verdict.unknown} unknown to their sender, ${verdict.unknownArrived} of them arrived; ` +
    `late ${seconds(lateMs.p50)}, p95 ${seconds(lateMs.p95)}, max ${seconds(lateMs.max)}`
  );
}

function markdown(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rows = [head, ...lines];
  const widths = head.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const text = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [text(head), rule, ...lines.map(text)].join('\n');
}

function countBy(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function countText(count: number | undefined): string {
  return count === undefined ? '' : String(count);
}

function sum(strikes: readonly Strike[], field: 'lies' | 'looks'): number {
  return strikes.reduce((total, strike) => total + strike[field], 0);
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${(ms / 1000).toFixed(1)} s`;
}
