/**
 * What a negotiation is, how a contribution changes it and when it ends (D4.2 §6.2, design §7). Pure.
 */
import type { ContributionBody } from '../../src/api/contribution.ts';
import {
  type ConsensusRecord,
  consensusId,
  type NegotiationData,
} from '../../src/api/negotiation.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { allow, refuse, type Ruled } from '../context.ts';

/** An operator may sleep over an invitation, and be away for a weekend. */
export const OPEN_MS_MAX = 7 * 86_400_000;
/** How long an ended negotiation is kept that changed no peer. */
export const DONE_MS_MAX = 90 * 86_400_000;
/**
 * Open negotiations that one key may have begun: a node that opens one ahead of every snapshot, each two
 * hours, and sees another's used each time, has 84 of them in seven days.
 */
export const OPEN_PER_KEY_MAX = 256;
/** Contributions of one signer: rounds in which somebody changes his mind. */
export const PER_SIGNER_MAX = 64;
/** Contributions of all: 256 owners with eight rounds each. */
export const CONTRIBUTIONS_MAX = 2048;

/** One contribution as the negotiation remembers it; the text is a document of its own. */
export interface Said {
  readonly id: number;
  readonly signer: string;
  readonly signature: string;
  /** SHA-256 of the text, in hex. */
  readonly textHash: string;
  readonly accept: boolean;
}

/** A negotiation, stored. */
export interface Negotiation {
  readonly id: string;
  /** Key that began it. */
  readonly opener: string;
  readonly said: readonly Said[];
  /** Signers as the last text that names any has named them; empty before. */
  readonly named: readonly string[];
  /** Null while it is open. */
  readonly record: ConsensusRecord | null;
}

/** A contribution that has been checked by itself. */
export interface Contributed {
  readonly said: Said;
  readonly text: string;
  readonly body: ContributionBody;
}

/** A negotiation that begins. */
export function beginNegotiation(id: string, opener: string): Negotiation {
  return { id, opener, said: [], named: [], record: null };
}

/** `data` of `GET /negotiations/ID`. */
export function negotiationView(negotiation: Negotiation): NegotiationData {
  if (negotiation.record !== null) return negotiation.record;
  return {
    id: negotiation.id,
    text: null,
    status: 'OPEN',
    timestamp: null,
    consensus: null,
    signings: [],
  };
}

/** Whether a contribution is the last word of its signer. */
export function isLatest(negotiation: Negotiation, said: Said): boolean {
  return negotiation.said.findLast((one) => one.signer === said.signer)?.id === said.id;
}

/** The id under which the same signer has sent the same text before, or null. */
export function repeatOf(negotiation: Negotiation, signer: string, textHash: string): Said | null {
  const same = (one: Said): boolean => one.signer === signer && one.textHash === textHash;
  return negotiation.said.find(same) ?? null;
}

/**
 * The negotiation after a new contribution. It ends when the latest contributions of all who
 * contributed, and of all in `signers` once a text names them, are the same accepted text.
 */
export function contribute(
  primitives: Primitives,
  negotiation: Negotiation,
  { said, text, body }: Contributed,
  nowMs: number,
): Ruled<Negotiation> {
  if (negotiation.record !== null) return refuse('negotiation-done');
  const named = body.meta.signers.length > 0 ? body.meta.signers : negotiation.named;
  // A text that leaves out its own author would end without him who proposed it.
  for (const signers of [negotiation.named, named]) {
    if (signers.length > 0 && !signers.includes(said.signer)) return refuse('not-a-signer');
  }
  const own = negotiation.said.filter((one) => one.signer === said.signer);
  if (own.length >= PER_SIGNER_MAX || negotiation.said.length >= CONTRIBUTIONS_MAX) {
    return refuse('negotiation-full');
  }
  const next = { ...negotiation, named, said: [...negotiation.said, said] };
  const record = said.accept ? agreement(primitives, next, said.textHash, text, nowMs) : null;
  return allow({ ...next, record });
}

function agreement(
  primitives: Primitives,
  negotiation: Negotiation,
  textHash: string,
  text: string,
  nowMs: number,
): ConsensusRecord | null {
  const last = new Map(negotiation.said.map((one) => [one.signer, one]));
  const parties = [...new Set([...last.keys(), ...negotiation.named])].toSorted();
  const signings = [];
  for (const party of parties) {
    const said = last.get(party);
    if (said?.textHash !== textHash) return null;
    signings.push({ signer_key_id: party, signature: said.signature });
  }
  const agreed = {
    id: negotiation.id,
    text,
    signings,
    timestamp: new Date(nowMs).toISOString(),
  };
  return { ...agreed, status: 'DONE', consensus: consensusId(primitives, agreed) };
}
