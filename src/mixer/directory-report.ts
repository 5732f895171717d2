/**
 * What a node has found out about its directory beyond the directory itself, for `status` and over restarts:
 * how each controller serves it, who has signed two entries, why the nodes do not agree. A small
 * file, written where something has changed.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readIfThere, replaceDurably } from '../durable-file.ts';

/** A controller that serves what this node goes by. */
export const SERVING = 'serving';

const controllerState = z.strictObject({
  /** `serving`, or the reason why not. */
  state: z.string(),
  since_ms: z.number(),
  /** Highest number that it has served; null before the first. */
  number: z.number().nullable(),
});
/** How one controller serves the directory. */
export type ControllerState = z.output<typeof controllerState>;

const report = z.strictObject({
  version: z.literal(1),
  /** By URL. */
  controllers: z.record(z.string(), controllerState),
  /** Nodes that signed two different entries for one snapshot, which left them out; the last of each. */
  two_faced: z.record(z.string(), z.strictObject({ number: z.number(), at_ms: z.number() })),
  /** Why the nodes do not agree on the next snapshot, since when; null where nothing is wrong. */
  trouble: z.strictObject({ reason: z.string(), since_ms: z.number() }).nullable(),
});
export type DirectoryFindings = z.output<typeof report>;

const NOTHING: DirectoryFindings = { version: 1, controllers: {}, two_faced: {}, trouble: null };
const NAME = 'directory-report.json';

/** Controllers and nodes that are remembered: those of a large mixnet, and some that have left it. */
const NAMES_MAX = 1024;

/** See the head of this file. */
export class DirectoryReport {
  readonly #path: string;
  #findings: DirectoryFindings;

  constructor(dataDir: string) {
    this.#path = join(dataDir, NAME);
    this.#findings = readDirectoryReport(dataDir) ?? NOTHING;
  }

  get findings(): DirectoryFindings {
    return this.#findings;
  }

  /** URLs of controllers that did not serve the directory when they were last asked. */
  unwell(): string[] {
    return Object.entries(this.#findings.controllers)
      .filter(([, { state }]) => state !== SERVING)
      .map(([url]) => url);
  }

  /** Notes how a controller serves the directory now. */
  noteController(url: string, state: ControllerState): void {
    const { controllers } = this.#findings;
    this.#write({ controllers: newest({ ...controllers, [url]: state }, (one) => one.since_ms) });
  }

  /** Notes that a node has signed two different entries. @returns false where that was known */
  noteTwoFaced(peerId: string, number: number, atMs: number): boolean {
    const { two_faced: known } = this.#findings;
    if ((known[peerId]?.number ?? 0) >= number) return false;
    const next = { ...known, [peerId]: { number, at_ms: atMs } };
    this.#write({ two_faced: newest(next, (one) => one.at_ms) });
    return true;
  }

  /** Notes why the nodes do not agree, or that they do. */
  noteTrouble(reason: string | null, atMs: number): void {
    const { trouble } = this.#findings;
    if ((trouble?.reason ?? null) === reason) return;
    const since = trouble?.since_ms ?? atMs;
    this.#write({ trouble: reason === null ? null : { reason, since_ms: since } });
  }

  #write(change: Partial<DirectoryFindings>): void {
    const next = { ...this.#findings, ...change };
    const text = JSON.stringify(next, null, 2);
    if (text === JSON.stringify(this.#findings, null, 2)) return;
    replaceDurably(this.#path, `${text}\n`);
    this.#findings = next;
  }
}

/** What was noted, or null; a damaged report is none, for it is found out anew. */
export function readDirectoryReport(dataDir: string): DirectoryFindings | null {
  const text = readIfThere(join(dataDir, NAME));
  if (text === null) return null;
  try {
    return report.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function newest<T>(of: Record<string, T>, atMs: (one: T) => number): Record<string, T> {
  const entries = Object.entries(of);
  if (entries.length <= NAMES_MAX) return of;
  const sorted = entries.toSorted(([, left], [, right]) => atMs(right) - atMs(left));
  return Object.fromEntries(sorted.slice(0, NAMES_MAX));
}
