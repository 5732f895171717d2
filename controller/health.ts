/**
 * `/health`: whether the controller can do its work, for supervisors and load balancers; and what its operator
 * proposes to who creates a mixnet here, for wizards.
 */
import { Router } from '@koa/router';
import { guarded } from '../src/redis/clients.ts';
import type { ControllerContext } from './context.ts';

/** 200 with the state of storage, or the problem document of `redis-unavailable`. */
export function healthRoutes({ store, proposal }: ControllerContext): Router {
  const router = new Router();
  router.get(['/health', '/panoramix/health'], async (ctx) => {
    await guarded('ping', () => store.redis.ping());
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { status: 'ok', storage: store.pressure(), ...(proposal && { proposal }) };
  });
  return router;
}
