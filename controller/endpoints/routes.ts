/** `/endpoints`, and `/endpoint/ID` as in D4.2 §6.4.2: open one, change its status, read them. */
import { Router } from '@koa/router';
import { endpointCreate, endpointUpdate } from '../../src/api/endpoint.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { type Agreed, type Applied, carryOut } from '../decisions.ts';
import type { Change } from '../documents.ts';
import { filtered } from '../filter.ts';
import { answerList } from '../lists.ts';
import type { Boxes } from '../messages/boxes.ts';
import { queryOf, readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { readPeer } from '../peers/store.ts';
import type { EndpointData, EndpointUpdate } from '../../src/api/endpoint.ts';
import type { RequestInfo } from '../../src/api/signed.ts';
import { changeBatch, MOVES } from './cycle.ts';
import {
  changeContinuous,
  type Endpoint,
  endpointView,
  enterStatus,
  isBatch,
  openEndpoint,
} from './rules.ts';
import { keeperOf, openChange, readEndpoint, readEndpoints, statusChange } from './store.ts';

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
      return {
        change,
        answer: endpointView(endpoint, null),
        keeper: { name: keeperOf(data.endpoint_id), forGood: false },
      };
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
    boxes.arrivals.notify(data.endpoint_id);
    ctx.body = { data: answer };
  });

  router.get('/endpoints', async (ctx) => {
    const query = queryOf(ctx);
    const endpoints = readEndpoints(documents, query['peer_id'], query['status']);
    await answerList(ctx, filtered(endpoints, publicView, query));
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
  context: ControllerContext,
  boxes: Boxes,
  data: EndpointUpdate,
  info: RequestInfo,
  agreed: Agreed,
): Promise<Applied> {
  const { documents, now } = context;
  const before = await readEndpoint(documents, data.endpoint_id);
  if (before.value === null) throw new PanoramixError('endpoint-unknown', 'no such id');
  const entered = ruled(enterStatus(before.value, data, info, agreed));
  const { endpoint, moved } = isBatch(entered)
    ? await batchStatus(context, boxes, before.value, entered, data)
    : await continuousStatus(boxes, entered, data);
  const change = statusChange(documents, before, endpoint, now());
  return {
    change: { ...change, ...moved },
    answer: endpointView(endpoint, null),
    keeper: { name: keeperOf(data.endpoint_id), forGood: false },
  };
}

/** The endpoint as it shall be, and what of its boxes changes with it. */
interface Moved {
  readonly endpoint: Endpoint;
  readonly moved: Change;
}

async function continuousStatus(
  { messages }: Boxes,
  entered: Endpoint,
  data: EndpointUpdate,
): Promise<Moved> {
  const id = data.endpoint_id;
  const position = await messages.position(id);
  const closing = data.status === 'CLOSED' || data.status === 'PROCESSED';
  const inbox = closing
    ? await messages.inbox(id, position)
    : { inboxHash: position.hash, lastMessageId: position.last };
  const endpoint = ruled(changeContinuous(entered, data, inbox, position.released));
  const fields = closing ? messages.unmoved(id, position) : [];
  const remove = data.status === 'PROCESSED' ? messages.keys(id) : [];
  return { endpoint, moved: { fields, remove } };
}

async function batchStatus(
  { primitives }: ControllerContext,
  { batches }: Boxes,
  before: Endpoint,
  entered: Endpoint,
  data: EndpointUpdate,
): Promise<Moved> {
  const id = data.endpoint_id;
  const hashes = data.message_hashes ?? [];
  const [from] = MOVES[data.status] ?? [];
  const ids = from === undefined ? [] : await batches.idsOf(id, from, hashes);
  const endpoint = ruled(changeBatch(primitives, entered, data, ids));
  return { endpoint, moved: batches.change(id, before.status, data.status, hashes) };
}
