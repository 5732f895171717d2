/**
 * Posting: the mixnet's hot path, one canonical text per hash and one round trip to Redis, for one
 * message or a list. Each message is stored or refused by itself, in one atomic step.
 */
import { type MessageCreate, messageHash, type MessageReceipt } from '../../src/api/message.ts';
import { type ErrorCode, PanoramixError } from '../../src/errors.ts';
import { runScripts, type Script, type ScriptCall } from '../../src/redis/script.ts';
import type { ControllerContext } from '../context.ts';
import type { Document } from '../documents.ts';
import { type Endpoint, isBatch } from '../endpoints/rules.ts';
import type { Throttle } from '../limits.ts';
import type { RegisteredPeers } from '../peers/store.ts';
import type { Boxes } from './boxes.ts';
import { mayChange, mayPost, takesMessages } from './rules.ts';

/** Times that an endpoint may change while a message is being posted. */
const STALE_MAX = 8;

/** What became of one message. */
export type Outcome =
  | { readonly ok: true; readonly receipt: MessageReceipt }
  | { readonly ok: false; readonly reason: ErrorCode };

interface Posting {
  readonly message: MessageCreate;
  readonly hash: string;
  outcome: Outcome | null;
}

/** Posts messages of one signer; what became of each, in their order. Durable when it returns. */
export async function postMessages(
  context: ControllerContext,
  boxes: Boxes,
  registered: RegisteredPeers,
  signer: string,
  messages: readonly MessageCreate[],
): Promise<Outcome[]> {
  const isNode = context.nodes.has(signer);
  const poster = { keyData: signer, isNode, isPeer: isNode || (await registered.has(signer)) };
  const postings = messages.map((message): Posting => {
    return { message, hash: messageHash(context.primitives, message), outcome: null };
  });
  for (let attempt = 0; attempt < STALE_MAX; attempt++) {
    const left = postings.filter((posting) => posting.outcome === null);
    if (left.length === 0) break;
    await attemptAll(context, boxes, poster, left, attempt === 0);
  }
  return postings.map(({ outcome }) => {
    if (outcome !== null) return outcome;
    throw new PanoramixError('redis-unavailable', 'the endpoint changes all the time');
  });
}

type Poster = Parameters<typeof mayPost>[2];

/** One look at the endpoints and one round trip; postings that meet a changed endpoint stay undecided. */
async function attemptAll(
  context: ControllerContext,
  boxes: Boxes,
  poster: Poster,
  postings: readonly Posting[],
  isFirst: boolean,
): Promise<void> {
  const endpoints = new Map<string, Document<Endpoint>>();
  for (const id of new Set(postings.map(({ message }) => message.endpoint_id))) {
    endpoints.set(id, await boxes.endpoints.read(id, !isFirst));
  }
  const calls: { script: Script; call: ScriptCall; posting: Posting }[] = [];
  for (const posting of postings) {
    const endpoint = endpoints.get(posting.message.endpoint_id);
    const step = await decide(context, boxes, poster, posting, endpoint, isFirst);
    if (step === 'later') continue;
    if ('script' in step) calls.push({ ...step, posting });
    else posting.outcome = step;
  }
  if (calls.length === 0) return;
  const replies = await runScripts(context.documents.redis, calls);
  for (const [position, { posting }] of calls.entries()) {
    const posted = String(replies[position]);
    if (posted === 'full') posting.outcome = { ok: false, reason: 'endpoint-full' };
    if (posted === 'stored' || posted === 'repeat') posting.outcome = taken(posting);
    if (posted === 'stored') boxes.arrivals.notify(posting.message.endpoint_id);
  }
}

async function decide(
  { throttle }: ControllerContext,
  boxes: Boxes,
  poster: Poster,
  posting: Posting,
  endpoint: Document<Endpoint> | undefined,
  isFirst: boolean,
): Promise<Outcome | 'later' | { readonly script: Script; readonly call: ScriptCall }> {
  const { message, hash } = posting;
  const value = endpoint?.value ?? null;
  const tooFast = isFirst ? whyTooFast(throttle, poster, message, value) : null;
  if (tooFast !== null) return { ok: false, reason: tooFast };
  if (endpoint === undefined || value === null) return { ok: false, reason: 'endpoint-unknown' };
  const allowed = mayPost(value, message, poster);
  if (!allowed.ok) return allowed;
  const open = takesMessages(value, message.box);
  if (!open.ok) {
    // The first answer was 201, so a repeat gets it too: the poster must not send it another way.
    if (await boxes.messages.hasSeen(message.endpoint_id, hash)) return taken(posting);
    return isFirst && mayChange(value) ? 'later' : open;
  }
  const { boxMax } = allowed.value;
  return isBatch(value)
    ? boxes.batches.postCall({ ...endpoint, value }, message, hash, poster.keyData, boxMax)
    : boxes.messages.postCall(endpoint, message, hash, boxMax);
}

/** Nodes, and owners at their own endpoint, post as fast as they can. */
function whyTooFast(
  throttle: Throttle,
  { keyData, isNode }: Poster,
  message: MessageCreate,
  endpoint: Endpoint | null,
): ErrorCode | null {
  if (isNode || endpoint?.owners.includes(keyData)) return null;
  if (!throttle.allowsKey(keyData)) return 'key-too-fast';
  return throttle.allowsEndpoint(message.endpoint_id) ? null : 'endpoint-too-fast';
}

function taken({ message, hash }: Posting): Outcome {
  const { endpoint_id, box } = message;
  return { ok: true, receipt: { endpoint_id, box, message_hash: hash } };
}
