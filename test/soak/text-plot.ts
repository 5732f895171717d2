/** Resident memory of each process over a run, for a terminal: one line of bars, from 0 to the most it had. */
import type { Point } from './trend.ts';
import type { ProcessSeries } from './watch.ts';

const MB = 2 ** 20;
const BARS = '▁▂▃▄▅▆▇█';
const WIDTH = 60;

/** A line for each process: its bars, each the most of a like part of the time, then what it had first, most and last. */
export function residentLines(
  processes: readonly Pick<ProcessSeries, 'name' | 'resident'>[],
): string[] {
  const width = Math.max(...processes.map(({ name }) => name.length));
  return processes.map(({ name, resident }) => {
    const values = resident.map(({ bytes }) => bytes);
    const most = Math.max(...values);
    const [first = 0, last = 0] = [values[0], values.at(-1)];
    const range = [first, most, last].map((bytes) => (bytes / MB).toFixed(0).padStart(4)).join(' ');
    return `${name.padEnd(width)}  ${bars(resident, most)}  ${range} MB`;
  });
}

function bars(series: readonly Point[], most: number): string {
  const width = Math.min(WIDTH, series.length);
  return Array.from({ length: width }, (_, i) => {
    const from = Math.floor((i * series.length) / width);
    const until = Math.floor(((i + 1) * series.length) / width);
    const highest = Math.max(...series.slice(from, until).map(({ bytes }) => bytes));
    const height = Math.ceil((highest / most) * BARS.length);
    return BARS[Math.max(0, height - 1)];
  }).join('');
}
