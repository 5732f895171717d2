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
export async function* readContributions(
  documents: Documents,
  negotiation: Negotiation,
): AsyncGenerator<ContributionData> {
  for (const said of negotiation.said) {
    const { value } = await documents.read<Stored>(documents.key('contribution', said.id));
    if (value !== null) yield contributionView(negotiation, said, value.text);
  }
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
