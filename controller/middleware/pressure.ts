/**
 * Refuses before reading a body what storage could not keep (design §11): messages from the first mark
 * on, everything new from the second. What removes goes on, so that it gets better by itself.
 */
import type { Middleware } from 'koa';
import { PanoramixError } from '../../src/errors.ts';
import type { ControllerStore } from '../context.ts';

/** 503 `storage-pressure` for POST and PATCH while storage is nearly full. */
export function pressure(store: ControllerStore): Middleware {
  return async (ctx, next) => {
    if (ctx.method === 'POST' || ctx.method === 'PATCH') {
      const state = store.pressure();
      // Routes do not look at upper and lower case either.
      const isMessage = /^\/panoramix\/messages\/?$/i.test(ctx.path);
      if (state === 'settle-only' || (state === 'entry-closed' && isMessage)) {
        throw new PanoramixError('storage-pressure', `storage is ${state}`);
      }
    }
    await next();
  };
}
