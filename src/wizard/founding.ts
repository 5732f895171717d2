/**
 * The founding text between proposal and signature (D4.2 §5.1): what the coordinator proposes, who has
 * joined with an invitation, what is composed of it, and what a contributor looks at before he signs.
 */
import { canonicalText, parseStrict } from '../api/canonical.ts';
import { combinedPeer, type FoundingTerms, type Rule } from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import type { ContributionBody } from '../api/contribution.ts';
import type { Draft } from '../client/agree.ts';
import { holdsInvitation, proveInvitation, type Invitation } from '../client/invitation.ts';
import type { Meeting, Statement } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { moreThanHalf, parseMixnet, refuseTerms } from '../mixnet/directory-texts.ts';
import type { PacketParams } from '../mixnet/directory-texts.ts';
import type { ProposedTerms } from './options.ts';

const CREATE = { resource: 'peer', operation: 'create' } as const;

/** The coordinator's proposal, found and believed: it proves that its signer holds our token. */
export interface Proposal {
  readonly statement: Statement;
  readonly terms: ProposedTerms;
  readonly invited: number;
  /** The negotiation about the nodes. */
  readonly nextNegotiationId: string;
}

/**
 * The first word: a combined peer of the coordinator alone. `meta.invitations` proves to each invitee
 * that it comes from the one who invited him.
 */
export function proposeFounding(
  primitives: Primitives,
  peerId: string,
  wish: { readonly mixnetName: string; readonly params: PacketParams; readonly rule?: Rule },
  invitations: readonly Invitation[],
  nextNegotiationId: string,
): Draft {
  const terms: FoundingTerms = {
    name: wish.mixnetName,
    backend: 'SPHINXMIX',
    params: wish.params,
    owners: [peerId],
    rule: wish.rule ?? moreThanHalf(invitations.length + 1),
  };
  return {
    data: combinedPeer(primitives, terms),
    info: CREATE,
    meta: {
      next_negotiation_id: nextNegotiationId,
      invitations: invitations.map((one) => proveInvitation(primitives, one, peerId)),
    },
  };
}

/** The keys that have joined, each by an invitation of its own; the first to prove a token has it. */
export function joinedPeers(
  primitives: Primitives,
  meeting: Meeting,
  invitations: readonly Invitation[],
): string[] {
  const joined = new Set<string>();
  for (const invitation of invitations) {
    const holder = meeting.statements.find(
      ({ signer, body }) =>
        !joined.has(signer) &&
        holdsInvitation(primitives, invitation, signer, body.meta.invitation),
    );
    if (holder) joined.add(holder.signer);
  }
  return [...joined];
}

/** The text that founds: the proposal, with all owners. */
export function composeFounding(
  primitives: Primitives,
  proposal: Draft,
  owners: readonly string[],
): Draft & { readonly signers: readonly string[] } {
  const keyData = (proposal.data as { key_data: string }).key_data;
  const terms = readTerms(keyData) as FoundingTerms;
  const sorted = owners.toSorted();
  return {
    ...proposal,
    data: combinedPeer(primitives, { ...terms, owners: sorted }),
    meta: { next_negotiation_id: proposal.meta?.next_negotiation_id },
    signers: sorted,
  };
}

/** The proposal of whoever holds our token; null while there is none. */
export function findProposal(
  primitives: Primitives,
  meeting: Meeting,
  invitation: Invitation,
): Proposal | null {
  for (const statement of meeting.statements) {
    const { data, meta } = statement.body;
    const proofs = meta['invitations'];
    const proposed = readTerms((data as { key_data?: unknown } | null)?.key_data);
    if (!Array.isArray(proofs) || !proposed || meta.next_negotiation_id === undefined) continue;
    const isInviter = proofs.some((proof) =>
      holdsInvitation(primitives, invitation, statement.signer, proof),
    );
    if (!isInviter) continue;
    return {
      statement,
      terms: {
        coordinator: statement.signer,
        mixnetName: proposed.name,
        params: proposed.params as PacketParams,
        rule: proposed.rule,
      },
      invited: proofs.length,
      nextNegotiationId: meta.next_negotiation_id,
    };
  }
  return null;
}

/** Null where a founding text is the proposal with all who joined, us among them; else what is wrong. */
export function reviewFounding(
  primitives: Primitives,
  body: ContributionBody,
  meeting: Meeting,
  proposal: Proposal,
  peerId: string,
): string | null {
  const keyData = (body.data as { key_data?: unknown } | null)?.key_data;
  const terms = typeof keyData === 'string' ? parseMixnet(keyData) : null;
  if (!terms) return 'founding-malformed';
  const whole = canonicalText({ data: combinedPeer(primitives, terms), info: CREATE });
  if (canonicalText({ data: body.data, info: body.info }) !== whole) return 'founding-malformed';
  const { mixnetName, params, rule, coordinator } = proposal.terms;
  const kept = canonicalText({ name: mixnetName, params, rule });
  if (canonicalText({ name: terms.name, params: terms.params, rule: terms.rule }) !== kept) {
    return 'terms-changed';
  }
  if (refuseTerms(terms.params, 1) !== null) return 'params-unusable';
  if (!terms.owners.includes(peerId) || !terms.owners.includes(coordinator)) return 'owner-missing';
  if (terms.owners.length !== proposal.invited + 1) return 'owners-miscounted';
  const spoke = new Set(meeting.statements.map((statement) => statement.signer));
  if (!terms.owners.every((owner) => spoke.has(owner))) return 'owner-silent';
  if (canonicalText(body.meta.signers) !== canonicalText(terms.owners)) return 'signers-differ';
  const next = hashText(primitives, proposal.nextNegotiationId);
  return body.meta.next_negotiation_hash === next ? null : 'next-negotiation-differs';
}

/** A proposal's terms: its owners are not complete yet, so `parseMixnet` would refuse it. */
function readTerms(keyData: unknown): Omit<FoundingTerms, 'owners'> | null {
  const strict = typeof keyData === 'string' ? parseStrict(keyData) : null;
  if (!strict?.ok) return null;
  const { owners: _owners, ...terms } = (strict.value ?? {}) as FoundingTerms;
  // A rule of m of n names the owners to come: as many as n, whoever they are.
  const placeholders = terms.rule === 'all' ? 1 : (terms.rule?.n ?? 0);
  if (!Number.isSafeInteger(placeholders) || placeholders < 1 || placeholders > 256) return null;
  const owners = Array.from({ length: placeholders }, (_, index) =>
    index.toString(16).padStart(64, '0'),
  );
  return parseMixnet(canonicalText({ ...terms, owners })) ? terms : null;
}
