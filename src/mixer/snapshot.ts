/**
 * One snapshot between entries and signature (design §8): every node says where it is, the first of them
 * composes, and each looks at all of it before it signs, with nobody watching. Pure.
 */
import { canonicalText } from '../api/canonical.ts';
import type { ContributionBody } from '../api/contribution.ts';
import { signaturesNeeded } from '../api/peer.ts';
import { hashText, STALE_MS } from '../api/signed.ts';
import type { Draft } from '../client/agree.ts';
import type { Meeting } from '../client/meeting.ts';
import type { Primitives } from '../crypto/primitives.ts';
import {
  signedEntry,
  snapshot as snapshotSchema,
  type LogEntry,
  type SignedEntry,
  type Snapshot,
} from '../mixnet/directory-texts.ts';
import type { Foundation } from '../mixnet/verify-log.ts';
import { checkEntry } from '../mixnet/verify-nodes.ts';

/** What the next snapshot stands on; the same for every node that has verified the same nodes.json. */
export interface SnapshotGround {
  readonly mixnetId: string;
  /** With the owners and the rule of the log's head. */
  readonly terms: Foundation['present'];
  readonly number: number;
  /** Hash of the snapshot before; the mixnet id before the first. */
  readonly previous: string;
  /** Consensus id of the snapshot before; the founding's before the first. */
  readonly lastConsensusId: string;
  readonly logHead: string;
  readonly head: LogEntry;
}

/** A node's first word: its own entry. */
export function offerEntry(
  ground: SnapshotGround,
  entry: SignedEntry,
  nextNegotiationId: string,
): Draft {
  return {
    data: { peer_id: ground.mixnetId, entry },
    info: infoOf(ground),
    meta: { next_negotiation_id: nextNegotiationId },
  };
}

/** The entries that the nodes of the log have offered for this number, one each, sorted by peer id. */
export function offeredEntries(
  primitives: Primitives,
  meeting: Meeting,
  ground: SnapshotGround,
): SignedEntry[] {
  return ground.head.nodes.flatMap((node) => {
    const offers = meeting.statements.flatMap((said): SignedEntry[] => {
      if (said.signer !== node.peer_id) return [];
      const parsed = signedEntry.safeParse((said.body.data as { entry?: unknown } | null)?.entry);
      if (!parsed.success || parsed.data.peer_id !== node.peer_id) return [];
      const { mixnetId, number, terms } = ground;
      return checkEntry(parsed.data, mixnetId, number, terms, primitives) === null
        ? [parsed.data]
        : [];
    });
    return offers.slice(-1);
  });
}

/** Owners whose nodes have offered an entry: those who can sign now. Sorted. */
export function presentOwners(entries: readonly SignedEntry[], ground: SnapshotGround): string[] {
  const present = new Set(entries.map((entry) => entry.peer_id));
  const owners = ground.head.nodes
    .filter((node) => present.has(node.peer_id))
    .map((node) => node.owner);
  return [...new Set(owners)].toSorted();
}

/** Whether so many owners can agree on a snapshot by the founding rule. */
export function isQuorum(owners: readonly string[], ground: SnapshotGround): boolean {
  return owners.length >= signaturesNeeded(ground.terms.rule, ground.terms.owners.length);
}

/**
 * The text that all who are present shall sign. It names no signers: as many as the rule asks for end the
 * negotiation, so nobody who goes away in the middle of it holds up the others. Traffic and
 * lifetime are the log's: nobody invents others.
 */
export function composeSnapshot(
  entries: readonly SignedEntry[],
  ground: SnapshotGround,
  nextNegotiationId: string,
  nowMs: number,
): Draft & { readonly signers: readonly string[] } {
  const text: Snapshot = {
    number: ground.number,
    previous: ground.previous,
    log_head: ground.logHead,
    entries: [...entries],
    traffic: ground.head.traffic,
    valid_from: new Date(nowMs).toISOString(),
    valid_until: new Date(nowMs + ground.head.snapshot_lifetime_ms).toISOString(),
  };
  return {
    data: { peer_id: ground.mixnetId, snapshot: text },
    info: infoOf(ground),
    meta: { next_negotiation_id: nextNegotiationId },
    signers: [],
  };
}

/** Null where a node may sign a composed snapshot; else what is wrong with it. */
export function reviewSnapshot(
  primitives: Primitives,
  body: ContributionBody,
  meeting: Meeting,
  ground: SnapshotGround,
  own: SignedEntry,
  nowMs: number,
): string | null {
  const parsed = snapshotSchema.safeParse((body.data as { snapshot?: unknown } | null)?.snapshot);
  if (!parsed.success) return 'snapshot-malformed';
  const text = parsed.data;
  const whole = { data: { peer_id: ground.mixnetId, snapshot: text }, info: infoOf(ground) };
  if (canonicalText({ data: body.data, info: body.info }) !== canonicalText(whole)) {
    return 'change-foreign';
  }
  if (text.number !== ground.number) return 'snapshot-number-mismatch';
  if (text.previous !== ground.previous) return 'snapshot-broken';
  if (text.log_head !== ground.logHead) return 'snapshot-log-mismatch';
  if (canonicalText(text.traffic) !== canonicalText(ground.head.traffic)) {
    return 'snapshot-traffic-mismatch';
  }
  const fromMs = Date.parse(text.valid_from);
  if (Date.parse(text.valid_until) - fromMs !== ground.head.snapshot_lifetime_ms) {
    return 'snapshot-lifetime-mismatch';
  }
  if (Math.abs(fromMs - nowMs) > STALE_MS) return 'snapshot-time-mismatch';
  return (
    reviewEntries(primitives, text.entries, ground, own) ??
    reviewSigners(primitives, body, meeting, text.entries, ground, own)
  );
}

function reviewEntries(
  primitives: Primitives,
  entries: readonly SignedEntry[],
  ground: SnapshotGround,
  own: SignedEntry,
): string | null {
  const { mixnetId, number, terms, head } = ground;
  for (const [index, entry] of entries.entries()) {
    if (index > 0 && (entries[index - 1] as SignedEntry).peer_id >= entry.peer_id) {
      return 'entry-repeated';
    }
    if (!head.nodes.some((node) => node.peer_id === entry.peer_id)) return 'entry-foreign';
    const refused = checkEntry(entry, mixnetId, number, terms, primitives);
    if (refused) return refused;
  }
  const mine = entries.find((entry) => entry.peer_id === own.peer_id);
  return canonicalText(mine ?? null) === canonicalText(own) ? null : 'own-entry-changed';
}

function reviewSigners(
  primitives: Primitives,
  body: ContributionBody,
  meeting: Meeting,
  entries: readonly SignedEntry[],
  ground: SnapshotGround,
  own: SignedEntry,
): string | null {
  const { signers, next_negotiation_hash: hash } = body.meta;
  const present = presentOwners(entries, ground);
  if (signers.length > 0) return 'signers-differ';
  if (!isQuorum(present, ground)) return 'rule-not-met';
  const ownOwner = ground.head.nodes.find((node) => node.peer_id === own.peer_id)?.owner;
  if (ownOwner === undefined || !present.includes(ownOwner)) return 'signers-differ';
  const isNamed = meeting.statements.some(({ body: said }) => {
    const id = said.meta.next_negotiation_id;
    return id !== undefined && hashText(primitives, id) === hash;
  });
  return isNamed ? null : 'next-negotiation-differs';
}

function infoOf(ground: SnapshotGround): object {
  return {
    resource: 'peer',
    operation: 'partial_update',
    on_last_consensus_id: ground.lastConsensusId,
  };
}
