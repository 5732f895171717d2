/**
 * A negotiation as one party sees it: who has said what, each text checked against its signature, so
 * that a controller can withhold a text but never invent one (D4.2 §6.2, design §7).
 */
import { parseContributionText } from '../api/contribution.ts';
import type { ContributionBody, ContributionData } from '../api/contribution.ts';
import { verifyConsensus, type VerifiedConsensus } from '../api/negotiation.ts';
import { hashText, verifyText } from '../api/signed.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import type { ControllerClient } from './controller.ts';

/** One signed text of one party. */
export interface Statement {
  /** Contribution number: the controller's word, which no check goes by but for the order. */
  readonly id: number;
  readonly signer: string;
  readonly text: string;
  readonly body: ContributionBody;
  /** Whether it is the last word of its signer. */
  readonly latest: boolean;
  /** `meta.accept`: the signer agrees to exactly this text. */
  readonly accepts: boolean;
}

/** One look at a negotiation. */
export interface Meeting {
  readonly negotiationId: string;
  /** What was agreed, once it was: checked, whatever the controller says. */
  readonly consensus: VerifiedConsensus | null;
  /** Every statement that verifies, in the order in which the controller took them. */
  readonly statements: readonly Statement[];
}

/**
 * Looks at a negotiation.
 * @throws PanoramixError `negotiation-unknown` where the controller does not know it (any more),
 *   `answer-malformed` where it shows another negotiation, or a consensus that does not convince
 */
export async function readMeeting(
  client: ControllerClient,
  primitives: Primitives,
  negotiationId: string,
): Promise<Meeting> {
  const negotiation = await client.getNegotiation(negotiationId);
  if (!negotiation) {
    throw new PanoramixError(
      'negotiation-unknown',
      `${client.url} knows no such negotiation: it has expired, or it is another controller's`,
    );
  }
  // A true record of something else is what a hostile controller would show.
  if (negotiation.id !== negotiationId) {
    throw new PanoramixError('answer-malformed', `${client.url} shows another negotiation`);
  }
  const contributions = await listIfAllowed(client, negotiationId, negotiation.status === 'DONE');
  const statements = contributions
    .toSorted((left, right) => left.id - right.id)
    .flatMap((contribution): Statement[] => {
      const { id, signer_key_id: signer, text, signature, latest } = contribution;
      if (!verifyText(primitives, signer, text, signature)) return [];
      const body = parseContributionText(text);
      if (body?.meta.negotiation_id !== negotiationId) return [];
      return [{ id, signer, text, body, latest, accepts: body.meta.accept }];
    });
  if (negotiation.status === 'OPEN') return { negotiationId, consensus: null, statements };
  const verified = verifyConsensus(primitives, negotiation);
  if (!verified.ok) {
    throw new PanoramixError(
      'answer-malformed',
      `${client.url} shows a consensus that does not convince: ${verified.reason}`,
    );
  }
  return { negotiationId, consensus: verified.consensus, statements };
}

/** After its end only those who contributed may list: the others have the record, and no statements. */
async function listIfAllowed(
  client: ControllerClient,
  negotiationId: string,
  done: boolean,
): Promise<ContributionData[]> {
  try {
    return await client.listContributions(negotiationId);
  } catch (error) {
    if (done && !asPanoramixError(error).temporary) return [];
    throw error;
  }
}

/** The last word of a party, or null. */
export function lastWord(meeting: Meeting, signer: string): Statement | null {
  return meeting.statements.findLast((said) => said.signer === signer && said.latest) ?? null;
}

/**
 * The negotiation that follows. Proposals name it, which only the parties read; the accepted text,
 * which becomes public, carries its SHA-256 (design §7).
 * @returns null where the accepted text names none, or one that no proposal named
 */
export function nextNegotiation(
  meeting: Meeting,
  accepted: ContributionBody,
  primitives: Primitives,
): string | null {
  const hash = accepted.meta.next_negotiation_hash;
  for (const { body } of meeting.statements) {
    const id = body.meta.next_negotiation_id;
    if (id !== undefined && hashText(primitives, id) === hash) return id;
  }
  return null;
}
