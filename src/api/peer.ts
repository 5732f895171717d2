/**
 * Peers (D4.2 §6.3, design §7). Without owners: somebody's signing key. With owners, combined: a
 * founding text whose hash is the id, and a log of later changes. A combined peer that runs a mixnet
 * also has snapshots; what its texts say is the business of src/mixnet, here is how they chain.
 */
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText, parseStrict } from './canonical.ts';
import { SIGNERS_MAX } from './contribution.ts';
import { hex64, isSortedSet, peerId, timestamp, title } from './fields.ts';
import { consensusRecord } from './negotiation.ts';
import { hashText } from './signed.ts';

/** `key_type` of an Ed25519 signing key: its number in RFC 9580 §9.1. */
export const KEY_TYPE_ED25519 = 27;
/** `key_type` of a combined peer: its key is its founding text. */
export const KEY_TYPE_COMBINED = 0;

const owners = z
  .array(z.strictObject({ owner_key_id: hex64 }))
  .max(SIGNERS_MAX)
  .refine((list) => isSortedSet(list.map((owner) => owner.owner_key_id)), 'not sorted');

/** `data` of `POST /peers`. */
export const peerCreate = z.strictObject({
  key_id: peerId,
  /** The public key in hex, or the founding text. */
  key_data: z.string().max(64 * 1024),
  key_type: z.union([z.literal(KEY_TYPE_ED25519), z.literal(KEY_TYPE_COMBINED)]),
  /** Combined peers: canonical text of `{backend, params}`. */
  key_type_params: z.string().max(4096).default(''),
  name: title,
  status: z.literal('READY'),
  /** Sorted by key. */
  owners: owners.default([]),
});
/** As it is sent: what has a default may be left out. */
export type PeerCreate = z.input<typeof peerCreate>;
/** As it is stored. */
export type PeerFields = z.output<typeof peerCreate>;

/** One line of `consensus_logs`: which consensus brought which status. */
export const consensusLog = z.object({
  timestamp,
  status: z.string(),
  consensus_id: hex64,
});
export type ConsensusLog = z.output<typeof consensusLog>;

/**
 * `data` of `GET /peers/ID`. `owners` are those of now, by the founding and the log; all else is as founded.
 * `consensus_logs` holds the founding and the log, not the snapshots.
 */
export const peerData = z.object({
  key_id: peerId,
  key_data: z.string(),
  key_type: z.number(),
  key_type_params: z.string(),
  name: z.string(),
  status: z.string(),
  owners: z.array(z.object({ owner_key_id: hex64 })),
  consensus_logs: z.array(consensusLog),
});
export type PeerData = z.output<typeof peerData>;

/** Who must sign later changes: every owner, or m of the n owners. */
export const rule = z.union([
  z.literal('all'),
  z.strictObject({ m: z.int().min(1), n: z.int().min(1) }).refine(({ m, n }) => m <= n),
]);
export type Rule = z.output<typeof rule>;

/** Who owns a combined peer, and whose signatures a change needs: the founding's, until the log says otherwise. */
export interface Ownership {
  /** Keys, sorted. */
  readonly owners: readonly string[];
  readonly rule: Rule;
}

/** Founding text of a combined peer, parsed; `params` belong to the backend. */
export const foundingTerms = z
  .strictObject({
    name: title.min(1),
    backend: z.string().min(1).max(32),
    params: z.record(z.string(), z.unknown()),
    owners: z.array(hex64).min(1).max(SIGNERS_MAX).refine(isSortedSet, 'not sorted'),
    rule,
  })
  .refine(
    (terms) => terms.rule === 'all' || terms.rule.n === terms.owners.length,
    'rule of others',
  );
export type FoundingTerms = z.output<typeof foundingTerms>;

/** Signatures that a change needs of `owners` owners. */
export function signaturesNeeded(of: Rule, ownerCount: number): number {
  return of === 'all' ? ownerCount : of.m;
}

/**
 * What a log entry may say of the owners: all who own the peer from the next text on, and their rule.
 * Both or neither, so that no rule is left that its owners cannot meet.
 */
