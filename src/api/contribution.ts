/**
 * Contributions: signed texts that peers put into a negotiation (D4.2 §6.2.3). A text is the canonical
 * text of `{data, info, meta}`; `data` and `info` are the request that all agree to make, `meta` says
 * where the negotiation stands.
 */
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText, parseStrict } from './canonical.ts';
import { hex64, isSortedSet, negotiationId, signature, timestamp } from './fields.ts';
import { hashText, verifyText } from './signed.ts';

/** Longest text: a snapshot of 256 nodes with a few endpoints each is about 300 kB. */
export const TEXT_LENGTH_MAX = 512 * 1024;
/** Most signers that one text names: the owners of one peer. */
export const SIGNERS_MAX = 256;

/** Where the negotiation stands, in its author's eyes; may hold more than is named here. */
export const contributionMeta = z
  .looseObject({
    /** True in the text that all are to sign. */
    accept: z.boolean(),
    /** Keys that must all sign, sorted; empty while they are not known. */
    signers: z.array(hex64).max(SIGNERS_MAX).refine(isSortedSet, 'not sorted'),
    negotiation_id: negotiationId,
    round: z.int().min(0).max(1_000_000),
    time: timestamp,
    /** After this the text can neither be contributed nor applied. */
    expires: timestamp.optional(),
    /** In proposals: the negotiation that follows this one. */
    next_negotiation_id: negotiationId.optional(),
    /** In accepted texts, which become public: its SHA-256 in hex. */
    next_negotiation_hash: hex64.optional(),
    /** HMAC-SHA-256(token, negotiation id and key) of an invitee, in hex. */
    invitation: hex64.optional(),
  })
  // With these keys a text could pass for a signed request (signed.ts).
  .refine((meta) => !('key_data' in meta) && !('catalog_url' in meta), 'looks like a request');
export type ContributionMeta = z.output<typeof contributionMeta>;

const contributionBody = z.strictObject({
  data: z.unknown(),
  info: z.unknown(),
  meta: contributionMeta,
});
/** A text, parsed. */
export interface ContributionBody {
  readonly data: unknown;
  readonly info: unknown;
  readonly meta: ContributionMeta;
}

/** `data` of `POST /contributions`. */
export const contributionCreate = z.strictObject({
  negotiation_id: negotiationId,
  text: z.string().max(TEXT_LENGTH_MAX),
  signature,
});

/** `data` of a contribution as it is listed (D4.2 §6.2.4). */
export const contributionData = z.object({
  /** Counted over the whole controller. */
  id: z.int(),
  negotiation_id: negotiationId,
  text: z.string(),
  /** Whether its signer has sent none after it. */
  latest: z.boolean(),
  signer_key_id: hex64,
  signature,
});
export type ContributionData = z.output<typeof contributionData>;

/** The text that a peer signs. */
export function contributionText(body: {
  readonly data: unknown;
  readonly info: unknown;
  readonly meta: ContributionMeta;
}): string {
  return canonicalText({ data: body.data, info: body.info, meta: body.meta });
}

/**
 * The text that closes a negotiation on a proposal: `accept` true, all signers named, and the next
 * negotiation's id only as its hash, since accepted texts are public (design §7).
 */
export function acceptedText(
  primitives: Primitives,
  proposal: ContributionBody,
  signers: readonly string[],
): string {
  const { next_negotiation_id, invitation: _, ...meta } = proposal.meta;
  const next =
    next_negotiation_id === undefined
      ? {}
      : { next_negotiation_hash: hashText(primitives, next_negotiation_id) };
  return canonicalText({
    data: proposal.data,
    info: proposal.info,
    meta: { ...meta, ...next, accept: true, signers: signers.toSorted() },
  });
}

/** Why a text is no contribution. */
export type ContributionReason =
  'contribution-malformed' | 'contribution-foreign' | 'contribution-expired' | 'signature-invalid';

/** Parses a contribution's text: canonical, and of the right shape; null otherwise. */
export function parseContributionText(text: string): ContributionBody | null {
  const parsed = parseStrict(text);
  if (!parsed.ok || canonicalText(parsed.value) !== text) return null;
  const body = contributionBody.safeParse(parsed.value);
  return body.success ? body.data : null;
}

/** Checks one contribution by itself; what the others said is the negotiation's rule. */
export function checkContribution(
  primitives: Primitives,
  sent: {
    readonly negotiation_id: string;
    readonly text: string;
    readonly signature: string;
    readonly signer_key_id: string;
  },
  nowMs: number,
):
  | { readonly ok: true; readonly body: ContributionBody }
  | { readonly ok: false; readonly reason: ContributionReason } {
  if (!verifyText(primitives, sent.signer_key_id, sent.text, sent.signature)) {
    return { ok: false, reason: 'signature-invalid' };
  }
  const body = parseContributionText(sent.text);
  if (body === null) return { ok: false, reason: 'contribution-malformed' };
  if (body.meta.negotiation_id !== sent.negotiation_id) {
    return { ok: false, reason: 'contribution-foreign' };
  }
  if (body.meta.expires !== undefined && Date.parse(body.meta.expires) <= nowMs) {
    return { ok: false, reason: 'contribution-expired' };
  }
  return { ok: true, body };
}
