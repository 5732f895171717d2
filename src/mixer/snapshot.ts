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
import { TEXT_MS_MAX } from './pace.ts';

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

/**
 * A node's first word: its own entry.
 * @param changeNegotiationId where its operator proposes a change of the log: the others' operators are told
 */
export function offerEntry(
  ground: SnapshotGround,
  entry: SignedEntry,
  nextNegotiationId: string,
  changeNegotiationId: string | null = null,
): Draft {
  return {
    data: { peer_id: ground.mixnetId, entry },
    info: infoOf(ground),
    meta: {
      next_negotiation_id: nextNegotiationId,
      ...(changeNegotiationId !== null && { change_negotiation_id: changeNegotiationId }),
    },
  };
}

/** What the nodes of the log have offered for one number. */
export interface Offers {
  /** One of each node that has signed one, sorted by peer id. */
  readonly entries: readonly SignedEntry[];
  /** Peer ids of nodes that have signed different ones, which are left out. */
  readonly twoFaced: readonly string[];
}

/** All that was offered for this number. */
export function offersIn(
  primitives: Primitives,
  statements: Meeting['statements'],
  ground: SnapshotGround,
): Offers {
  const entries: SignedEntry[] = [];
  const twoFaced: string[] = [];
  for (const node of ground.head.nodes) {
    const [first, ...others] = entriesOf(primitives, statements, ground, node.peer_id);
    if (first === undefined) continue;
    if (others.length === 0) entries.push(first);
    else twoFaced.push(node.peer_id);
  }
  return { entries, twoFaced };
}

/** The different entries that one node has signed for this number. */
function entriesOf(
  primitives: Primitives,
  statements: Meeting['statements'],
  { mixnetId, number, terms }: SnapshotGround,
  peerId: string,
): SignedEntry[] {
  const different = new Map<string, SignedEntry>();
  for (const { signer, body } of statements) {
    if (signer !== peerId) continue;
    const parsed = signedEntry.safeParse((body.data as { entry?: unknown } | null)?.entry);
    if (!parsed.success || parsed.data.peer_id !== peerId) continue;
    const { signature: _, ...entry } = parsed.data;
    const text = canonicalText(entry);
    if (different.has(text)) continue;
    if (checkEntry(parsed.data, mixnetId, number, terms, primitives) === null) {
      different.set(text, parsed.data);
    }
  }
  return [...different.values()];
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
export function isQuorum(
  owners: readonly string[],
  ground: Pick<SnapshotGround, 'terms'>,
): boolean {
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

/**
 * Null where a node may sign a composed snapshot; else what is wrong with it.
 * @param statements all that was said before it: a second entry that comes later does not undo it
 */
export function reviewSnapshot(
  primitives: Primitives,
  body: ContributionBody,
  statements: Meeting['statements'],
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
  if (!isSignable(body, nowMs)) return 'text-expires-late';
  return (
    reviewEntries(primitives, text.entries, ground, own) ??
    reviewFaces(primitives, text.entries, statements, ground) ??
    reviewSigners(primitives, body, statements, text.entries, ground, own)
  );
}

/**
 * Whether a text runs out soon enough to be signed. Who has signed one waits until it has run out: a hostile
 * owner's that never did, and for which he took his own signature back, would hold up all who signed it.
 */
export function isSignable({ meta }: Pick<ContributionBody, 'meta'>, nowMs: number): boolean {
  return Date.parse(meta.expires ?? '') <= nowMs + TEXT_MS_MAX + STALE_MS;
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

function reviewFaces(
  primitives: Primitives,
  entries: readonly SignedEntry[],
  statements: Meeting['statements'],
  ground: SnapshotGround,
): string | null {
  const { twoFaced } = offersIn(primitives, statements, ground);
  return entries.some((entry) => twoFaced.includes(entry.peer_id)) ? 'entry-equivocated' : null;
}

function reviewSigners(
  primitives: Primitives,
  body: ContributionBody,
  statements: Meeting['statements'],
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
  const isNamed = statements.some(({ body: said }) => {
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
