/** What a run has found, in a form that crosses threads and can be had again from its input. */

export type FindingKind =
  /** Something that must hold does not. */
  | 'violation'
  /** Thrown, and no named reason. */
  | 'exception'
  /** More CPU time than one input may cost. */
  | 'slow'
  /** No end in sight. */
  | 'hang'
  /** More memory after many inputs than before, or more than there is. */
  | 'memory';

export interface Finding {
  readonly target: string;
  readonly kind: FindingKind;
  readonly what: string;
  /** The first line of ours in the stack; empty where there is none. */
  readonly where: string;
  /** The input, made as small as it would go: base64. */
  readonly input: string;
  /** Which input of the run it was, and the run's seed. */
  readonly run: number;
  readonly seed: number;
}

/** Equal for what is most likely the same fault. */
export function signatureOf({ target, kind, what, where }: Omit<Finding, 'input'>): string {
  // Numbers and quoted values differ from input to input.
  const words = what.replace(/\d+|"[^"]*"|'[^']*'/g, '#').slice(0, 120);
  return `${target} ${kind} ${words} ${where.replace(/:\d+$/, '')}`;
}

/** The first line of ours in a stack. */
export function placeOf(thrown: unknown): string {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : '';
  return /\/((?:src|filters|controller)\/[\w./-]+\.ts:\d+):\d+/.exec(stack)?.[1] ?? '';
}
