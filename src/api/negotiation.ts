/**
 * Negotiations and the consensus that they end in (D4.2 §6.2.2). A consensus record convinces by
 * itself: whoever holds it can check every signature without believing the controller.
 */
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText } from './canonical.ts';
import {
  type ContributionBody,
  parseContributionText,
  SIGNERS_MAX,
  TEXT_LENGTH_MAX,
} from './contribution.ts';
import { hex64, isSortedSet, negotiationId, signature, timestamp } from './fields.ts';
import { hashText, verifyText } from './signed.ts';

const signing = z.strictObject({ signer_key_id: hex64, signature });

/**
 * `data` of `POST /negotiations`: empty (D4.2 §6.2.1) or, where the owners of a peer negotiate by its rule,
 * who alone may take part, and how many of them end it; `required` must be among those. A change that adds
 * owners needs the rule of the old ones and each new one: m old and a new are `needed` m + a, `required` the a.
 */
export const negotiationCreate = z
  .strictObject({
    signers: z.array(hex64).min(1).max(SIGNERS_MAX).refine(isSortedSet, 'not sorted').optional(),
    needed: z.int().min(1).optional(),
    required: z.array(hex64).max(SIGNERS_MAX).refine(isSortedSet, 'not sorted').optional(),
  })
  .refine(({ signers, needed }) => (needed ?? 0) <= (signers?.length ?? 0), 'more than signers')
  .refine(({ signers, needed }) => (signers === undefined) === (needed === undefined), 'one alone')
  .refine(
    ({ signers, needed, required }) =>
      required === undefined ||
      (required.length <= (needed ?? 0) && required.every((key) => signers?.includes(key))),
    'required beyond signers',
  );
export type NegotiationCreate = z.output<typeof negotiationCreate>;

/**
 * A negotiation that goes on: nothing is agreed. Where it was opened among named parties it says so: who is
 * to agree there sees whether it can end as it should.
 */
export const openNegotiation = z.strictObject({
  id: negotiationId,
  text: z.null(),
  status: z.literal('OPEN'),
  timestamp: z.null(),
  consensus: z.null(),
  signings: z.array(z.never()).max(0),
  signers: z.array(hex64).max(SIGNERS_MAX).optional(),
  needed: z.int().min(1).optional(),
  /** Those without whom it does not end, where there are any. */
  required: z.array(hex64).max(SIGNERS_MAX).optional(),
});

/** A negotiation that has ended: the record of what was agreed. */
export const consensusRecord = z.strictObject({
  id: negotiationId,
  text: z.string().max(TEXT_LENGTH_MAX),
  status: z.literal('DONE'),
  timestamp,
  /** `consensusId` of the other fields. */
  consensus: hex64,
  /** Over the UTF-8 bytes of `text`; sorted by signer. */
  signings: z
    .array(signing)
    .min(1)
    .max(SIGNERS_MAX)
    .refine((list) => isSortedSet(list.map((one) => one.signer_key_id)), 'not sorted'),
});
export type ConsensusRecord = z.output<typeof consensusRecord>;

/** `data` of `GET /negotiations/ID`. */
export const negotiationData = z.discriminatedUnion('status', [openNegotiation, consensusRecord]);
export type NegotiationData = z.output<typeof negotiationData>;

/**
 * Consensus id: SHA-256 in hex of the canonical text of `{negotiation_id, text, signings, timestamp}`
 * (design §7). The record's `signings` must be sorted by signer.
 */
export function consensusId(
  primitives: Primitives,
  record: Pick<ConsensusRecord, 'id' | 'text' | 'signings' | 'timestamp'>,
): string {
  const { id, text, signings, timestamp: at } = record;
  return hashText(primitives, canonicalText({ negotiation_id: id, text, signings, timestamp: at }));
}

/** Why a record does not convince. */
export type ConsensusReason =
  | 'record-malformed'
  | 'text-malformed'
  | 'not-accepted'
  | 'negotiation-foreign'
  | 'signer-missing'
  | 'consensus-id-wrong'
  | 'signature-invalid';

/** A record that convinces: what was agreed, and by whom (sorted keys). */
export interface VerifiedConsensus {
  readonly consensusId: string;
  readonly text: string;
  readonly body: ContributionBody;
  readonly signers: readonly string[];
}

/** Checks a consensus record from anywhere, of any shape. Who had to sign is the caller's question. */
export function verifyConsensus(
  primitives: Primitives,
  received: unknown,
):
  | { readonly ok: true; readonly consensus: VerifiedConsensus }
  | { readonly ok: false; readonly reason: ConsensusReason } {
  const parsed = consensusRecord.safeParse(received);
  if (!parsed.success) return { ok: false, reason: 'record-malformed' };
  const record = parsed.data;
  const body = parseContributionText(record.text);
  if (body === null) return { ok: false, reason: 'text-malformed' };
  if (!body.meta.accept) return { ok: false, reason: 'not-accepted' };
  if (body.meta.negotiation_id !== record.id) return { ok: false, reason: 'negotiation-foreign' };
  const signers = record.signings.map((one) => one.signer_key_id);
  if (!body.meta.signers.every((key) => signers.includes(key))) {
    return { ok: false, reason: 'signer-missing' };
  }
  if (consensusId(primitives, record) !== record.consensus) {
    return { ok: false, reason: 'consensus-id-wrong' };
  }
  for (const { signer_key_id, signature: one } of record.signings) {
    if (!verifyText(primitives, signer_key_id, record.text, one)) {
      return { ok: false, reason: 'signature-invalid' };
    }
  }
  return {
    ok: true,
    consensus: { consensusId: record.consensus, text: record.text, body, signers },
  };
}

/**
 * One part of an agreed body: itself, or the `part`-th of lists of equal length (design §7).
 * Null where there is no such part.
 */
export function agreedPart(
  body: Pick<ContributionBody, 'data' | 'info'>,
  part: number | undefined,
): { readonly data: unknown; readonly info: unknown } | null {
  const { data, info } = body;
  if (!Array.isArray(data) && !Array.isArray(info)) return part === undefined ? body : null;
  if (!Array.isArray(data) || !Array.isArray(info) || data.length !== info.length) return null;
  if (part === undefined || part >= data.length) return null;
  return { data: data[part] as unknown, info: info[part] as unknown };
}
