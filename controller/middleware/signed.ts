/**
 * Who asks: the signed request in a body (design §7), and the signer of a request without one
 * (RFC 9421). Signatures are checked on what was received, before any schema of a resource.
 */
import type { Context } from 'koa';
import type { z } from 'zod';
import { parseStrict } from '../../src/api/canonical.ts';
import { verifyRead } from '../../src/api/http-signature.ts';
import { verifyRequest, type VerifiedRequest } from '../../src/api/signed.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { ControllerContext } from '../context.ts';
import { BODY_BYTES_MAX, readBody } from './body.ts';

/** The request in the body, for one operation on one resource. Throws what is wrong with it. */
export async function signedRequest(
  ctx: Context,
  context: ControllerContext,
  resource: string,
  operation: 'create' | 'partial_update',
): Promise<VerifiedRequest> {
  const body = await readBody(ctx.req, BODY_BYTES_MAX);
  const json = parseStrict(body);
  if (!json.ok) throw new PanoramixError('json-malformed', json.reason);
  const { primitives, catalogUrl, now } = context;
  const verified = verifyRequest(primitives, json.value, { nowMs: now(), catalogUrl });
  if (!verified.ok) throw new PanoramixError(verified.reason, 'the signed request');
  const { info } = verified.request;
  if (info.resource !== resource || info.operation !== operation) {
    throw new PanoramixError('request-malformed', 'info names another operation');
  }
  const isNode = context.nodes.has(verified.request.signer);
  // Messages are counted one by one, where it is known whose endpoint they are for (posting.ts).
  if (!isNode && resource !== 'message' && !context.throttle.allowsKey(verified.request.signer)) {
    throw new PanoramixError('key-too-fast', 'requests of one key');
  }
  const isNew = operation === 'create' && !isNode;
  if (isNew && !(await context.strangers.isLeft())) {
    throw new PanoramixError('storage-pressure', 'strangers have used up their share');
  }
  return verified.request;
}

/** The key that signed a request without a body; null where it is not signed at all. */
export function readerOf(ctx: Context, context: ControllerContext): string | null {
  const fields = { signatureInput: ctx.get('Signature-Input'), signature: ctx.get('Signature') };
  if (fields.signatureInput === '' && fields.signature === '') return null;
  const [path, query] = splitOnce(ctx.req.url ?? '');
  const { primitives, catalogUrl, now } = context;
  // A proxy that serves us below a path takes that path off before it asks us.
  const below = new URL(catalogUrl).pathname.slice(0, -1);
  const target = { method: ctx.method, path: below + path, query: `?${query ?? ''}` };
  const verified = verifyRead(primitives, target, fields, { nowMs: now(), catalogUrl });
  if (!verified.ok) throw new PanoramixError(verified.reason, 'signed reading');
  return verified.signer;
}

/** A part of a request in the shape that the resource asks for. */
export function shaped<T extends z.ZodType>(
  schema: T,
  value: unknown,
  reason: 'request-malformed' | 'query-malformed' = 'request-malformed',
): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join('.') ?? '';
  throw new PanoramixError(reason, `field ${where}`, parsed.error);
}

/** Query parameters, each once. */
export function queryOf(ctx: Context): Record<string, string> {
  const parameters = new URLSearchParams(ctx.querystring);
  const query = Object.fromEntries(parameters);
  if (Object.keys(query).length === parameters.size) return query;
  throw new PanoramixError('query-malformed', 'a parameter twice');
}

function splitOnce(url: string): [string, string | undefined] {
  const at = url.indexOf('?');
  return at === -1 ? [url, undefined] : [url.slice(0, at), url.slice(at + 1)];
}
