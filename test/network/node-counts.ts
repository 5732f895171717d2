/**
 * What the nodes of a mixnet of real processes have counted: their programs say it in the log every ten
 * minutes and when they stop. Counts are of one run of a program, so those of all its runs are added up.
 */
import { readFileSync } from 'node:fs';
import type { RealMixnet } from './real-mixnet.ts';

/** How often what happened, by the names of `src/mixer/counters.ts`. */
export type Counts = Readonly<Record<string, number>>;

/**
 * Reasons by which a packet is refused for its key: its endpoint is closed or gone, nobody is known under the
 * address that a key gives, or what it was built for is not what it is opened with.
 */
export const KEY_REFUSALS = [
  'endpoint-closed',
  'endpoint-unknown',
  'unknown-next-hop',
  'forward-keyless',
  'point-invalid',
  'mac-mismatch',
  'body-mac-mismatch',
  'payload-malformed',
  'reply-malformed',
] as const;

/** What is no loss: packets and mails that went their way. All else in the counts is a drop or a delay. */
const WELL = [
  'ack',
  'cover',
  'delivered',
  'forward',
  'fragment',
  'mail-prepared',
  'mail-repeat',
  'mail-stored',
  'reply',
  'sent-again',
  'sent-cover',
  'sent-fragment',
  'sent-loop',
] as const;

/** What each run of a node has counted, as far as its log says: all of it where it was stopped politely. */
export function countsByRun({ mixnet }: RealMixnet, name: string): readonly Counts[] {
  const runs: Counts[] = [];
  for (const line of readFileSync(mixnet.logOf(name), 'utf8').split('\n')) {
    if (/"msg":"(Mix|Gateway) runs"/.test(line)) runs.push({});
    if (line.includes('"counts":') && runs.length > 0) {
      runs[runs.length - 1] = (JSON.parse(line) as { counts: Counts }).counts;
    }
  }
  return runs;
}

/** All runs together. */
export function countsOf(real: RealMixnet, name: string): Counts {
  const sums = new Map<string, number>();
  for (const [what, times] of countsByRun(real, name).flatMap((run) => Object.entries(run))) {
    sums.set(what, (sums.get(what) ?? 0) + times);
  }
  return Object.fromEntries(sums);
}

/** What was refused for its key, and how often; empty where nothing was. */
export function keyRefusals(counts: Counts): Counts {
  return only(counts, (name) => (KEY_REFUSALS as readonly string[]).includes(name));
}

/** Everything that did not go its way. */
export function drops(counts: Counts): Counts {
  return only(counts, (name) => !(WELL as readonly string[]).includes(name));
}

function only(counts: Counts, isWanted: (name: string) => boolean): Counts {
  return Object.fromEntries(Object.entries(counts).filter(([name]) => isWanted(name)));
}
