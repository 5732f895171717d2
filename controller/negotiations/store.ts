/**
 * Negotiations in Redis: the document under its id, a second name once there is a consensus id, and
 * per key the set of those that are open.
 */
import { STALE_MS } from '../../src/api/signed.ts';
import type { ControllerContext } from '../context.ts';
import type { Change, Document, Documents, Keep } from '../documents.ts';
import { DONE_MS_MAX, type Negotiation, OPEN_MS_MAX, OPEN_PER_KEY_MAX } from './rules.ts';

/** As long as a request may be repeated: signed by a clock that is ahead, it holds for twice `STALE_MS`. */
const REPEAT_MS = 2 * STALE_MS;
const CONSENSUS_ID = /^[0-9a-f]{64}$/;

/** Key of a negotiation's document. */
export function negotiationKey(documents: Documents, id: string): string {
  return documents.key('negotiation', id);
}

/** By negotiation id, or by consensus id. */
export async function readNegotiation(
  documents: Documents,
  id: string,
): Promise<Document<Negotiation>> {
  if (!CONSENSUS_ID.test(id)) return await documents.read(negotiationKey(documents, id));
  const named = await documents.read<string>(documents.key('consensus', id));
  return await documents.read(negotiationKey(documents, named.value ?? ''));
}

/** The negotiation that an equal request has begun, or null. */
export async function readRepeat(
  documents: Documents,
  requestHash: string,
): Promise<Document<string>> {
  return await documents.read(documents.key('request', requestHash));
}

/** What writes a new negotiation, and remembers by which request it was begun. */
export function beginChange(
  { documents, now }: Pick<ControllerContext, 'documents' | 'now'>,
  negotiation: Negotiation,
  repeat: Document<string>,
): Change {
  const key = openKey(documents, negotiation.opener);
  const nowMs = now();
  return {
    expect: [repeat],
    limits: [{ key, max: OPEN_PER_KEY_MAX, nowMs }],
    prune: [{ key, nowMs }],
    put: [
      { key: negotiationKey(documents, negotiation.id), value: negotiation, ttlMs: OPEN_MS_MAX },
      { key: repeat.key, value: negotiation.id, ttlMs: REPEAT_MS },
    ],
    index: [{ key, score: nowMs + OPEN_MS_MAX, member: negotiation.id }],
  };
}

/**
 * Keeps a negotiation open that one of its named parties looks at: what owners wait for together, such as
 * enough messages, may take longer than it lasts by itself, and they have no other place to agree.
 */
export async function keepOpen(
  { documents, now }: Pick<ControllerContext, 'documents' | 'now'>,
  found: Document<Negotiation>,
  reader: string | null,
): Promise<void> {
  const { key, value } = found;
  if (value === null || value.record !== null || reader === null) return;
  if (!value.parties?.keys.includes(reader)) return;
  if ((await documents.lifeLeftMs(key)) > OPEN_MS_MAX / 2) return;
  const score = now() + OPEN_MS_MAX;
  // A conflict is a contribution, which keeps it open too.
  await documents.commit({
    expect: [found],
    lifetimes: [{ key, ttlMs: OPEN_MS_MAX }],
    index: [{ key: openKey(documents, value.opener), score, member: value.id }],
  });
}

/** What writes a negotiation after a contribution; where it ends, also its consensus id. */
export function contributeChange(
  documents: Documents,
  before: Document<Negotiation>,
  after: Negotiation,
): Change & { readonly put: NonNullable<Change['put']> } {
  const key = negotiationKey(documents, after.id);
  if (after.record === null) {
    return { expect: [before], put: [{ key, value: after, ttlMs: OPEN_MS_MAX }] };
  }
  const named = documents.key('consensus', after.record.consensus);
  return {
    expect: [before],
    put: [
      { key, value: after, ttlMs: DONE_MS_MAX },
      { key: named, value: after.id, ttlMs: DONE_MS_MAX },
    ],
    unindex: [{ key: openKey(documents, after.opener), member: after.id }],
  };
}

/**
 * Keeps the record of an ended negotiation as long as what goes by it, or lets go of it. One record may
 * have made several things, part by part: it stays until the last of them has let go.
 */
export function recordKept(
  documents: Documents,
  record: { readonly id: string; readonly consensus: string },
  keeper: string,
  ttlMs: number | null,
): Keep {
  return {
    keys: [negotiationKey(documents, record.id), documents.key('consensus', record.consensus)],
    keepers: documents.key('keepers', record.id),
    keeper,
    ttlMs,
  };
}

function openKey(documents: Documents, opener: string): string {
  return documents.key('open', opener);
}
