/**
 * Problem documents (RFC 9457): how the controller says no. `reason` is the name that log, metric and
 * test use; the text is generic.
 */
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../errors.ts';

/** Media type of a problem document. */
export const PROBLEM_TYPE = 'application/problem+json';

/** A problem document of ours. */
export const problemDocument = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  /** A row of `ERRORS`. */
  reason: z.string(),
});
export type ProblemDocument = z.output<typeof problemDocument>;

/** The document for a reason. */
export function problemOf(reason: ErrorCode): ProblemDocument {
  const { http, text } = ERRORS[reason];
  return { type: `urn:panoramix:problem:${reason}`, title: text, status: http, reason };
}

/** The reason in an answer's body, where it is a problem document with a reason that we know. */
export function reasonOf(body: unknown): ErrorCode | null {
  const parsed = problemDocument.safeParse(body);
  if (!parsed.success || !Object.hasOwn(ERRORS, parsed.data.reason)) return null;
  return parsed.data.reason as ErrorCode;
}
