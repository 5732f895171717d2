/**
 * A report, or one and its what-if, as one HTML page that needs nothing else: the table and the plots.
 */
import { escapeText, drawPlot, type Plot, type PlotLine } from './plot.ts';
import { sizeOf, type ReportRow } from './rows.ts';
import type { SimulationReport } from './report.ts';

/** A report, what it is called beside others, and its rows. */
export interface PageColumn {
  readonly name: string;
  readonly report: SimulationReport;
  readonly rows: readonly ReportRow[];
}

const STYLE = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; }
  th, td { text-align: left; padding: .15rem 1.5rem .15rem 0; vertical-align: top; }
  tr.section th { padding-top: .8rem; }
  .warning { border-left: 4px solid #d55e00; padding-left: .6rem; margin: .4rem 0; }
  .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 1.5rem; margin-top: 1.5rem; }
  svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: currentColor; }
  svg .title { font-size: 15px; font-weight: 600; }
  svg .grid { stroke: currentColor; stroke-opacity: .18; }
`;

/** The page. */
export function drawPage(columns: readonly PageColumn[]): string {
  const plots = [mailTimes, senderDoubt, hostileWays, attacks].map((plot) =>
    drawPlot(plot(columns)),
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Panoramix: what a mixnet gives and costs</title>
<style>${STYLE}</style>
<h1>What a mixnet gives and costs</h1>
${warnings(columns)}
${table(columns)}
<div class="plots">
${plots.map((plot) => `<figure style="margin:0">${plot}</figure>`).join('\n')}
</div>
</html>
`;
}

function warnings(columns: readonly PageColumn[]): string {
  const lines = columns.flatMap(({ name, report }) =>
    report.warnings.map((warning) => (columns.length > 1 ? `${name}: ${warning}` : warning)),
  );
  return lines.map((one) => `<p class="warning">${escapeText(one)}</p>`).join('\n');
}

function table(columns: readonly PageColumn[]): string {
  const [first] = columns;
  if (first === undefined) return '';
  const names = columns.map(({ name }) => `<th>${escapeText(name)}</th>`).join('');
  const rows = first.rows.map(({ section, label }, i) => {
    const isNew = section !== first.rows[i - 1]?.section;
    const head = isNew
      ? `<tr class="section"><th colspan="${columns.length + 1}">${escapeText(section)}</th></tr>`
      : '';
    const cells = columns.map(({ rows: own }) => `<td>${escapeText(own[i]?.value ?? '')}</td>`);
    return `${head}<tr><td>${escapeText(label)}</td>${cells.join('')}</tr>`;
  });
  return `<table><tr><th></th>${names}</tr>${rows.join('\n')}</table>`;
}

function called({ name }: PageColumn, what: string, columns: readonly PageColumn[]): string {
  return columns.length > 1 ? `${what}, ${name}` : what;
}

/** Percentiles as a curve: share of all that is not above a value. */
function curve(percentiles: readonly number[], scale: number): [number, number][] {
  return percentiles.map((value, i) => [value / scale, i / 100]);
}

function styleOf(column: number): 'line' | 'dashed' {
  return column === 0 ? 'line' : 'dashed';
}

function mailTimes(columns: readonly PageColumn[]): Plot {
  const lines = columns.flatMap((column, c) =>
    column.report.latency.bySize.map(({ bytes, deliveredPercentilesMs }, i): PlotLine => {
      const name = called(column, sizeOf(bytes), columns);
      return { name, points: curve(deliveredPercentilesMs, 1000), colour: i, style: styleOf(c) };
    }),
  );
  return {
    title: 'How long mail takes',
    xLabel: 'seconds until it is in the mailbox',
    yLabel: 'share of mails',
    xScale: 'log',
    yMax: 1,
    lines,
  };
}

function senderDoubt(columns: readonly PageColumn[]): Plot {
  const lines = columns.flatMap((column, c): PlotLine[] => {
    const { senderBitsPercentiles, strict } = column.report.anonymity;
    const most = strict.senderBitsMax;
    return [
      {
        name: called(column, 'doubt about the sender of a packet', columns),
        points: curve(senderBitsPercentiles, 1),
        colour: c,
      },
      {
        name: called(column, 'the most that there can be', columns),
        points: [
          [most, 0],
          [most, 1],
        ],
        colour: c,
        style: 'dashed',
      },
    ];
  });
  return {
    title: 'What somebody who sees all wires does not know',
    xLabel: 'bits',
    yLabel: 'share of packets',
    yMax: 1,
    lines,
  };
}

function hostileWays(columns: readonly PageColumn[]): Plot {
  const lines = columns.flatMap((column, c): PlotLine[] => {
    const { mixes, byFragments } = column.report.hostile;
    const name = called(column, `${mixes.length} hostile mixes`, columns);
    return [
      {
        name: `${name}, calculated`,
        points: byFragments.map(({ fragments, chance }) => [fragments, chance]),
        colour: c,
      },
      {
        name: `${name}, drawn`,
        points: byFragments.map(({ fragments, simulated }) => [fragments, simulated]),
        colour: c,
        style: 'points',
      },
    ];
  });
  return {
    title: 'The chance that hostile mixes see a whole way',
    xLabel: 'fragments of a mail',
    yLabel: 'chance for one of them at least',
    xScale: 'log',
    yMax: 1,
    lines,
  };
}

function attacks(columns: readonly PageColumn[]): Plot {
  const lines = columns.flatMap((column, c): PlotLine[] => {
    const outcomes = column.report.attack?.byFlush ?? [];
    const line = (
      what: string,
      colour: number,
      of: (one: (typeof outcomes)[number]) => number,
    ) => ({
      name: called(column, what, columns),
      points: outcomes.map((one): [number, number] => [one.flushMs / 1000, of(one)]),
      colour,
      style: styleOf(c),
    });
    return [
      line('noticed in time', 2, ({ noticed }) => noticed),
      line('nobody else in the mix', 5, ({ beside }) => Math.exp(-beside)),
      line('it succeeds', 1, ({ succeeds }) => succeeds),
    ];
  });
  return {
    title: 'A controller that passes one packet alone (n-1 attack)',
    xLabel: 'seconds for which it holds all others first',
    yLabel: 'chance',
    yMax: 1,
    lines,
  };
}
