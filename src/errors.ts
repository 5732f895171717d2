/**
 * The one error class, and the one table from which SMTP reply, HTTP status and retry come.
 * A code is a named reason: the same word in log, metric, answer and test. What is not in the
 * table is `unexpected`, and temporary: a bug delays mail, it never loses or bounces it.
 */

interface ErrorRow {
  /** Whether trying again later may succeed. */
  readonly temporary: boolean;
  /** HTTP status where the controller answers with this reason (RFC 9457). */
  readonly http: number;
  /** Enhanced status code without its class digit (RFC 3463 §2); the class follows `temporary`. */
  readonly enhanced: string;
  /** What a peer is told: generic, without addresses, keys or routes. */
  readonly text: string;
}

/** Every reason that code may throw with; rows of one area stand together. */
export const ERRORS = {
  unexpected: { temporary: true, http: 500, enhanced: '3.0', text: 'Unexpected condition' },
  'config-invalid': { temporary: false, http: 500, enhanced: '3.5', text: 'Not configured' },

  'redis-unavailable': {
    temporary: true,
    http: 503,
    enhanced: '3.0',
    text: 'Storage is not available',
  },
  'redis-unsafe': { temporary: false, http: 500, enhanced: '3.5', text: 'Storage would lose mail' },
  'storage-pressure': {
    temporary: true,
    http: 503,
    enhanced: '3.1',
    text: 'Storage is nearly full',
  },

  'controller-unreachable': {
    temporary: true,
    http: 502,
    enhanced: '4.1',
    text: 'Controller does not answer',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** Thrown for I/O that failed and for bugs; never for what a peer may send (that is a value). */
export class PanoramixError extends Error {
  readonly code: ErrorCode;

  /**
   * @param code the reason, a row of `ERRORS`
   * @param detail for the log and the operator: what is wrong, where, and what to do
   * @param cause the error underneath
   */
  constructor(code: ErrorCode, detail: string, cause?: unknown) {
    super(`${code}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = 'PanoramixError';
    this.code = code;
  }

  get temporary(): boolean {
    return ERRORS[this.code].temporary;
  }

  get httpStatus(): number {
    return ERRORS[this.code].http;
  }

  /** Reply line without the message's own text, such as `451 4.3.0 Storage is not available`. */
  get smtpReply(): { readonly code: number; readonly text: string } {
    const row = ERRORS[this.code];
    return row.temporary
      ? { code: 451, text: `4.${row.enhanced} ${row.text}` }
      : { code: 554, text: `5.${row.enhanced} ${row.text}` };
  }
}

/** Any thrown value as a `PanoramixError`; what we do not know is `unexpected`, so temporary. */
export function asPanoramixError(thrown: unknown): PanoramixError {
  if (thrown instanceof PanoramixError) return thrown;
  return new PanoramixError(
    'unexpected',
    thrown instanceof Error ? thrown.message : String(thrown),
    thrown,
  );
}
