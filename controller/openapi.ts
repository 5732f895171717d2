/**
 * The OpenAPI document: served, and written beside this file, where it is read without a controller.
 * `node controller/openapi.ts` writes it anew after the schemas in src/api have changed.
 */
import { writeFileSync } from 'node:fs';
import { Router } from '@koa/router';
import { openApiDocument } from '../src/api/openapi.ts';

/** Where it is written. */
export const OPENAPI_FILE = new URL('openapi.json', import.meta.url);

/** `/panoramix/openapi.json`. */
export function openApiRoutes(): Router {
  const text = JSON.stringify(openApiDocument());
  const router = new Router();
  router.get(['/panoramix/openapi.json', '/openapi.json'], (ctx) => {
    ctx.type = 'application/json';
    ctx.body = text;
  });
  return router;
}

if (import.meta.main)
  writeFileSync(OPENAPI_FILE, `${JSON.stringify(openApiDocument(), null, 2)}\n`);
