/**
 * `/peers/ID/meeting`: where the owners of a combined peer look for each other once they have no negotiation
 * left that all of them know: all were away for longer than one is kept, or others own it now. Each says
 * in which he waits; owners alone read it. Nobody has to believe it: what comes of it is signed.
 */
import { Router } from '@koa/router';
import { meetingCreate } from '../../src/api/meeting-place.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { ControllerContext } from '../context.ts';
import { readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { readPeer } from '../peers/store.ts';
import type { Peer } from '../peers/rules.ts';
import type { Document } from '../documents.ts';

type Places = Readonly<
  Record<
    string,
    { readonly negotiation_id: string; readonly number: number; readonly time: string }
  >
>;

/** Routes under `/panoramix`. */
export function meetingRoutes(context: ControllerContext): Router {
  const { documents, now } = context;
  const router = new Router();
  const placesOf = async (mixnetId: string): Promise<Document<Places>> =>
    await documents.read(documents.key('meeting', mixnetId));
  const ownedPeer = async (id: string, owner: string | null): Promise<Peer> => {
    const { value } = await readPeer(documents, id);
    if (value === null) throw new PanoramixError('peer-unknown', 'no such id');
    if (owner === null || !value.owners.includes(owner)) {
      throw new PanoramixError('reader-refused', 'owners alone');
    }
    return value;
  };

  router.post('/peers/:id/meeting', async (ctx) => {
    const request = await signedRequest(ctx, context, 'meeting', 'create');
    const { peer_id: id, ...place } = shaped(meetingCreate, request.data);
    if (id !== ctx.params['id']) {
      throw new PanoramixError('request-malformed', 'path and data name different peers');
    }
    const said = { ...place, time: new Date(now()).toISOString() };
    await documents.untilCommitted(async () => {
      const { owners } = await ownedPeer(id, request.signer);
      const before = await placesOf(id);
      const others = Object.entries(before.value ?? {}).filter(([owner]) => owners.includes(owner));
      const value: Places = { ...Object.fromEntries(others), [request.signer]: said };
      const change = { expect: [before], put: [{ key: before.key, value, ttlMs: null }] };
      return (await documents.commit(change)) === 'done' ? value : 'conflict';
    });
    ctx.status = 201;
    ctx.body = { data: { owner: request.signer, ...said } };
  });

  router.get('/peers/:id/meeting', async (ctx) => {
    const id = ctx.params['id'] ?? '';
    const { owners } = await ownedPeer(id, readerOf(ctx, context));
    const places = Object.entries((await placesOf(id)).value ?? {});
    ctx.body = places
      .filter(([owner]) => owners.includes(owner))
      .map(([owner, place]) => ({ data: { owner, ...place } }));
  });

  return router;
}
