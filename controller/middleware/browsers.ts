/**
 * Cross-origin rules (Fetch standard, CORS): the client library runs in browsers, on pages of any
 * origin. Nothing here goes by cookies, every right by a signature, so any origin may ask.
 */
import type { Middleware } from 'koa';

/** Lets pages of other origins read answers and send signed requests. */
export function browsers(): Middleware {
  return async (ctx, next) => {
    ctx.set('Access-Control-Allow-Origin', '*');
    if (ctx.method !== 'OPTIONS' || ctx.get('Access-Control-Request-Method') === '') {
      ctx.set('Access-Control-Expose-Headers', 'Date, Retry-After');
      await next();
      return;
    }
    ctx.set('Access-Control-Allow-Methods', 'GET, POST, PATCH, DELETE');
    ctx.set('Access-Control-Allow-Headers', 'Content-Type, Signature, Signature-Input');
    ctx.set('Access-Control-Max-Age', '86400');
    ctx.status = 204;
  };
}
