/**
 * What a controller tells about a peer, checked from the mix-net URL alone: the id is the hash of the
 * founding text, that names the owners, and each line of the log is a decision that they have signed. A
 * controller may withhold; what it changes has a reason here. verify-endpoint.ts goes on from the owners.
 */
import { z } from 'zod';
import { canonicalText } from '../api/canonical.ts';
import {
  agreedPart,
  type ConsensusReason,
  type VerifiedConsensus,
  verifyConsensus,
} from '../api/negotiation.ts';
import {
  combinedPeer,
  type ConsensusLog,
  type FoundingTerms,
  isOwnership,
  type Ownership,
  ownershipAfter,
  ownershipFields,
  parseFounding,
  peerCreate,
  type PeerData,
  refuseSigners,
  type Rule,
  singlePeer,
} from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import type { Primitives } from '../crypto/primitives.ts';

/** Why something that a controller told is not believed. */
export type LieReason =
  | ConsensusReason
  /** The record of a decision is not shown, or another one, or with another time. */
  | 'record-missing'
  | 'record-foreign'
  | 'timestamp-mismatch'
  /** Who signed a decision does not own the peer, or they are too few. */
  | 'signer-unknown'
  | 'rule-not-met'
  | 'owner-unsigned'
  /** A decision about something else, or one that does not follow the one before it. */
  | 'log-missing'
  | 'change-foreign'
  | 'chain-broken'
  | 'peer-foreign'
  | 'founding-mismatch'
  | 'owners-mismatch'
  | 'fields-mismatch'
  | 'endpoint-foreign'
  | 'endpoint-mismatch'
  | 'status-mismatch'
  | 'size-mismatch'
  | 'inbox-hash-mismatch'
  | 'outbox-hash-mismatch'
  | 'proof-mismatch'
  | 'last-message-mismatch'
  | 'message-hash-wrong'
  | 'message-order'
  | 'message-repeated'
  | 'message-missing'
  | 'message-unexpected';

/** What holds, or why it does not. */
export type Told<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: LieReason };

/** Consensus records by consensus id, as the controller showed them. */
export type Records = ReadonlyMap<string, unknown>;

/** Whose signatures a decision about a peer and its endpoints needs. */
export interface VerifiedPeer {
  readonly peerId: string;
  readonly name: string;
  /** Of now, sorted; a peer without owners is its own. */
  readonly owners: readonly string[];
  /** Of later changes; the founding and endpoints need all. */
  readonly rule: Rule;
  /** Null for a peer without owners. */
  readonly terms: FoundingTerms | null;
}

/** What a log entry says of owners; the rest of it belongs to the backend. */
const logFields = z
  .looseObject({ previous: z.unknown(), ...ownershipFields })
  .refine(isOwnership, 'owners and their rule');

/** A check that failed: unwinds to the function that answers with its reason, never further. */
class Lie extends Error {
  readonly reason: LieReason;
  constructor(reason: LieReason) {
    super(reason);
    this.reason = reason;
  }
}

/** Throws where a condition does not hold; only inside `told`. */
export function hold(holds: boolean, reason: LieReason): asserts holds {
  if (!holds) throw new Lie(reason);
}

/** Turns checks that throw into an answer. */
export function told<T>(checks: () => T): Told<T> {
  try {
    return { ok: true, value: checks() };
  } catch (error) {
    if (error instanceof Lie) return { ok: false, reason: error.reason };
    throw error;
  }
}

/**
 * Checks a peer.
 * @param peerId out of the mix-net URL: all that is believed beforehand
 * @param said `data` of `GET /peers/ID`
 * @param records those that `said.consensus_logs` names
 */
export function verifyPeer(
  primitives: Primitives,
  peerId: string,
  said: PeerData,
  records: Records,
): Told<VerifiedPeer> {
  return told(() => {
    hold(said.key_id === peerId, 'peer-foreign');
    const peer = said.key_data === peerId ? single(said) : combined(primitives, said);
    const [founding, ...log] = said.consensus_logs;
    hold(founding !== undefined, 'log-missing');
    hold(founding.status === said.status, 'status-mismatch');
    const first = decisionOf(primitives, founding, records);
    const { consensus_logs: _, owners: _now, ...fields } = said;
    requestIn(first, 'peer', 'create', ({ data }) => {
      const parsed = peerCreate.safeParse(data);
      if (!parsed.success) return false;
      const { owners: _founders, ...agreed } = parsed.data;
      return canonicalText(agreed) === canonicalText(fields);
    });
    holdSigned(first, peer.owners, peer.owners.length);
    const last = walkLog(primitives, peer, { log, founding }, records);
    const shown = peer.terms === null ? [] : last.owners.map((key) => ({ owner_key_id: key }));
    hold(canonicalText(said.owners) === canonicalText(shown), 'owners-mismatch');
    return { ...peer, ...last };
  });
}

