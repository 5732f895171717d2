/**
 * Line plots as SVG text, for one page without scripts: axes, ticks, lines and points, a legend.
 */

/** One line of a plot. */
export interface PlotLine {
  readonly name: string;
  /** In the order in which they are joined. */
  readonly points: readonly (readonly [number, number])[];
  /** Points without a line: what was simulated beside what was calculated. */
  readonly style?: 'line' | 'points' | 'dashed';
  /** Lines of one colour belong together; from 0. */
  readonly colour: number;
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xScale?: 'linear' | 'log';
  /** Upper end of the y axis; the highest point where none is given. */
  readonly yMax?: number;
  readonly lines: readonly PlotLine[];
}

const WIDTH = 640;
const HEIGHT = 340;
const LEFT = 64;
const RIGHT = 24;
const TOP = 34;
const BOTTOM = 46;
const LEGEND_ROW = 16;
/** Distinct for those who see few colours, too (Okabe and Ito's). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#555555'];
const TICKS = 5;

interface Axis {
  readonly ticks: readonly number[];
  /** Pixel of a value. */
  readonly place: (value: number) => number;
}

/** The plot as an `svg` element. */
export function drawPlot(plot: Plot): string {
  const points = plot.lines.flatMap((one) => one.points);
  const height = HEIGHT + LEGEND_ROW * plot.lines.length;
  const x = axis(
    points.map(([value]) => value),
    { from: LEFT, to: WIDTH - RIGHT, scale: plot.xScale ?? 'linear' },
  );
  const yValues = [...points.map(([, value]) => value), 0, plot.yMax ?? 0];
  const y = axis(yValues, { from: HEIGHT - BOTTOM, to: TOP, scale: 'linear' });
  const parts = [
    text(LEFT, 18, plot.title, 'class="title"'),
    ...x.ticks.map(
      (value) =>
        line(x.place(value), TOP, x.place(value), HEIGHT - BOTTOM, 'class="grid"') +
        text(x.place(value), HEIGHT - BOTTOM + 16, tickText(value), 'text-anchor="middle"'),
    ),
    ...y.ticks.map(
      (value) =>
        line(LEFT, y.place(value), WIDTH - RIGHT, y.place(value), 'class="grid"') +
        text(LEFT - 6, y.place(value) + 4, tickText(value), 'text-anchor="end"'),
    ),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, plot.xLabel, 'text-anchor="middle"'),
    text(
      0,
      0,
      plot.yLabel,
      `text-anchor="middle" transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"`,
    ),
    ...plot.lines.map((one, i) => drawLine(one, x, y) + legend(one, HEIGHT + LEGEND_ROW * i)),
  ];
  return (
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeText(plot.title)}">` +
    `${parts.join('')}</svg>`
  );
}

/** Text that HTML and SVG take for text. */
export function escapeText(plain: string): string {
  return plain
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function drawLine({ points, style = 'line', colour }: PlotLine, x: Axis, y: Axis): string {
  const stroke = COLOURS[colour % COLOURS.length] as string;
  const places = points
    .filter(([, value]) => Number.isFinite(value))
    .map(([left, up]) => [x.place(left), y.place(up)].map((pixel) => pixel.toFixed(1)));
  if (style === 'points') {
    return places
      .map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3.5" fill="none" stroke="${stroke}"/>`)
      .join('');
  }
  const dash = style === 'dashed' ? ' stroke-dasharray="6 4"' : '';
  const path = places.map((place) => place.join(',')).join(' ');
  return `<polyline points="${path}" fill="none" stroke="${stroke}" stroke-width="2"${dash}/>`;
}

function legend({ name, style = 'line', colour }: PlotLine, top: number): string {
  const sample: readonly (readonly [number, number])[] = [
    [LEFT, top],
    [LEFT + 26, top],
  ];
  const straight: Axis = { ticks: [], place: (value) => value };
  const mark = drawLine({ name, points: sample, style, colour }, straight, straight);
  return mark + text(LEFT + 34, top + 4, name, '');
}

function axis(
  values: readonly number[],
  {
    from,
    to,
    scale,
  }: { readonly from: number; readonly to: number; readonly scale: 'linear' | 'log' },
): Axis {
  const finite = values.filter(
    (value) => Number.isFinite(value) && (scale === 'linear' || value > 0),
  );
  const low = finite.length === 0 ? 1 : Math.min(...finite);
  const high = finite.length === 0 ? 10 : Math.max(...finite);
  const ticks = scale === 'log' ? logTicks(low, high) : linearTicks(low, high);
  const first = ticks[0] as number;
  const last = ticks.at(-1) as number;
  const share = (value: number): number =>
    scale === 'log'
      ? Math.log(Math.max(value, first) / first) / Math.log(last / first)
      : (value - first) / (last - first);
  return { ticks, place: (value) => from + share(value) * (to - from) };
}

/** Round numbers (1, 2 or 5 times a power of ten apart) around all values. */
function linearTicks(low: number, high: number): readonly number[] {
  const rough = (high - low || Math.abs(high) || 1) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10);
  const from = Math.floor(low / step);
  const to = Math.max(from + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
}

/** Powers of ten, and 2 and 5 times them where there are few. */
function logTicks(low: number, high: number): readonly number[] {
  const from = Math.floor(Math.log10(low) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(high) - 1e-9));
  const between = to - from <= 2 ? [1, 2, 5] : [1];
  const ticks = Array.from({ length: to - from }, (_, i) =>
    between.map((times) => times * 10 ** (from + i)),
  );
  return [...ticks.flat(), 10 ** to];
}

function tickText(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function line(x1: number, y1: number, x2: number, y2: number, more: string): string {
  const [left, top, right, bottom] = [x1, y1, x2, y2].map((pixel) => pixel.toFixed(1));
  return `<line x1="${left}" y1="${top}" x2="${right}" y2="${bottom}" ${more}/>`;
}

function text(x: number, y: number, words: string, more: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escapeText(words)}</text>`;
}
