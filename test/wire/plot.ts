/**
 * The wire test's verdicts as one HTML page with a plot in SVG: how much of the mail an observer finds for
 * how many mistakes, on the diagonal where he only guesses.
 */
import { AUC_MAX, P_ALARM, type Verdict } from './verdict.ts';

const SIZE = 260;
const COLUMNS = 'runs, unseen windows, AUC, p, most telling, its correlation, caught'.split(', ');

/** One page; verdicts by what was judged. */
export function verdictPage(verdicts: Readonly<Record<string, Verdict>>, about: string): string {
  const entries = Object.entries(verdicts);
  const head = ['', ...COLUMNS].map((text) => `<th>${escaped(text)}</th>`).join('');
  const rows = entries.map(([name, verdict]) => `<tr>${cells(name, verdict)}</tr>`).join('\n');
  const plots = entries.map(([name, verdict]) => plot(name, verdict)).join('\n');
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Wire test</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 70em; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: left; border-bottom: 1px solid #ccc }
figure { display: inline-block; margin: 1em } figcaption { text-align: center }
</style>
<h1>Can an observer of all links tell runs with mail from idle ones?</h1>
<p>${escaped(about)}. Caught: AUC above ${AUC_MAX} over enough windows, or p at most ${P_ALARM}.</p>
<table><tr>${head}</tr>
${rows}
</table>
${plots}
</html>
`;
}

function cells(name: string, verdict: Verdict): string {
  const { runs, windowsTested, auc, pValue, strongest, isCaught } = verdict;
  const texts = [
    name,
    String(runs),
    String(windowsTested),
    auc.toFixed(3),
    pValue.toFixed(4),
    strongest.column,
    strongest.correlation.toFixed(2),
    isCaught ? 'yes' : 'no',
  ];
  return texts.map((text) => `<td>${escaped(text)}</td>`).join('');
}

function plot(name: string, { curve, auc }: Verdict): string {
  const points = curve.map((found, i) => {
    const x = (i / (curve.length - 1)) * SIZE;
    return `${x.toFixed(1)},${((1 - found) * SIZE).toFixed(1)}`;
  });
  return `<figure><svg width="${SIZE}" height="${SIZE}" viewBox="-2 -2 ${SIZE + 4} ${SIZE + 4}">
<rect width="${SIZE}" height="${SIZE}" fill="none" stroke="#999"/>
<line x1="0" y1="${SIZE}" x2="${SIZE}" y2="0" stroke="#999" stroke-dasharray="4"/>
<polyline points="${points.join(' ')}" fill="none" stroke="#06c" stroke-width="2"/>
</svg><figcaption>${escaped(name)}<br>found by mistaken, AUC ${auc.toFixed(3)}</figcaption></figure>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
