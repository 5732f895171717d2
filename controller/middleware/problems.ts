/**
 * The outermost middleware: whatever is thrown becomes a problem document (RFC 9457), and the log names
 * the rule that refused. No line holds an id: a negotiation's is a secret, a peer's says who talks.
 */
import type { Context, Middleware } from 'koa';
import { problemOf, PROBLEM_TYPE } from '../../src/api/problem.ts';
import { asPanoramixError, PanoramixError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';

/** Refusals that are logged in one second; a hostile peer shall not fill the disk with them. */
const LINES_PER_SECOND = 10;
/** A full endpoint drains in seconds, a full storage in minutes; an empty bucket of limits.ts fills at once. */
const RETRY_AFTER_S = {
  'endpoint-full': 2,
  'storage-pressure': 30,
  'address-too-fast': 1,
  'key-too-fast': 1,
  'endpoint-too-fast': 1,
  default: 5,
} as const;

/** Answers for everything that goes wrong further in. */
export function problems(log: Log, now: () => number): Middleware {
  const quota = { second: 0, lines: 0, suppressed: 0 };
  return async (ctx, next) => {
    let path = '';
    try {
      path = pathOf(ctx);
      ctx.state['path'] = path;
      await next();
    } catch (thrown) {
      const error = asPanoramixError(thrown);
      const problem = problemOf(error.code);
      ctx.state['reason'] = error.code;
      ctx.status = problem.status;
      ctx.set('Cache-Control', 'no-store');
      if (problem.status === 503 || problem.status === 429) {
        const waits: Readonly<Record<string, number>> = RETRY_AFTER_S;
        ctx.set('Retry-After', String(waits[error.code] ?? RETRY_AFTER_S.default));
      }
      // What of a body is still on its way is not waited for.
      if (!ctx.req.complete) ctx.set('Connection', 'close');
      ctx.body = JSON.stringify(problem);
      ctx.type = PROBLEM_TYPE;
      // What was wrong, exactly: for the log, not for who asked.
      const rule = error.message;
      const fields = { reason: error.code, rule, method: ctx.method, resource: resourceOf(path) };
      if (error.code === 'unexpected') {
        log.error({ ...fields, error: thrown }, 'a request met a bug');
      } else if (isWithin(quota, Math.floor(now() / 1000))) {
        log.info({ ...fields, suppressed: quota.suppressed }, 'refused a request');
        quota.suppressed = 0;
      }
    }
  };
}

/** A request's target may be a whole URL (RFC 9112 §3.2.2), and then one that is none. */
function pathOf(ctx: Context): string {
  try {
    return ctx.path;
  } catch (error) {
    throw new PanoramixError('path-unknown', 'no URL', error);
  }
}

/** Of `/panoramix/RESOURCE/…`, for the log and for counters: never an id. */
export function resourceOf(path: string): string {
  const name = path.split('/')[2] ?? '';
  return /^[a-z]{1,16}$/.test(name) ? name : 'other';
}

function isWithin(
  quota: { second: number; lines: number; suppressed: number },
  second: number,
): boolean {
  if (quota.second !== second) {
    quota.second = second;
    quota.lines = 0;
  }
  quota.lines++;
  if (quota.lines <= LINES_PER_SECOND) return true;
  quota.suppressed++;
  return false;
}
