/**
 * A founding that goes on elsewhere, because somebody has joined and does not sign. The text that is signed by some
 * stays as it is, and no second one is signed beside it: those who are left begin a new negotiation, which the
 * coordinator's last word in the old one names (`meta.moved`), with a proof for each token that still counts.
 */
import { contributionText } from '../api/contribution.ts';
import { bodyOf, retrying, type Draft, type Party } from '../client/agree.ts';
import { holdsInvitation, proveInvitation, type Invitation } from '../client/invitation.ts';
import { lastWord, type Meeting } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';

/** Ends the run of one negotiation; the next one stands in the state file. */
export class MovedOn extends Error {
  constructor() {
    super('the founding goes on in another negotiation');
    this.name = 'MovedOn';
  }
}

/** `meta.moved`. */
interface Moved {
  readonly negotiation_id: string;
  readonly invitations: readonly string[];
}

/**
 * Says where it goes on.
 * @param tokens that still count
 * @returns false where all have signed meanwhile, and what was agreed stands
 */
export async function sayMoved(
  party: Party,
  meeting: Meeting,
  draft: Draft,
  negotiationId: string,
  tokens: readonly string[],
): Promise<boolean> {
  const own = lastWord(meeting, party.peerId);
  if (own && 'moved' in own.body.meta) return true;
  const moved: Moved = {
    negotiation_id: negotiationId,
    invitations: tokens.map((token) =>
      proveInvitation(party.primitives, { negotiationId, token }, party.peerId),
    ),
  };
  const text = contributionText(bodyOf(party, meeting, meeting, draft, { accept: false, moved }));
  return await retrying(party, async () => {
    try {
      await party.client.contribute(meeting.negotiationId, text);
      return true;
    } catch (error) {
      if (asPanoramixError(error).code === 'negotiation-done') return false;
      throw error;
    }
  });
}

/**
 * Where the coordinator's last word says that it goes on.
 * @returns our invitation there; `withdrawn` where it goes on without us; null where it goes on here
 */
export function readMoved(
  primitives: Primitives,
  meeting: Meeting,
  coordinator: string,
  invitation: Invitation,
): Invitation | 'withdrawn' | null {
  const moved = lastWord(meeting, coordinator)?.body.meta['moved'] as Partial<Moved> | undefined;
  if (typeof moved?.negotiation_id !== 'string' || !Array.isArray(moved.invitations)) return null;
  const there = { ...invitation, negotiationId: moved.negotiation_id };
  const counts = moved.invitations.some((proof) =>
    holdsInvitation(primitives, there, coordinator, proof),
  );
  return counts ? there : 'withdrawn';
}
