/** `/contributions`: put a signed text into a negotiation, list the texts of one (D4.2 §6.2.3, §6.2.4). */
import { Router } from '@koa/router';
import { checkContribution, contributionCreate } from '../../src/api/contribution.ts';
import { negotiationId } from '../../src/api/fields.ts';
import { hashText, type VerifiedRequest } from '../../src/api/signed.ts';
import { PanoramixError } from '../../src/errors.ts';
import { type ControllerContext, ruled } from '../context.ts';
import { answerList } from '../lists.ts';
import { queryOf, readerOf, shaped, signedRequest } from '../middleware/signed.ts';
import { contribute, repeatOf } from '../negotiations/rules.ts';
import { contributeChange, keepOpen, readNegotiation } from '../negotiations/store.ts';
import { readPeer } from '../peers/store.ts';
import { mayList, subjectOf } from './rules.ts';
import {
  contributionPut,
  contributionView,
  nextContributionId,
  readContributions,
} from './store.ts';

/** Routes under `/panoramix`. */
export function contributionRoutes(context: ControllerContext): Router {
  const { documents } = context;
  const router = new Router();

  router.post('/contributions', async (ctx) => {
    const request = await signedRequest(ctx, context, 'contribution', 'create');
    ctx.body = { data: await take(context, request) };
    ctx.status = 201;
  });

  router.get('/contributions', async (ctx) => {
    const query = queryOf(ctx);
    // D4.2 §3.4 filters by `negotiation`, §6.2.4 names the field `negotiation_id`.
    const id = shaped(
      negotiationId,
      query['negotiation_id'] ?? query['negotiation'],
      'query-malformed',
    );
    const found = await readNegotiation(documents, id);
    const { value } = found;
    if (value === null) throw new PanoramixError('negotiation-unknown', 'no such id');
    const subject = subjectOf(value);
    const peer = subject === null ? null : (await readPeer(documents, subject)).value;
    const reader = readerOf(ctx, context);
    if (!mayList(value, reader, peer?.owners ?? [])) {
      throw new PanoramixError('reader-refused', 'the negotiation has ended');
    }
    await keepOpen(context, found, reader);
    await answerList(ctx, readContributions(documents, value));
  });

  return router;
}

async function take(context: ControllerContext, request: VerifiedRequest) {
  const { documents, primitives, now } = context;
  const sent = shaped(contributionCreate, request.data);
  const textHash = hashText(primitives, sent.text);
  let checked: ReturnType<typeof checkContribution> | null = null;
  let id: number | null = null;
  return await documents.untilCommitted(async () => {
    const before = await readNegotiation(documents, sent.negotiation_id);
    if (before.value === null) throw new PanoramixError('negotiation-unknown', 'no such id');
    const first = repeatOf(before.value, request.signer, textHash);
    if (first !== null) return contributionView(before.value, first, sent.text);
    checked ??= checkContribution(primitives, { ...sent, signer_key_id: request.signer }, now());
    if (!checked.ok) throw new PanoramixError(checked.reason, 'the contribution');
    id ??= await nextContributionId(documents);
    const said = {
      id,
      signer: request.signer,
      signature: sent.signature,
      textHash,
      length: sent.text.length,
      accept: checked.body.meta.accept,
    };
    const contributed = { said, text: sent.text, body: checked.body };
    const after = ruled(contribute(primitives, before.value, contributed, now()));
    const change = contributeChange(documents, before, after);
    const put = [...change.put, contributionPut(documents, id, sent.text)];
    const committed = await documents.commit({ ...change, put });
    return committed === 'done' ? contributionView(after, said, sent.text) : 'conflict';
  });
}