export const ownershipFields = {
  owners: z.array(hex64).min(1).max(SIGNERS_MAX).refine(isSortedSet, 'not sorted').optional(),
  rule: rule.optional(),
};

/** Whether the fields are there together, and the rule counts these owners. */
export function isOwnership(of: {
  readonly owners?: readonly string[] | undefined;
  readonly rule?: Rule | undefined;
}): boolean {
  if (of.owners === undefined || of.rule === undefined) return of.owners === of.rule;
  return of.rule === 'all' || of.rule.n === of.owners.length;
}

/** Who owns a peer after a log entry that has passed `isOwnership`. */
export function ownershipAfter(
  before: Ownership,
  of: { readonly owners?: readonly string[] | undefined; readonly rule?: Rule | undefined },
): Ownership {
  return { owners: of.owners ?? before.owners, rule: of.rule ?? before.rule };
}

/** Owners whom a change adds: without their own signature nobody becomes one. */
export function addedOwners(before: Ownership, after: Ownership): string[] {
  return after.owners.filter((owner) => !before.owners.includes(owner));
}

/**
 * Whether who signed a log entry may make it: those who own the peer before it, by their rule, and each
 * whom it adds. Who is removed need not agree, and nobody else signs.
 * @returns null where they may
 */
export function refuseSigners(
  before: Ownership,
  after: Ownership,
  signers: readonly string[],
): 'signer-unknown' | 'rule-not-met' | 'owner-unsigned' | null {
  const added = addedOwners(before, after);
  if (!signers.every((key) => before.owners.includes(key) || added.includes(key))) {
    return 'signer-unknown';
  }
  const ofBefore = signers.filter((key) => before.owners.includes(key));
  if (ofBefore.length < signaturesNeeded(before.rule, before.owners.length)) return 'rule-not-met';
  return added.every((key) => signers.includes(key)) ? null : 'owner-unsigned';
}

/** Reads a founding text; null where it is none or not canonical. */
export function parseFounding(text: string): FoundingTerms | null {
  const parsed = parseStrict(text);
  if (!parsed.ok || canonicalText(parsed.value) !== text) return null;
  const terms = foundingTerms.safeParse(parsed.value);
  return terms.success ? terms.data : null;
}

/** `data` with which a peer without owners registers itself. */
export function singlePeer(keyData: string, name: string): PeerFields {
  return {
    key_id: keyData,
    key_data: keyData,
    key_type: KEY_TYPE_ED25519,
    key_type_params: '',
    name,
    status: 'READY',
    owners: [],
  };
}

/** `data` with which the owners of a founding text create their peer. */
export function combinedPeer(primitives: Primitives, terms: FoundingTerms): PeerFields {
  const foundingText = canonicalText(terms);
  return {
    key_id: hashText(primitives, foundingText),
    key_data: foundingText,
    key_type: KEY_TYPE_COMBINED,
    key_type_params: canonicalText({ backend: terms.backend, params: terms.params }),
    name: terms.name,
    status: 'READY',
    owners: terms.owners.map((owner) => ({ owner_key_id: owner })),
  };
}

/**
 * `data` of `PATCH /peers/ID`: exactly one of `log` and `snapshot`. Each chain names in `previous`
 * the SHA-256 of the consensus text before it, the first the peer id; `info.on_last_consensus_id` is
 * the consensus id of that text, the first the founding's.
 */
export const peerUpdate = z
  .strictObject({
    peer_id: peerId,
    log: z
      .looseObject({ previous: hex64, ...ownershipFields })
      .refine(isOwnership, 'owners and their rule')
      .optional(),
    snapshot: z
      .looseObject({ previous: hex64, number: z.int().min(1), log_head: hex64 })
      .optional(),
  })
  .refine((data) => (data.log === undefined) !== (data.snapshot === undefined), 'one of two');
export type PeerUpdate = z.output<typeof peerUpdate>;

/** `<mix-net URL>nodes.json`, unverified: the whole chain from the founding on (design §8). */
export const nodesJson = z.object({
  mixnet: peerId,
  founding: consensusRecord,
  log: z.array(consensusRecord),
  /** Null until the first one is agreed. */
  snapshot: consensusRecord.nullable(),
});
export type NodesJson = z.output<typeof nodesJson>;
