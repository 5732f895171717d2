/**
 * `POST /peers/ID/nodes.json`: a node leaves the directory that it goes by with its own controller, which
 * serves it from then on although the owners meet elsewhere: so directories can be compared, and read while
 * the controller on which the owners meet is away (design §8).
 */
import { Router } from '@koa/router';
import { parseStrict } from '../../src/api/canonical.ts';
import { peerId } from '../../src/api/fields.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { readBody } from '../middleware/body.ts';
import { readerOf, shaped } from '../middleware/signed.ts';
import { readPeer } from '../peers/store.ts';
import { mirror } from './rules.ts';
import { mirrorChange, readMirrored } from './store.ts';

/** A snapshot of 256 nodes is 300 kB, each entry of such a mixnet's log 60 kB: 250 changes. */
export const MIRROR_BYTES_MAX = 16 * 1024 * 1024;
const VALUES_MAX = 1_000_000;

/** Routes under `/panoramix`. */
export function mirrorRoutes(context: ControllerContext): Router {
  const { documents, primitives, now } = context;
  const router = new Router();

  router.post('/peers/:id/nodes.json', async (ctx) => {
    const poster = readerOf(ctx, context);
    if (poster === null) throw new PanoramixError('signature-missing', 'who mirrors signs');
    // Before a byte of it is read: to verify a directory costs more than anything else here.
    if (!context.nodes.has(poster)) throw new PanoramixError('sender-refused', 'no node of ours');
    const mixnetId = shaped(peerId, ctx.params['id']);
    // Anybody can found mixnets and be their node: whoever is one of ours would fill this store with them.
    if (context.nodes.isMixnet?.(mixnetId) !== true) {
      throw new PanoramixError('sender-refused', 'not the mixnet whose nodes we know');
    }
    const body = await readBody(ctx.req, MIRROR_BYTES_MAX);
    const json = parseStrict(body, VALUES_MAX);
    if (!json.ok) throw new PanoramixError('json-malformed', json.reason);
    const posted = { mixnetId, poster, json: json.value };
    const kept = await documents.untilCommitted(async () => {
      const before = await readMirrored(documents, mixnetId);
      const after = ruled(mirror(primitives, before.value, posted, now()));
      const peer = await readPeer(documents, mixnetId);
      // Where the owners meet, what they have agreed on is served itself.
      if (after === before.value || (peer.value?.data.owners.length ?? 0) > 0) return after;
      const change = mirrorChange(documents, mixnetId, before, after, now());
      return (await documents.commit(change)) === 'done' ? after : 'conflict';
    });
    ctx.status = 200;
    ctx.body = { data: { number: kept.number } };
  });

  return router;
}
