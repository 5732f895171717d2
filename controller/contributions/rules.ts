/**
 * Who reads contributions (design §7): of an open negotiation all who know its id; of one that has
 * ended, whose id is public, those who took part and the owners of the peer that it was about. They
 * hold invitations and the id of the negotiation that follows.
 */
import { parseContributionText } from '../../src/api/contribution.ts';
import type { Negotiation } from '../negotiations/rules.ts';

/** Whether a reader (null: unknown) may list them. */
export function mayList(
  negotiation: Negotiation,
  reader: string | null,
  owners: readonly string[],
): boolean {
  if (negotiation.record === null) return true;
  if (reader === null) return false;
  return owners.includes(reader) || negotiation.said.some((said) => said.signer === reader);
}

/** The peer that an ended negotiation was about, where its text names one. */
export function subjectOf(negotiation: Negotiation): string | null {
  const body = negotiation.record === null ? null : parseContributionText(negotiation.record.text);
  const { data } = body ?? {};
  if (typeof data !== 'object' || data === null || !('peer_id' in data)) return null;
  return typeof data.peer_id === 'string' ? data.peer_id : null;
}
