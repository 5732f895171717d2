/**
 * Compares what several controllers serve (design §8): each is either serving the directory that this node
 * goes by, or has a named reason, said in the log once and kept for `status`. That one is a little
 * behind, or does not answer, happens every day; after an epoch it is withholding.
 */
import { isTemporary, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoreReason } from './directory-memory.ts';
import { SERVING, type ControllerState, type DirectoryReport } from './directory-report.ts';

/** What a controller answered, held against what this node has after it. */
export type Found =
  | { readonly kind: 'same'; readonly number: number }
  /** Verified, and lower than what is held. */
  | { readonly kind: 'older'; readonly number: number }
  | { readonly kind: 'refused'; readonly reason: StoreReason | 'answer-malformed' }
  /** No answer, or none that has a directory. */
  | { readonly kind: 'silent'; readonly reason: ErrorCode };

const BEHIND = 'directory-behind';
const WITHHELD = 'directory-withheld';

/** Whether a state needs an operator's eye: all but what passes by itself within an epoch. */
export function isControllerTrouble(state: string): boolean {
  return state !== SERVING && (state === WITHHELD || !isPassing(state));
}

/** States that may pass by themselves. */
function isPassing(state: string): boolean {
  return (
    state === BEHIND ||
    state === WITHHELD ||
    state === 'peer-unknown' ||
    state === 'mixnet-unknown' ||
    state === 'snapshot-missing' ||
    // What it has answered, and is not to be believed, is no failure of its own machine.
    (isTemporary(state) && state !== 'answer-malformed')
  );
}

export class ControllerWatch {
  readonly #report: DirectoryReport;
  readonly #log: Log;

  constructor(report: DirectoryReport, log: Log) {
    this.#report = report;
    this.#log = log;
  }

  /**
   * Notes one answer.
   * @param epochMs time between two snapshots
   */
  note(url: string, found: Found, nowMs: number, epochMs: number): void {
    const before = this.#report.findings.controllers[url] ?? null;
    const state = stateOf(before, found, nowMs, epochMs);
    if (before?.state === state.state && before.number === state.number) return;
    this.#report.noteController(url, state);
    if (before?.state !== state.state) this.#say(url, before?.state ?? null, state.state);
  }

  #say(url: string, before: string | null, state: string): void {
    const fields = { reason: state, source: url };
    if (isControllerTrouble(state)) {
      this.#log.warn(
        { event: 'directory-refused', ...fields },
        'A controller serves a directory that is not to be believed, or withholds it',
      );
    } else if (state !== SERVING) {
      this.#log.debug(
        { event: 'directory-unfetched', ...fields },
        'A controller gave no directory',
      );
    } else if (before !== null && isControllerTrouble(before)) {
      this.#log.info(
        { event: 'directory-served', source: url },
        'A controller serves the directory again',
      );
    }
  }
}

function stateOf(
  before: ControllerState | null,
  found: Found,
  nowMs: number,
  epochMs: number,
): ControllerState {
  const number = before?.number ?? null;
  switch (found.kind) {
    case 'same':
      return since(before, SERVING, Math.max(found.number, number ?? 0), nowMs);
    case 'refused':
      return isPassing(found.reason)
        ? passing(before, found.reason, number, nowMs, epochMs)
        : since(before, found.reason, number, nowMs);
    case 'older':
      // It had a newer one: that it is slow is no excuse any more.
      return number !== null && found.number < number
        ? since(before, 'snapshot-rolled-back', number, nowMs)
        : passing(before, BEHIND, found.number, nowMs, epochMs);
    case 'silent':
      return passing(before, found.reason, number, nowMs, epochMs);
    default:
      return found satisfies never;
  }
}

function since(
  before: ControllerState | null,
  state: string,
  number: number | null,
  nowMs: number,
): ControllerState {
  return { state, number, since_ms: before?.state === state ? before.since_ms : nowMs };
}

function passing(
  before: ControllerState | null,
  reason: string,
  number: number | null,
  nowMs: number,
  epochMs: number,
): ControllerState {
  const sinceMs = before !== null && isPassing(before.state) ? before.since_ms : nowMs;
  const isOver = nowMs - sinceMs > epochMs;
  return { state: isOver ? WITHHELD : reason, number, since_ms: sinceMs };
}
