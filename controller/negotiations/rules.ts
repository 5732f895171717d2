/**
 * What a negotiation is, how a contribution changes it and when it ends (D4.2 §6.2, design §7). Pure.
 */
import { type ContributionBody, SIGNERS_MAX, TEXT_LENGTH_MAX } from '../../src/api/contribution.ts';
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
/** Length of all texts of one signer: a few that are as long as may be, or all his rounds. */
export const PER_SIGNER_LENGTH_MAX = 4 * TEXT_LENGTH_MAX;
/**
 * Contributions of those whom nobody has named: 256 invitees with two rounds each. Whoever has learned
 * the id can use this up, and does not keep the named ones from signing.
 */
export const UNNAMED_MAX = 512;
/** Length of their texts together: proposals to found are short. */
export const UNNAMED_LENGTH_MAX = 16 * TEXT_LENGTH_MAX;

/** One contribution as the negotiation remembers it; the text is a document of its own. */
export interface Said {
  readonly id: number;
  readonly signer: string;
  readonly signature: string;
  /** SHA-256 of the text, in hex. */
  readonly textHash: string;
  readonly length: number;
  readonly accept: boolean;
}

/** Who alone may take part, and how many of them must sign one text to end it, `required` among them. */
export interface Parties {
  readonly keys: readonly string[];
  readonly needed: number;
  readonly required: readonly string[];
}

/** A negotiation, stored. */
export interface Negotiation {
  readonly id: string;
  /** Key that began it. */
  readonly opener: string;
  /** Null where whoever knows the id may speak. */
  readonly parties: Parties | null;
  readonly said: readonly Said[];
  /** Signers as the opener's last text that names any has named them; empty before. */
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
export function beginNegotiation(id: string, opener: string, parties: Parties | null): Negotiation {
  return { id, opener, parties, said: [], named: [], record: null };
}

/** `data` of `GET /negotiations/ID`. */
export function negotiationView(negotiation: Negotiation): NegotiationData {
  if (negotiation.record !== null) return negotiation.record;
  const { parties } = negotiation;
  return {
    id: negotiation.id,
    text: null,
    status: 'OPEN',
    timestamp: null,
    consensus: null,
    signings: [],
    ...(parties !== null && { signers: [...parties.keys], needed: parties.needed }),
    ...(parties !== null && parties.required.length > 0 && { required: [...parties.required] }),
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

/** The negotiation after a new contribution; with its record where that has ended it. */
export function contribute(
  primitives: Primitives,
  negotiation: Negotiation,
  { said, text, body }: Contributed,
  nowMs: number,
): Ruled<Negotiation> {
  if (negotiation.record !== null) return refuse('negotiation-done');
  const { signers } = body.meta;
  // A text that leaves out its own author would end without him who proposed it.
  for (const those of [negotiation.parties?.keys ?? [], negotiation.named, signers]) {
    if (those.length > 0 && !those.includes(said.signer)) return refuse('not-a-signer');
  }
  // The opener's word alone: a stranger who names himself would shut all others out.
  const names = said.signer === negotiation.opener && signers.length > 0;
  const next = {
    ...negotiation,
    named: names ? signers : negotiation.named,
    said: [...negotiation.said, said],
  };
  if (isOverfull(next, said.signer)) return refuse('negotiation-full');
  const signed = said.accept ? whoEnds(next, said.textHash, signers) : null;
  const record = signed && recordOf(primitives, next, signed, text, nowMs);
  return allow({ ...next, record });
}

function isOverfull(negotiation: Negotiation, signer: string): boolean {
  const own = negotiation.said.filter((one) => one.signer === signer);
  if (isBeyond(own, PER_SIGNER_MAX, PER_SIGNER_LENGTH_MAX)) return true;
  const known = negotiation.parties?.keys ?? [negotiation.opener, ...negotiation.named];
  if (known.includes(signer)) return false;
  const unnamed = negotiation.said.filter((one) => !known.includes(one.signer));
  return isBeyond(unnamed, UNNAMED_MAX, UNNAMED_LENGTH_MAX);
}

function isBeyond(said: readonly Said[], countMax: number, lengthMax: number): boolean {
  return said.length > countMax || said.reduce((sum, { length }) => sum + length, 0) > lengthMax;
}

/**
 * Whose signatures end the negotiation on an accepted text; null while some are missing.
 * - With parties: those who have signed it, as soon as they are as many as needed and everybody required.
 *   Who else is away, or says something else, holds up nobody.
 * - Where the text names its signers: all of them, the opener among them. Others do not count.
 * - Else: all who have contributed (D4.2 §6.2.3), the opener among them.
 * So nobody ends one, or holds it up, whom neither opener nor rule counts in, whatever ids he learns.
 */
function whoEnds(
  negotiation: Negotiation,
  textHash: string,
  signers: readonly string[],
): string[] | null {
  const last = new Map(negotiation.said.map((one) => [one.signer, one]));
  const hasSigned = (key: string): boolean => last.get(key)?.textHash === textHash;
  if (negotiation.parties !== null) {
    const { keys, needed, required } = negotiation.parties;
    const signed = keys.filter(hasSigned);
    const isWhole = signed.length >= needed && [...required, ...signers].every(hasSigned);
    return isWhole ? signed : null;
  }
  const all =
    signers.length > 0 ? signers : [...new Set([...last.keys(), ...negotiation.named])].toSorted();
  const isWhole = all.includes(negotiation.opener) && all.length <= SIGNERS_MAX;
  return isWhole && all.every(hasSigned) ? [...all] : null;
}

function recordOf(
  primitives: Primitives,
  negotiation: Negotiation,
  signed: readonly string[],
  text: string,
  nowMs: number,
): ConsensusRecord {
  const signings = signed.map((key) => ({
    signer_key_id: key,
    signature: negotiation.said.findLast((one) => one.signer === key)?.signature ?? '',
  }));
  const agreed = {
    id: negotiation.id,
    text,
    signings,
    timestamp: new Date(nowMs).toISOString(),
  };
  return { ...agreed, status: 'DONE', consensus: consensusId(primitives, agreed) };
}
