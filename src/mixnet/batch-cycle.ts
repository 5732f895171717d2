/**
 * What an owner checks of a batch cycle before it signs or goes on (design §7): that a closing names
 * every message it was shown and none that it was not, that a link gives as many as it took. Whoever
 * fails is told by one word. (That boxes hold what was signed is checked in src/client.)
 */
import { canonicalText, parseStrict } from '../api/canonical.ts';
import { hex64, isSortedSet } from '../api/fields.ts';
import { z } from 'zod';
import type { BatchDrops } from './batch-peel.ts';

/** Why a cycle does not go on. */
export type CycleReason =
  /** A closing names too few or too many, not in order, */
  | 'size-too-small'
  | 'size-too-large'
  | 'hashes-unsorted'
  /** leaves out what this owner has read, */
  | 'message-left-out'
  /** or names what it was not shown. */
  | 'message-unseen'
  /** A link does not give what it took, less what it dropped. */
  | 'count-differs'
  /** A link took something else than it was given. */
  | 'input-differs'
  /** The last link's messages and the PROCESSBOX, or the result to be signed, are not the same. */
  | 'result-differs'
  /** A text changes something else than the cycle, or names other signers. */
  | 'step-differs'
  | 'next-negotiation-differs'
  /** A dummy of this owner was closed in and has not come out. */
  | 'dummy-lost'
  /** Proof that cannot be read, or that shows dummies which are none. */
  | 'proof-malformed'
  | 'dummy-foreign';

/** A message as somebody read it from a box, checked against its hash. */
export interface BoxMessage {
  readonly id: number;
  readonly messageHash: string;
}

/**
 * Null where a closing may be signed. Ids are the controller's, in the order of arrival: the named ones
 * must be all up to the highest of them, so that no choice is left to whoever composes.
 * @param read the INBOX as it is shown to us now
 * @param seen what we have said that we had read, before anything was composed
 */
export function reviewClosing(
  named: readonly string[],
  read: readonly BoxMessage[],
  seen: readonly string[],
  sizes: { readonly sizeMin: number; readonly sizeMax: number },
): CycleReason | null {
  if (!isSortedSet(named)) return 'hashes-unsorted';
  if (named.length < sizes.sizeMin) return 'size-too-small';
  if (named.length > sizes.sizeMax) return 'size-too-large';
  const chosen = new Set(named);
  if (!seen.every((hash) => chosen.has(hash))) return 'message-left-out';
  const shown = new Map(read.map((message) => [message.messageHash, message.id]));
  if (!named.every((hash) => shown.has(hash))) return 'message-unseen';
  const lastId = Math.max(0, ...named.map((hash) => shown.get(hash) as number));
  const whole = read.every(({ id, messageHash: hash }) => id > lastId || chosen.has(hash));
  return whole ? null : 'message-left-out';
}

/** The messages to close with: the oldest up to `sizeMax`, sorted by hash; null while they are too few. */
export function chooseClosing(
  read: readonly BoxMessage[],
  sizes: { readonly sizeMin: number; readonly sizeMax: number },
): string[] | null {
  if (read.length < sizes.sizeMin) return null;
  const oldest = read.toSorted((left, right) => left.id - right.id).slice(0, sizes.sizeMax);
  return oldest.map((message) => message.messageHash).toSorted();
}

/** `process_proof` of a link, parsed. */
export interface LinkProof {
  readonly cycle: string;
  readonly drops: BatchDrops;
}

/** What went through one link, as its owner has signed it. */
export interface LinkCount {
  readonly took: number;
  readonly gave: number;
  readonly drops: BatchDrops;
}

/** Null where every link took what the one before gave, and gave that less what it dropped. */
export function checkCounts(accepted: number, links: readonly LinkCount[]): CycleReason | null {
  let count = accepted;
  for (const { took, gave, drops } of links) {
    const dropped = Object.values(drops).reduce((sum, each) => sum + each, 0);
    if (took !== count || gave !== took - dropped) return 'count-differs';
    count = gave;
  }
  return null;
}

const linkProof = z.strictObject({
  cycle: hex64,
  drops: z.record(z.string(), z.int().min(1)),
});
const cycleProof = z.strictObject({
  dummies: z.array(hex64).refine(isSortedSet, 'not sorted'),
});

/** `process_proof` of a link: for which cycle (the gateway's closing), and what it dropped, and why. */
export function encodeLinkProof(proof: LinkProof): string {
  return canonicalText(proof);
}

/** What `encodeLinkProof` wrote, or null. */
export function decodeLinkProof(text: string | undefined): LinkProof | null {
  const proof = linkProof.safeParse(parsed(text));
  return proof.success ? proof.data : null;
}

/** `process_proof` of a whole cycle: the nonces of the owners' dummies, so that readers leave them out. */
export function encodeCycleProof(nonces: readonly string[]): string {
  return canonicalText({ dummies: nonces.toSorted() });
}

/** What `encodeCycleProof` wrote, or null. */
export function decodeCycleProof(text: string | undefined): readonly string[] | null {
  const proof = cycleProof.safeParse(parsed(text));
  return proof.success ? proof.data.dummies : null;
}

function parsed(text: string | undefined): unknown {
  const read = text === undefined ? null : parseStrict(text);
  return read?.ok && canonicalText(read.value) === text ? read.value : null;
}
