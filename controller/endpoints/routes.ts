/** `/endpoints`, and `/endpoint/ID` as in D4.2 §6.4.2: open one, change its status, read them. */
import { Router } from '@koa/router';
import { endpointCreate, endpointUpdate } from '../../src/api/endpoint.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { type Agreed, type Applied, carryOut } from '../decisions.ts';
import { filtered } from '../filter.ts';
import { answerList } from '../lists.ts';
import type { Boxes } from '../messages/routes.ts';
import { queryOf, readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { readPeer } from '../peers/store.ts';
import type { EndpointData, EndpointUpdate } from '../../src/api/endpoint.ts';
import type { RequestInfo } from '../../src/api/signed.ts';
import { changeStatus, type Endpoint, endpointView, openEndpoint } from './rules.ts';
import { openChange, readEndpoint, readEndpoints, statusChange } from './store.ts';

const ONE = ['/endpoints/:id', '/endpoint/:id'];

/** Routes under `/panoramix`. */
export function endpointRoutes(context: ControllerContext, boxes: Boxes): Router {
  const { documents, now } = context;
  const router = new Router();

  router.post('/endpoints', async (ctx) => {
    const request = await signedRequest(ctx, context, 'endpoint', 'create');
    const data = shaped(endpointCreate, request.data);
    const answer = await carryOut(context, request, async (agreed) => {
      const peer = (await readPeer(documents, data.peer_id)).value;
      if (peer === null) throw new PanoramixError('peer-unknown', 'no such id');
      const before = await readEndpoint(documents, data.endpoint_id);
      const endpoint = ruled(openEndpoint(data, peer.owners, agreed));
      if (before.value !== null) throw new PanoramixError('endpoint-exists', 'this id');
      const change = openChange(documents, before, endpoint, now());
      return { change, answer: endpointView(endpoint, null), keep: false };
    });
    ctx.status = 201;
    ctx.body = { data: answer };
  });

  router.patch(ONE, async (ctx) => {
    const request = await signedRequest(ctx, context, 'endpoint', 'partial_update');
    const data = shaped(endpointUpdate, request.data);
    if (data.endpoint_id !== ctx.params['id']) {
      throw new PanoramixError('request-malformed', 'path and data name different endpoints');
    }
    const answer = await carryOut(context, request, (agreed) =>
      applyStatus(context, boxes, data, request.info, agreed),
    );
    ctx.body = { data: answer };
  });

  router.get('/endpoints', async (ctx) => {
    const query = queryOf(ctx);
    await answerList(ctx, filtered(readEndpoints(documents), publicView, query));
  });

  router.get(ONE, async (ctx) => {
    const id = ctx.params['id'] ?? '';
    const { value } = await readEndpoint(documents, id);
    if (value === null) throw new PanoramixError('endpoint-unknown', 'no such id');
    const reader = readerOf(ctx, context);
    const isOwner = reader !== null && value.owners.includes(reader);
    const lastId = isOwner ? (await boxes.messages.position(id)).last : null;
    ctx.body = { data: endpointView(value, lastId) };
  });

  return router;
}

function publicView(endpoint: Endpoint): EndpointData {
  return endpointView(endpoint, null);
}

async function applyStatus(
  { documents, now }: ControllerContext,
  { messages }: Boxes,
  data: EndpointUpdate,
  info: RequestInfo,
  agreed: Agreed,
): Promise<Applied> {
  const id = data.endpoint_id;
  const before = await readEndpoint(documents, id);
  if (before.value === null) throw new PanoramixError('endpoint-unknown', 'no such id');
  const position = await messages.position(id);
  const closing = data.status === 'CLOSED' || data.status === 'PROCESSED';
  const inbox = closing
    ? await messages.inbox(id, position)
    : { inboxHash: position.hash, lastMessageId: position.last };
  const endpoint = ruled(changeStatus(before.value, data, info, agreed, inbox, position.released));
  const change = statusChange(documents, before, endpoint, now());
  return {
    change: {
      ...change,
      fields: closing ? messages.unmoved(id, position) : [],
      remove: data.status === 'PROCESSED' ? messages.keys(id) : [],
    },
    answer: endpointView(endpoint, null),
    keep: false,
  };
}
