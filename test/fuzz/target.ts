/**
 * What is fuzzed: a parser of ours with the inputs to begin with, how they are changed, and what must hold
 * for every one of them, besides that nothing is thrown, nothing hangs and nothing grows.
 */
import { PanoramixError } from '../../src/errors.ts';
import type { Mutation } from './mutation.ts';

export interface Target {
  /** Valid inputs, and hostile ones that once were found: each is run as it is before any is changed. */
  readonly seeds: readonly Uint8Array[];
  /** The kinds of changes that suit it. */
  readonly mutations: readonly Mutation[];
  /** Words that mean something to the parser; put in, and over what is there. */
  readonly dictionary: readonly string[];
  /** Longest input that is tried. */
  readonly inputBytesMax: number;
  /** Most CPU time that one input may cost, ms; default 150 ms. */
  readonly cpuMsMax?: number;
  /** Runs of the short form in `npm test`, with what it takes in a second. */
  readonly shortRuns: number;
  /** Throws where something does not hold. */
  run(input: Uint8Array): void | Promise<void>;
  close?(): Promise<void>;
}

/** Opens a target; `scratch` is a folder of its own that is removed with it. */
export type OpenTarget = (scratch: string) => Target | Promise<Target>;

/** Something that must always hold does not. */
export class Violation extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'Violation';
  }
}

/**
 * Says what must hold.
 * @param what the same words for the same fault: findings are told apart by them
 */
export function hold(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Violation(what);
}

/** What `read` gives; null where it refuses by a named reason. Anything else that is thrown is a finding. */
export function namedOrNull<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof PanoramixError && thrown.code !== 'unexpected') return null;
    throw thrown;
  }
}

/** Whether a text holds what would end a line of a dialogue, or worse: control characters, tab apart. */
export function hasControls(text: string): boolean {
  return Array.from(text).some(
    (character) => character !== '\t' && (character < ' ' || character === '\x7f'),
  );
}

/** A text as bytes, one for each character up to U+00FF. */
export function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** The text that bytes spell in UTF-8, whatever they are. */
export function lossyText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
