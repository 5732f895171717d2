/**
 * Which code of ours an input runs, by V8's precise coverage through the inspector: an input that reaches
 * what none has reached before joins the corpus. Taking it costs about a millisecond, so inputs are
 * asked in batches, and one by one only where a batch has found something.
 */
import { Session, type Profiler } from 'node:inspector';

/** What has been reached so far. */
export interface Coverage {
  /** Takes what ran since the last call; whether some of it is new, and `mark` to know it from now on. */
  take(): { readonly isNew: boolean; mark(): void };
  /** Characters of source reached in all. */
  readonly reached: number;
  close(): void;
}

/**
 * Starts to count.
 * @param counts which files count, by their URL
 */
export function startCoverage(counts: (url: string) => boolean): Coverage {
  const session = new Session();
  session.connect();
  const ask = (method: string, parameters = {}): unknown => {
    let answer: unknown;
    // In process, `post` calls back before it returns.
    session.post(method, parameters, (error, result) => {
      if (error) throw new Error(error.message);
      answer = result;
    });
    return answer;
  };
  ask('Profiler.enable');
  ask('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const files = new Map<string, Uint8Array>();
  let reached = 0;
  return {
    take() {
      const taken = ask('Profiler.takePreciseCoverage');
      const { result } = taken as Profiler.TakePreciseCoverageReturnType;
      const ours = result.filter(({ url }) => counts(url));
      return {
        isNew: ours.some((file) => countNew(files, file, false) > 0),
        mark() {
          for (const file of ours) reached += countNew(files, file, true);
        },
      };
    },
    get reached() {
      return reached;
    },
    close() {
      session.disconnect();
    },
  };
}

/** How many characters of a file ran that had not been marked before; `mark` marks them. */
function countNew(
  files: Map<string, Uint8Array>,
  { url, functions }: Profiler.ScriptCoverage,
  mark: boolean,
): number {
  const file = fileOf(files, url, functions);
  let added = 0;
  for (const { ranges } of functions) {
    const outer = ranges[0];
    if (outer === undefined) continue;
    const { startOffset: from, endOffset: to } = outer;
    // Inner ranges come after outer ones and say better what ran.
    const ran = new Uint8Array(to - from);
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(count > 0 ? 1 : 0, startOffset - from, endOffset - from);
    }
    for (let i = 0; i < ran.length; i++) {
      if (ran[i] !== 1 || file[from + i] === 1) continue;
      added++;
      if (mark) file[from + i] = 1;
    }
  }
  return added;
}

/** The marks of a file, made longer where a function ends behind them. */
function fileOf(
  files: Map<string, Uint8Array>,
  url: string,
  functions: readonly Profiler.FunctionCoverage[],
): Uint8Array {
  const known = files.get(url) ?? new Uint8Array();
  const end = functions.reduce((most, { ranges }) => Math.max(most, ranges[0]?.endOffset ?? 0), 0);
  if (known.length >= end) return known;
  const file = new Uint8Array(end);
  file.set(known);
  files.set(url, file);
  return file;
}
