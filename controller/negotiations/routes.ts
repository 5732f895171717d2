/** `/negotiations`: begin one, look at one (D4.2 §6.2.1, §6.2.2). There is no list: an id is a secret. */
import { Router } from '@koa/router';
import { negotiationCreate } from '../../src/api/negotiation.ts';
import { hashText } from '../../src/api/signed.ts';
import { toBase64url } from '../../src/bytes.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { ControllerContext } from '../context.ts';
import { shaped, signedRequest } from '../middleware/signed.ts';
import { beginNegotiation, negotiationView } from './rules.ts';
import { beginChange, readNegotiation, readRepeat } from './store.ts';

const ID_BYTES = 32;

/** Routes under `/panoramix`. */
export function negotiationRoutes(context: ControllerContext): Router {
  const { documents, primitives } = context;
  const router = new Router();

  router.post('/negotiations', async (ctx) => {
    const request = await signedRequest(ctx, context, 'negotiation', 'create');
    const { signers, needed, required = [] } = shaped(negotiationCreate, request.data);
    const parties = signers && needed ? { keys: signers, needed, required } : null;
    const requestHash = hashText(primitives, request.text);
    const negotiation = await documents.untilCommitted(async () => {
      const repeat = await readRepeat(documents, requestHash);
      if (repeat.value !== null) {
        const first = await readNegotiation(documents, repeat.value);
        if (first.value !== null) return first.value;
      }
      const id = toBase64url(primitives.random(ID_BYTES));
      const begun = beginNegotiation(id, request.signer, parties);
      const committed = await documents.commit(beginChange(context, begun, repeat));
      if (committed === 'limit') {
        throw new PanoramixError('negotiations-too-many', 'of this key');
      }
      return committed === 'done' ? begun : 'conflict';
    });
    ctx.status = 201;
    ctx.body = { data: negotiationView(negotiation) };
  });

  router.get('/negotiations/:id', async (ctx) => {
    const { value } = await readNegotiation(documents, ctx.params['id'] ?? '');
    if (value === null) throw new PanoramixError('negotiation-unknown', 'no such id');
    ctx.body = { data: negotiationView(value) };
  });

  return router;
}
