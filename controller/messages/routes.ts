/**
 * `/messages`: post one or a list, list a box with long poll, release what was collected (D4.2 §6.5,
 * design §7).
 */
import { Router } from '@koa/router';
import type { Context } from 'koa';
import {
  type Box,
  type MessageCreate,
  messageCreate,
  messageCreateList,
  messageQuery,
  releaseQuery,
} from '../../src/api/message.ts';
import { problemOf } from '../../src/api/problem.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { type Endpoint, isBatch } from '../endpoints/rules.ts';
import { queryOf, readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { readPeer, RegisteredPeers } from '../peers/store.ts';
import type { Boxes } from './boxes.ts';
import { type Outcome, postMessages } from './posting.ts';
import { mayRead } from './rules.ts';

/** Routes under `/panoramix`. */
export function messageRoutes(context: ControllerContext, boxes: Boxes): Router {
  const registered = new RegisteredPeers(context.documents);
  const router = new Router();

  router.post('/messages', async (ctx) => {
    const request = await signedRequest(ctx, context, 'message', 'create');
    const { data, signer } = request;
    const post = (messages: readonly MessageCreate[]): Promise<Outcome[]> =>
      postMessages(context, boxes, registered, signer, messages);
    if (Array.isArray(data)) {
      const outcomes = await post(shaped(messageCreateList, data));
      // As a single POST: 201 only where all are stored.
      ctx.status = outcomes.every(({ ok }) => ok) ? 201 : 200;
      ctx.body = outcomes.map(answerTo);
      return;
    }
    const [outcome] = await post([shaped(messageCreate, data)]);
    if (outcome?.ok !== true) {
      throw new PanoramixError(outcome?.reason ?? 'unexpected', 'refused by rule');
    }
    ctx.status = 201;
    ctx.body = { data: outcome.receipt };
  });

  router.get('/messages', async (ctx) => {
    const query = shaped(messageQuery, queryOf(ctx), 'query-malformed');
    const { endpoint_id, box, after, limit, wait, recipient = null } = query;
    const { endpoint, isOwner } = await readable(ctx, context, boxes, endpoint_id, box, recipient);
    const gone = new AbortController();
    ctx.res.once('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, boxes.closing]);
    const found = await boxes.arrivals.until(endpoint_id, isOwner, wait, signal, async () => {
      if (isBatch(endpoint)) {
        return await boxes.batches.list(endpoint_id, box, after, limit, recipient);
      }
      if (recipient !== null && recipient !== endpoint.data.peer_id) return [];
      return await boxes.messages.list(endpoint_id, box, after, limit);
    });
    ctx.set('Cache-Control', 'no-store');
    ctx.body = found.map((data) => ({ data }));
  });

  router.delete('/messages', async (ctx) => {
    const query = shaped(releaseQuery, queryOf(ctx), 'query-malformed');
    const { endpoint_id, box } = query;
    const { endpoint } = await readable(ctx, context, boxes, endpoint_id, box, null);
    // A batch's boxes belong to all owners: what is in them changes by their consensus alone.
    if (isBatch(endpoint)) throw new PanoramixError('method-refused', 'for a batch endpoint');
    await boxes.messages.release(endpoint_id, query.up_to);
    ctx.status = 204;
  });

  return router;
}

function answerTo(outcome: Outcome): object {
  return outcome.ok ? { data: outcome.receipt } : { problem: problemOf(outcome.reason) };
}

/** The endpoint, where who asks may read this box of it. */
async function readable(
  ctx: Context,
  context: ControllerContext,
  { endpoints }: Boxes,
  endpointId: string,
  box: Box,
  recipient: string | null,
): Promise<{ readonly endpoint: Endpoint; readonly isOwner: boolean }> {
  const reader = readerOf(ctx, context);
  // Owners change only where an id is used again, long after it has been forgotten here.
  const { value } = await endpoints.read(endpointId);
  if (value === null) throw new PanoramixError('endpoint-unknown', 'no such id');
  const isOwner = reader !== null && value.owners.includes(reader);
  const recipientOwners = isOwner || recipient === null ? [] : await ownersOf(context, recipient);
  ruled(mayRead(value, box, reader, recipientOwners));
  return { endpoint: value, isOwner };
}

/** A combined peer's owners; a key that is registered nowhere is its own. */
async function ownersOf({ documents }: ControllerContext, peerId: string) {
  return (await readPeer(documents, peerId)).value?.owners ?? [peerId];
}
