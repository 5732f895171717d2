/**
 * `/peers`: register a key, found a combined peer, change it, read both (D4.2 §6.3), and the directory of
 * a mixnet, `<mix-net URL>nodes.json` (design §8).
 */
import { Router } from '@koa/router';
import { peerCreate, peerUpdate } from '../../src/api/peer.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { carryOut } from '../decisions.ts';
import { queryOf, shaped, signedRequest } from '../middleware/signed.ts';
import { filtered } from '../filter.ts';
import { answerList, answerPieces } from '../lists.ts';
import { readMirrored } from '../mirror/store.ts';
import { createPeer, peerView, updatePeer } from './rules.ts';
import { nodesPieces, peerChange, readMixnets, readPeer, readPeers } from './store.ts';

/** Routes under `/panoramix`. */
export function peerRoutes(context: ControllerContext): Router {
  const { documents, primitives, now } = context;
  const router = new Router();

  router.post('/peers', async (ctx) => {
    const request = await signedRequest(ctx, context, 'peer', 'create');
    const data = shaped(peerCreate, request.data);
    const answer = await carryOut(context, request, async (agreed) => {
      const before = await readPeer(documents, data.key_id);
      const peer = ruled(createPeer(primitives, data, agreed));
      if (before.value !== null) throw new PanoramixError('peer-exists', 'by another consensus');
      return {
        change: peerChange(documents, before, peer, agreed.record, now()),
        answer: peerView(peer),
        keeper: { name: `peer:${data.key_id}`, forGood: true },
      };
    });
    ctx.status = 201;
    ctx.body = { data: answer };
  });

  router.patch('/peers/:id', async (ctx) => {
    const request = await signedRequest(ctx, context, 'peer', 'partial_update');
    const data = shaped(peerUpdate, request.data);
    if (data.peer_id !== ctx.params['id']) {
      throw new PanoramixError('request-malformed', 'path and data name different peers');
    }
    const answer = await carryOut(context, request, async (agreed) => {
      const before = await readPeer(documents, data.peer_id);
      if (before.value === null) throw new PanoramixError('peer-unknown', 'no such id');
      const peer = ruled(updatePeer(primitives, before.value, data, request.info, agreed));
      const change = peerChange(documents, before, peer, agreed.record, now());
      const keeper =
        data.log === undefined ? null : { name: `peer:${data.peer_id}`, forGood: true };
      return { change, answer: peerView(peer), keeper };
    });
    ctx.body = { data: answer };
  });

  router.get('/peers', async (ctx) => {
    const query = queryOf(ctx);
    await answerList(ctx, filtered(readPeers(documents), peerView, query));
  });

  router.get('/peers/:id', async (ctx) => {
    ctx.body = { data: peerView(await knownPeer(context, ctx.params['id'] ?? '')) };
  });

  router.get('/peers/:id/nodes.json', async (ctx) => {
    const id = ctx.params['id'] ?? '';
    ctx.set('Cache-Control', 'no-cache');
    if ((await readPeer(documents, id)).value === null) {
      const mirrored = await readMirrored(documents, id);
      if (mirrored.value !== null) {
        ctx.type = 'application/json';
        ctx.body = mirrored.value.text;
        return;
      }
    }
    const peer = await knownPeer(context, id);
    if (peer.data.owners.length === 0) throw new PanoramixError('mixnet-unknown', 'no owners');
    await answerPieces(ctx, nodesPieces(documents, peer));
  });

  return router;
}

/** `/nodes.json` leads to the directory where this controller serves one mixnet. */
export function nodesRedirect(context: ControllerContext): Router {
  const router = new Router();
  router.get(['/nodes.json', '/panoramix/nodes.json'], async (ctx) => {
    const [only, another] = await readMixnets(context.documents);
    if (only === undefined || another !== undefined) {
      throw new PanoramixError('mixnet-unknown', 'there is not one mixnet here');
    }
    ctx.redirect(`/panoramix/peers/${only}/nodes.json`);
  });
  return router;
}

async function knownPeer({ documents }: ControllerContext, id: string) {
  const { value } = await readPeer(documents, id);
  if (value === null) throw new PanoramixError('peer-unknown', 'no such id');
  return value;
}