/** Each line a decision that follows the one before, by who owned the peer then; who owns it after the last. */
function walkLog(
  primitives: Primitives,
  peer: VerifiedPeer,
  { log, founding }: { readonly log: readonly ConsensusLog[]; readonly founding: ConsensusLog },
  records: Records,
): Ownership {
  let owned: Ownership = { owners: peer.owners, rule: peer.rule };
  let [lastId, lastHash] = [founding.consensus_id, peer.peerId];
  for (const line of log) {
    const decision = decisionOf(primitives, line, records);
    const { data, info } = requestIn(
      decision,
      'peer',
      'partial_update',
      (part) => part.data['peer_id'] === peer.peerId && 'log' in part.data,
    );
    const entry = logFields.safeParse(data['log']);
    hold(entry.success, 'owners-mismatch');
    hold(
      info['on_last_consensus_id'] === lastId && entry.data.previous === lastHash,
      'chain-broken',
    );
    const after = ownershipAfter(owned, entry.data);
    const refused = refuseSigners(owned, after, decision.signers);
    if (refused) throw new Lie(refused);
    [lastId, lastHash, owned] = [line.consensus_id, hashText(primitives, decision.text), after];
  }
  return owned;
}

function single(said: PeerData): VerifiedPeer {
  const { consensus_logs: _, ...fields } = said;
  const expected = singlePeer(said.key_id, said.name);
  hold(said.owners.length === 0, 'owners-mismatch');
  hold(canonicalText(fields) === canonicalText(expected), 'fields-mismatch');
  return { peerId: said.key_id, name: said.name, owners: [said.key_id], rule: 'all', terms: null };
}

function combined(primitives: Primitives, said: PeerData): VerifiedPeer {
  hold(hashText(primitives, said.key_data) === said.key_id, 'founding-mismatch');
  const terms = parseFounding(said.key_data);
  hold(terms !== null, 'founding-mismatch');
  const { consensus_logs: _, owners: _now, ...fields } = said;
  const { owners: _founders, ...expected } = combinedPeer(primitives, terms);
  hold(canonicalText(fields) === canonicalText(expected), 'fields-mismatch');
  const { name, owners, rule } = terms;
  return { peerId: said.key_id, name, owners, rule, terms };
}

/** The decision that a line of a log names, where its record convinces. Throws inside `told`. */
export function decisionOf(
  primitives: Primitives,
  line: ConsensusLog,
  records: Records,
): VerifiedConsensus {
  const record = records.get(line.consensus_id);
  hold(record !== undefined && record !== null, 'record-missing');
  const verified = verifyConsensus(primitives, record);
  if (!verified.ok) throw new Lie(verified.reason);
  const { consensus } = verified;
  hold(consensus.consensusId === line.consensus_id, 'record-foreign');
  hold((record as { timestamp: string }).timestamp === line.timestamp, 'timestamp-mismatch');
  return consensus;
}

/** A request that was agreed on. */
export interface AgreedRequest {
  readonly data: Readonly<Record<string, unknown>>;
  readonly info: Readonly<Record<string, unknown>>;
}

/**
 * The request in a decision, or in one part of it, that does an operation on a resource and is about
 * what was asked. Throws `change-foreign` inside `told` where there is none.
 */
export function requestIn(
  { body }: VerifiedConsensus,
  resource: string,
  operation: string,
  isAbout: (request: AgreedRequest) => boolean,
): AgreedRequest {
  const parts = Array.isArray(body.data) ? [...body.data.keys()] : [undefined];
  for (const part of parts) {
    const { data, info } = agreedPart(body, part) ?? {};
    if (!isObject(data) || !isObject(info)) continue;
    if (info['resource'] !== resource || info['operation'] !== operation) continue;
    if (isAbout({ data, info })) return { data, info };
  }
  throw new Lie('change-foreign');
}

/** Owners alone have signed, and as many as needed. Throws inside `told`. */
export function holdSigned(
  { signers }: VerifiedConsensus,
  owners: readonly string[],
  needed: number,
): void {
  hold(
    signers.every((signer) => owners.includes(signer)),
    'signer-unknown',
  );
  hold(signers.length >= needed, 'rule-not-met');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
