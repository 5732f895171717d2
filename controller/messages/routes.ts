/**
 * `/messages`: post one, list a box with long poll, release what was collected (D4.2 §6.5, design §7).
 * Posting is the mixnet's hot path: one parse, one canonical text per hash, one round trip to Redis.
 */
import { Router } from '@koa/router';
import type { Context } from 'koa';
import {
  MESSAGE_TEXT_LENGTH_MAX,
  messageCreate,
  messageHash,
  messageQuery,
  releaseQuery,
} from '../../src/api/message.ts';
import type { MessageCreate } from '../../src/api/message.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import type { Document } from '../documents.ts';
import type { Endpoint } from '../endpoints/rules.ts';
import type { EndpointCache } from '../endpoints/store.ts';
import { queryOf, readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { RegisteredPeers } from '../peers/store.ts';
import type { Arrivals } from './arrivals.ts';
import { mayPost, mayRead, takesMessages } from './rules.ts';
import type { MessageStore } from './store.ts';

/** A text and what is around it. */
const BODY_BYTES_MAX = MESSAGE_TEXT_LENGTH_MAX + 8 * 1024;
/** Times that an endpoint may change while one message is being posted. */
const STALE_MAX = 8;

/** What the routes of messages share with those of endpoints. */
export interface Boxes {
  readonly messages: MessageStore;
  readonly endpoints: EndpointCache;
  readonly arrivals: Arrivals;
  /** Aborts when the controller closes: long polls end at once. */
  readonly closing: AbortSignal;
}

/** Routes under `/panoramix`. */
export function messageRoutes(context: ControllerContext, boxes: Boxes): Router {
  const registered = new RegisteredPeers(context.documents);
  const router = new Router();

  router.post('/messages', async (ctx) => {
    const request = await signedRequest(ctx, context, 'message', 'create', BODY_BYTES_MAX);
    const message = shaped(messageCreate, request.data);
    const hash = messageHash(context.primitives, message);
    await post(context, boxes, registered, request.signer, message, hash);
    const { endpoint_id, box } = message;
    ctx.status = 201;
    ctx.body = { data: { endpoint_id, box, message_hash: hash } };
  });

  router.get('/messages', async (ctx) => {
    const query = shaped(messageQuery, queryOf(ctx), 'query-malformed');
    await checkReader(ctx, context, boxes, query.endpoint_id);
    const gone = new AbortController();
    ctx.res.once('close', () => gone.abort());
    const { endpoint_id, box, after, limit, wait } = query;
    const signal = AbortSignal.any([gone.signal, boxes.closing]);
    const found = await boxes.arrivals.until(endpoint_id, wait, signal, () =>
      boxes.messages.list(endpoint_id, box, after, limit),
    );
    ctx.set('Cache-Control', 'no-store');
    ctx.body = found.map((data) => ({ data }));
  });

  router.delete('/messages', async (ctx) => {
    const query = shaped(releaseQuery, queryOf(ctx), 'query-malformed');
    await checkReader(ctx, context, boxes, query.endpoint_id);
    await boxes.messages.release(query.endpoint_id, query.up_to);
    ctx.status = 204;
  });

  return router;
}

async function post(
  context: ControllerContext,
  { endpoints, messages, arrivals }: Boxes,
  registered: RegisteredPeers,
  signer: string,
  message: MessageCreate,
  hash: string,
): Promise<void> {
  const id = message.endpoint_id;
  for (let attempt = 0; attempt < STALE_MAX; attempt++) {
    const endpoint = await known(endpoints, id, attempt > 0);
    const isNode = context.nodes.has(signer);
    const isPeer = isNode || (await registered.has(signer));
    const { backlogMax } = ruled(
      mayPost(endpoint.value, message, { keyData: signer, isNode, isPeer }),
    );
    const open = takesMessages(endpoint.value);
    if (!open.ok) {
      // The first answer was 201, so a repeat gets it too: the poster must not send it another way.
      if (await messages.hasSeen(id, hash)) return;
      // CLOSED is for good; FULL may be over since we last looked.
      if (open.reason === 'endpoint-full' && attempt === 0) continue;
      throw new PanoramixError(open.reason, 'the endpoint');
    }
    const posted = await messages.post(endpoint, message, hash, backlogMax);
    if (posted === 'stored') arrivals.notify(id);
    if (posted === 'stored' || posted === 'repeat') return;
    if (posted === 'full') throw new PanoramixError('endpoint-full', 'its backlog');
  }
  throw new PanoramixError('redis-unavailable', 'the endpoint changes all the time');
}

async function checkReader(
  ctx: Context,
  context: ControllerContext,
  { endpoints }: Boxes,
  endpointId: string,
): Promise<void> {
  const reader = readerOf(ctx, context);
  // Owners change only where an id is used again, long after it has been forgotten here.
  const { value } = await known(endpoints, endpointId, false);
  ruled(mayRead(value, reader));
}

async function known(
  endpoints: EndpointCache,
  id: string,
  fresh: boolean,
): Promise<Document<Endpoint> & { readonly value: Endpoint }> {
  const { key, version, value } = await endpoints.read(id, fresh);
  if (value === null) throw new PanoramixError('endpoint-unknown', 'no such id');
  return { key, version, value };
}
