/**
 * A soak as one HTML page: resident memory of every process over the run, one plot for each kind, with the
 * line that was judged.
 */
import { drawPlot, escapeText, type PlotLine } from '../../src/simulation/plot.ts';
import { tableOf, type SoakVerdict } from './judge.ts';
import type { SoakFigures } from './soak.ts';
import type { Point } from './trend.ts';
import type { ProcessSeries } from './watch.ts';

const MB = 2 ** 20;
/** Points of one line: more would not be seen. */
const POINTS_MAX = 600;

/** The page. */
export function soakPage(figures: SoakFigures, verdict: SoakVerdict, about: string): string {
  const kinds = [...new Set(figures.processes.map(({ kind }) => kind))];
  const plots = kinds.map((kind) => {
    const some = figures.processes.filter((one) => one.kind === kind);
    return drawPlot({
      title: `Resident memory: ${kind}`,
      xLabel: 'minutes',
      yLabel: 'MB',
      lines: some.flatMap((one, colour) => linesOf(one, colour)),
    });
  });
  const said = verdict.failures.length === 0 ? ['level'] : verdict.failures;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Soak</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 80em; color: #222 }
svg { width: 38em; margin: 1em } .grid { stroke: #ddd } .title { font-weight: bold } text { font-size: 12px }
pre { font-size: 12px; overflow-x: auto }
</style>
<h1>Does the memory of a mixnet stay level?</h1>
<p>${escapeText(about)}</p>
<ul>${said.map((line) => `<li>${escapeText(line)}</li>`).join('')}</ul>
${plots.join('\n')}
<pre>${escapeText(tableOf(figures, verdict).join('\n'))}</pre>
</html>
`;
}

function linesOf({ name, resident, live }: ProcessSeries, colour: number): PlotLine[] {
  const step = Math.max(1, Math.ceil(resident.length / POINTS_MAX));
  return [
    { name, colour, points: inMegabytes(resident.filter((_, i) => i % step === 0)) },
    { name: `${name}: what it holds`, colour, style: 'dashed', points: inMegabytes(live) },
  ];
}

function inMegabytes(series: readonly Point[]): [number, number][] {
  return series.map(({ seconds, bytes }) => [seconds / 60, bytes / MB]);
}
