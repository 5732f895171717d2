/**
 * What an observer of all links makes of one window: counts of every link, the rhythm of every node's
 * traffic in and out, ratios of what enters and leaves the two suspects, what follows what at which lag,
 * and lengths. He knows the topology, the rates, and whom he suspects; he does not know when mail flows.
 */
import type { Run, Watched, Window } from './recording.ts';
import { windowsOf } from './recording.ts';
import {
  binned,
  CROSS_LAGS,
  crossFeatures,
  LAG_EDGES,
  lagFeatures,
  STREAM_FEATURES,
  streamFeatures,
} from './streams.ts';

/** Fewer bins of the width of a delay than this would correlate by chance. */
const CROSS_BINS_MIN = 16;

/** The names of all features of a window, in order: `count a>m1`, `gap-cv in b`, `lag[0.25,0.5) in b, out b`. */
export function featureNames(watched: Watched): string[] {
  const nodes = nodesOf(watched);
  return [
    ...linksOf(nodes).map((link) => `count ${link}`),
    'count elsewhere',
    ...nodes.flatMap((node) => STREAM_FEATURES.map((name) => `${name} out ${node}`)),
    ...nodes.flatMap((node) => STREAM_FEATURES.map((name) => `${name} in ${node}`)),
    ...ratios(watched, () => 0).map(({ name }) => name),
    ...pairsOf(watched).flatMap(([earlier, later]) => [
      ...LAG_EDGES.slice(1).map((edge, i) => `lag[${LAG_EDGES[i]},${edge}) ${earlier}, ${later}`),
      ...CROSS_LAGS.map((lag) => `cross+${lag} ${earlier}, ${later}`),
    ]),
    ...nodes.map((node) => `mean bytes out ${node}`),
    'bytes min',
    'bytes max',
    'lengths',
  ];
}

/** Describes one window; equally many numbers for each of one `Watched`. */
export function featuresOf(window: Window): Float64Array {
  const { watched } = window;
  const nodes = nodesOf(watched);
  const links = new Map(linksOf(nodes).map((link) => [link, 0]));
  const streams = new Map(
    nodes.flatMap((node) => [`out ${node}`, `in ${node}`]).map((name) => [name, [] as number[]]),
  );
  const bytesOut = new Map(nodes.map((node) => [node, 0]));
  const lengths = new Set<number>();
  let elsewhere = 0;
  for (const { atMs, from, to, bytes } of window.events) {
    const link = `${from}>${to}`;
    const before = links.get(link);
    if (before === undefined) elsewhere++;
    else links.set(link, before + 1);
    streams.get(`out ${from}`)?.push(atMs - window.startMs);
    streams.get(`in ${to}`)?.push(atMs - window.startMs);
    bytesOut.set(from, (bytesOut.get(from) ?? 0) + bytes);
    lengths.add(bytes);
  }
  const times = (name: string): readonly number[] => streams.get(name) ?? [];
  const { windowMs } = watched;
  const sizes = [...lengths];
  return Float64Array.from([
    ...links.values(),
    elsewhere,
    ...nodes.flatMap((node) => streamFeatures(times(`out ${node}`), windowMs)),
    ...nodes.flatMap((node) => streamFeatures(times(`in ${node}`), windowMs)),
    ...ratios(watched, (name) => times(name).length).map(({ value }) => value),
    ...pairFeatures(watched, times),
    ...nodes.map((node) => (bytesOut.get(node) ?? 0) / Math.max(1, times(`out ${node}`).length)),
    sizes.length > 0 ? Math.min(...sizes) : 0,
    sizes.length > 0 ? Math.max(...sizes) : 0,
    sizes.length,
  ]);
}

/** All windows of a run, described. */
export function describeWindows(watched: Watched, run: Run): Float64Array[] {
  return windowsOf(watched, run).map(featuresOf);
}

/** Every directed link between two nodes, the ones that nothing should use included. */
function linksOf(nodes: readonly string[]): string[] {
  return nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => `${from}>${to}`));
}

function nodesOf({ gateways, mixes }: Watched): string[] {
  return [...gateways, ...mixes];
}

/** What enters and leaves the suspects against the other gateways, and against each other. */
function ratios(
  { gateways }: Watched,
  count: (stream: string) => number,
): { readonly name: string; readonly value: number }[] {
  const [a, b, ...others] = gateways as [string, string, ...string[]];
  const otherOut = others.map((node) => `out ${node}`);
  const otherIn = others.map((node) => `in ${node}`);
  const sum = (streams: readonly string[]): number =>
    streams.reduce((total, stream) => total + count(stream), 0);
  const pairs: [string, readonly string[], readonly string[]][] = [
    ['out a / out others', [`out ${a}`], otherOut],
    ['out b / out others', [`out ${b}`], otherOut],
    ['in a / in others', [`in ${a}`], otherIn],
    ['in b / in others', [`in ${b}`], otherIn],
    ['out a / in a', [`out ${a}`], [`in ${a}`]],
    ['out b / in b', [`out ${b}`], [`in ${b}`]],
    ['out a + in b / out b + in a', [`out ${a}`, `in ${b}`], [`out ${b}`, `in ${a}`]],
    ['out a + b / in a + b', [`out ${a}`, `out ${b}`], [`in ${a}`, `in ${b}`]],
  ];
  // Of logarithms, with one half added, so that 2:1 and 1:2 lie equally far out and 0 is finite.
  return pairs.map(([name, over, under]) => ({
    name,
    value: Math.log((sum(over) + 0.5) / (sum(under) + 0.5)),
  }));
}

/** Which stream may answer which: fragments and acks, along the way from one suspect to the other. */
function pairsOf({ gateways }: Watched): [string, string][] {
  const [a, b, c] = gateways as [string, string, ...string[]];
  const pairs: [string, string][] = [
    [`out ${a}`, `in ${b}`],
    [`in ${b}`, `out ${b}`],
    [`out ${b}`, `in ${a}`],
    [`out ${a}`, `in ${a}`],
    [`in ${a}`, `out ${a}`],
    [`out ${a}`, `out ${a}`],
  ];
  return c === undefined ? pairs : [...pairs, [`in ${c}`, `out ${c}`]];
}

function pairFeatures(watched: Watched, times: (name: string) => readonly number[]): number[] {
  const { windowMs, delayMeanMs } = watched;
  const bins = Math.max(CROSS_BINS_MIN, Math.ceil(windowMs / delayMeanMs));
  const counts = (name: string): Float64Array => binned(times(name), windowMs / bins, bins);
  return pairsOf(watched).flatMap(([earlier, later]) => [
    ...lagFeatures(times(earlier), times(later), delayMeanMs, windowMs),
    ...crossFeatures(counts(earlier), counts(later)),
  ]);
}
