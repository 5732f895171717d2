/**
 * What a capture shows besides the rhythm of packets: everything that nodes ask of controllers, by who
 * asks whom for what, with lengths of requests and answers. None of it may hang on mail either.
 */
import type { CapturedRun } from './capture.ts';
import type { DescribedRun } from './permutation.ts';
import type { SeenExchange } from './recorder.ts';

/** All kinds of requests in some runs, sorted: who, what, to whom. */
export function requestKinds(runs: readonly CapturedRun[]): string[] {
  return [...new Set(runs.flatMap(({ exchanges }) => exchanges.map(kindOf)))].toSorted();
}

/** For each kind the number of requests in a run, and the mean lengths of request and answer. */
export function describeRequests(runs: readonly CapturedRun[]): {
  readonly names: string[];
  readonly rows: DescribedRun[];
} {
  const kinds = requestKinds(runs);
  return {
    names: kinds.flatMap((kind) => [`count ${kind}`, `bytes ${kind}`, `answer ${kind}`]),
    rows: runs.map(({ hasMail, exchanges }) => ({
      hasMail,
      columns: kinds.flatMap((kind) => {
        const ofKind = exchanges.filter((exchange) => kindOf(exchange) === kind);
        return [
          ofKind.length,
          mean(ofKind.map(({ bytes }) => bytes)),
          mean(ofKind.map(({ answerBytes }) => answerBytes)),
        ];
      }),
    })),
  };
}

/** How often each length occurs. */
export function lengthsOf(
  exchanges: readonly SeenExchange[],
  length: 'bytes' | 'answerBytes',
): Map<number, number> {
  const counts = new Map<number, number>();
  for (const exchange of exchanges) {
    counts.set(exchange[length], (counts.get(exchange[length]) ?? 0) + 1);
  }
  return counts;
}

function kindOf({ by, what, to }: SeenExchange): string {
  return `${by.slice(0, 8)} ${what} ${to}`;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
