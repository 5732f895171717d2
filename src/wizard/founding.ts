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
import type { Reading } from '../client/rounds.ts';
import { moreThanHalf, parseMixnet, sphinxParamsOf } from '../mixnet/directory-texts.ts';
import type { PacketParams } from '../mixnet/directory-texts.ts';
import { refuseParams, refusePath } from '../sphinx/index.ts';
import type { FoundingTermsText } from './decisions.ts';
import type { ProposedTerms } from './options.ts';

const CREATE = { resource: 'peer', operation: 'create' } as const;

/** The coordinator's last proposal, found and believed: he has proved to us that he holds our token. */
export interface Proposal {
  readonly statement: Statement;
  readonly terms: ProposedTerms;
  readonly invited: number;
  /** Whether he still counts on our invitation. */
  readonly isOurs: boolean;
  /** The negotiation about the nodes. */
  readonly nextNegotiationId: string;
}

/** How founding terms are read in words: a proposal proves to its invitees who made it. */
export const FOUNDING_READING: Reading<FoundingTermsText> = {
  proposal: ({ body }) => (Array.isArray(body.meta['invitations']) ? termsIn(body.data) : null),
  answer: ({ body }) => termsIn(body.data),
};

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
  const rule = wish.rule ?? moreThanHalf(invitations.length + 1);
  return {
    ...founded(primitives, peerId, { ...wish, backend: 'SPHINXMIX', rule }),
    meta: {
      next_negotiation_id: nextNegotiationId,
      invitations: invitations.map((one) => proveInvitation(primitives, one, peerId)),
    },
  };
}

/** Founding terms as a word has them: a combined peer of the coordinator alone. */
export function founded(
  primitives: Primitives,
  coordinator: string,
  { mixnetName, backend, params, rule }: FoundingTermsText,
): Draft {
  const terms = { name: mixnetName, backend, params, owners: [coordinator], rule };
  return { data: combinedPeer(primitives, terms), info: CREATE };
}

/** The rule for fewer owners: the default again where it was the default, else as near as may be. */
export function ruleFor(before: Rule, owners: number): Rule {
  if (before === 'all' || before.n === owners) return before;
  const isDefault = canonicalText(before) === canonicalText(moreThanHalf(before.n));
  return isDefault ? moreThanHalf(owners) : { m: Math.min(before.m, owners), n: owners };
}

/** Why terms can found nothing with so many owners, as a sentence, or null. */
export function refuseFounding(terms: FoundingTermsText, owners: number): string | null {
  const { mixnetName: name, backend, params, rule } = terms;
  if (rule !== 'all' && rule.n !== owners) return `the rule is of ${rule.n} owners, not ${owners}`;
  if (!readTerms(canonicalText({ name, backend, params, rule, owners: [] }))) {
    return 'name, parameters or rule are none';
  }
  const sphinx = sphinxParamsOf(params);
  return refuseParams(sphinx) ?? refusePath(sphinx, 1, 'forward');
}

/** The keys that have joined, each by an invitation of its own; the first to prove a token has it. */
export function joinedPeers(
  primitives: Primitives,
  meeting: Meeting,
  invitations: readonly Invitation[],
): string[] {
  return [...guests(primitives, meeting, invitations).keys()];
}

/** Who has joined, with the invitation that he has used. */
export function guests(
  primitives: Primitives,
  meeting: Meeting,
  invitations: readonly Invitation[],
): ReadonlyMap<string, Invitation> {
  const joined = new Map<string, Invitation>();
  for (const invitation of invitations) {
    const holder = meeting.statements.find(
      ({ signer, body }) =>
        !joined.has(signer) &&
        holdsInvitation(primitives, invitation, signer, body.meta.invitation),
    );
    if (holder) joined.set(holder.signer, invitation);
  }
  return joined;
}

/** Another's key that has used our invitation before us; null where nobody has. */
export function usedBy(
  primitives: Primitives,
  meeting: Meeting,
  invitation: Invitation,
  peerId: string,
): string | null {
  const [first] = guests(primitives, meeting, [invitation]).keys();
  return first === undefined || first === peerId ? null : first;
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

/** The last proposal of whoever has proved that he holds our token; null while there is none. */
export function findProposal(
  primitives: Primitives,
  meeting: Meeting,
  invitation: Invitation,
): Proposal | null {
  const isOurs = ({ signer, body }: Statement): boolean => {
    const proofs = body.meta['invitations'];
    return (
      Array.isArray(proofs) &&
      proofs.some((proof) => holdsInvitation(primitives, invitation, signer, proof))
    );
  };
  const coordinator = meeting.statements.find(isOurs)?.signer;
  const statement = meeting.statements.findLast(
    (said) =>
      said.signer === coordinator && !said.accepts && FOUNDING_READING.proposal(said) !== null,
  );
  const terms = statement && FOUNDING_READING.proposal(statement);
  const nextNegotiationId = statement?.body.meta.next_negotiation_id;
  if (!terms || nextNegotiationId === undefined) return null;
  const { mixnetName, params, rule } = terms;
  return {
    statement,
    terms: { coordinator: statement.signer, mixnetName, params, rule },
    invited: (statement.body.meta['invitations'] as unknown[]).length,
    isOurs: isOurs(statement),
    nextNegotiationId,
  };
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
  const { name, backend } = terms;
  if (refuseFounding({ mixnetName: name, backend, params, rule }, terms.owners.length) !== null) {
    return 'params-unusable';
  }
  if (!terms.owners.includes(peerId) || !terms.owners.includes(coordinator)) return 'owner-missing';
  if (terms.owners.length !== proposal.invited + 1) return 'owners-miscounted';
  const spoke = new Set(meeting.statements.map((statement) => statement.signer));
  if (!terms.owners.every((owner) => spoke.has(owner))) return 'owner-silent';
  if (canonicalText(body.meta.signers) !== canonicalText(terms.owners)) return 'signers-differ';
  const next = hashText(primitives, proposal.nextNegotiationId);
  return body.meta.next_negotiation_hash === next ? null : 'next-negotiation-differs';
}

/** Founding terms in a word's data; null where there are none. */
export function termsIn(data: unknown): FoundingTermsText | null {
  const terms = readTerms((data as { key_data?: unknown } | null)?.key_data);
  if (!terms) return null;
  const { name: mixnetName, rule, params } = terms;
  return { mixnetName, backend: 'SPHINXMIX', params: params as PacketParams, rule };
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
