/** Contributions in Redis: each a document of its own, since a negotiation may hold megabytes of them. */
import type { ContributionData } from '../../src/api/contribution.ts';
import type { Documents } from '../documents.ts';
import { DONE_MS_MAX, isLatest, type Negotiation, type Said } from '../negotiations/rules.ts';

interface Stored {
  readonly text: string;
}

/** The next id, counted over the whole controller (D4.2 §5.1: `contribution: 21`). */
export async function nextContributionId(documents: Documents): Promise<number> {
  return await documents.next(documents.key('contribution-count'));
}

/** The document to write with the negotiation's. */
export function contributionPut(documents: Documents, id: number, text: string) {
  const value: Stored = { text };
  return { key: documents.key('contribution', id), value, ttlMs: DONE_MS_MAX };
}

/** Contributions of a negotiation, oldest first; those that have expired are left out. */
export async function readContributions(
  documents: Documents,
  negotiation: Negotiation,
  which: readonly Said[] = negotiation.said,
): Promise<ContributionData[]> {
  const keys = which.map((said) => documents.key('contribution', said.id));
  const texts = await documents.readMany<Stored>(keys);
  return which.flatMap((said, position) => {
    const text = texts[position]?.value?.text;
    return text === undefined ? [] : [contributionView(negotiation, said, text)];
  });
}

/** `data` of a contribution. */
export function contributionView(
  negotiation: Negotiation,
  said: Said,
  text: string,
): ContributionData {
  return {
    id: said.id,
    negotiation_id: negotiation.id,
    text,
    latest: isLatest(negotiation, said),
    signer_key_id: said.signer,
    signature: said.signature,
  };
}
