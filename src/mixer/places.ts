/**
 * Where the next snapshot is agreed on, and under which number. An agreed text names the negotiation that
 * follows; what others proposed beside it are further places, in order, so that a bogus one stops nobody. An
 * attempt that comes to no end is given up by all for the next place and the next number: in each
 * negotiation, and for each number, a node signs one text. Pure.
 */
import { z } from 'zod';
import type { NegotiationData } from '../api/negotiation.ts';
import { signaturesNeeded } from '../api/peer.ts';
import { canonicalText } from '../api/canonical.ts';
import type { MeetingPlace } from '../api/meeting-place.ts';
import type { ContributionBody } from '../api/contribution.ts';
import { nextNegotiation, type Meeting } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { isSignable, type SnapshotGround } from './snapshot.ts';

const agreedData = z.object({
  snapshot: z.object({ number: z.int().min(1), previous: z.string() }),
});

/** A negotiation, and the number of the snapshot that is agreed on there. */
export interface Place {
  readonly negotiation_id: string;
  readonly number: number;
}

/** Numbers that one who says where to meet may skip: attempts of three days that all failed, */
const NUMBERS_SKIPPED_MAX = 1_000_000;
/** and one more for each second for which there has been no snapshot. */
const NUMBER_EACH_MS = 1_000;

/** Places that follow an ended negotiation: the one that the agreed text names, then the others by proposer. */
export function placesAfter(
  primitives: Primitives,
  meeting: Meeting,
  agreed: ContributionBody,
  number: number,
): Place[] {
  const named = nextNegotiation(meeting, agreed, primitives);
  const proposed = new Map<string, string>();
  for (const { signer, body } of meeting.statements) {
    const id = body.meta.next_negotiation_id;
    if (id !== undefined && !proposed.has(signer)) proposed.set(signer, id);
  }
  const others = [...proposed].toSorted(([left], [right]) => (left < right ? -1 : 1));
  const ids = new Set([...(named === null ? [] : [named]), ...others.map(([, id]) => id)]);
  ids.delete(meeting.negotiationId);
  return [...ids].map((id, index) => ({ negotiation_id: id, number: number + 1 + index }));
}

/** Between whom the next snapshot is agreed on: the owners of the log's head, by their rule. */
export function amongOwners({ terms }: Pick<SnapshotGround, 'terms'>): {
  readonly signers: readonly string[];
  readonly needed: number;
} {
  return {
    signers: terms.owners,
    needed: signaturesNeeded(terms.rule, terms.owners.length),
  };
}

/**
 * Whether a snapshot can be agreed on in a negotiation: it is open among just the owners, by just their rule, and
 * whoever opened it requires nobody in particular: without him it would never end.
 */
export function isUsable(
  negotiation: NegotiationData | null,
  ground: Pick<SnapshotGround, 'terms'>,
): boolean {
  if (negotiation?.status !== 'OPEN') return false;
  const { signers, needed, required = [] } = negotiation;
  if (required.length > 0) return false;
  const among = amongOwners(ground);
  return canonicalText(signers ?? null) === canonicalText(among.signers) && needed === among.needed;
}

/**
 * Whether the texts that somebody has signed in a negotiation have all run out, of each signer the first: who
 * signed one signs no other here. False while there is none. One that outlives what any node signs holds up
 * nobody: no snapshot comes of it.
 */
export function hasRunOut(
  meeting: Meeting,
  owners: readonly string[],
  number: number,
  nowMs: number,
): boolean {
  const first = new Map<string, number>();
  for (const { signer, accepts, body } of meeting.statements) {
    if (!accepts || !owners.includes(signer) || first.has(signer)) continue;
    const { snapshot } = (body.data ?? {}) as { snapshot?: { number?: unknown } };
    if (snapshot?.number !== number) continue;
    if (body.meta.expires !== undefined && !isSignable(body, nowMs)) continue;
    first.set(signer, Date.parse(body.meta.expires ?? ''));
  }
  return first.size > 0 && [...first.values()].every((expiresMs) => !(expiresMs > nowMs));
}

/** The snapshot that a negotiation ended in, as far as it matters for what follows; null where it is none. */
export function agreedSnapshot(
  body: ContributionBody,
): { readonly number: number; readonly previous: string } | null {
  const parsed = agreedData.safeParse(body.data);
  return parsed.success ? parsed.data.snapshot : null;
}

/** Until when what was agreed may be applied; 0 where its text does not say. */
export function appliesUntilMs(body: ContributionBody): number {
  return Date.parse(body.meta.expires ?? '') || 0;
}

/**
 * The highest number under which anybody is met now. It grows: who was lured to the highest one, and has signed
 * it in vain, signs none that is lower, and a moment later is met at the next.
 * @param last the directory; null before the first
 */
export function highestNumber(
  last: { readonly number: number; readonly validFromMs: number } | null,
  nowMs: number,
): number {
  const { number, validFromMs } = last ?? { number: 0, validFromMs: 0 };
  const sinceMs = Math.max(0, nowMs - validFromMs);
  return number + NUMBERS_SKIPPED_MAX + Math.floor(sinceMs / NUMBER_EACH_MS);
}

/**
 * Where owners say that they wait, best first: the highest number, for everybody may go there; of several the
 * lowest peer id's.
 * @param lastNumber of the directory, below which nothing is agreed on
 * @param highest beyond which nobody is met
 */
export function meetingsInOrder(
  said: readonly MeetingPlace[],
  owners: readonly string[],
  lastNumber: number,
  highest: number,
): MeetingPlace[] {
  return said
    .filter(({ owner }) => owners.includes(owner))
    .filter(({ number }) => number > lastNumber && number <= highest)
    .toSorted((left, right) =>
      left.number === right.number
        ? left.owner < right.owner
          ? -1
          : 1
        : right.number - left.number,
    );
}
