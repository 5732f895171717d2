/**
 * What a peer is, who may make and change it, and how its two chains grow (design §7, §8). Pure. What
 * log and snapshot say is the business of src/mixnet and of who verifies nodes.json; the controller
 * checks what keeps a chain whole.
 */
import { canonicalText } from '../../src/api/canonical.ts';
import {
  combinedPeer,
  KEY_TYPE_ED25519,
  type NodesJson,
  parseFounding,
  type PeerData,
  type PeerFields,
  type PeerUpdate,
  type Rule,
  signaturesNeeded,
  singlePeer,
} from '../../src/api/peer.ts';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { hashText, type RequestInfo } from '../../src/api/signed.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import { type Agreed, isAgreedBy } from '../decisions.ts';

/** Changes that one mixnet may log: one a day for 27 years. */
export const LOG_MAX = 10_000;

/** A peer, stored. */
export interface Peer {
  readonly data: PeerFields;
  /** Keys, sorted; a peer without owners is its own. */
  readonly owners: readonly string[];
  readonly rule: Rule;
  readonly founding: ConsensusRecord;
  readonly log: readonly ConsensusRecord[];
  readonly snapshot: { readonly record: ConsensusRecord; readonly number: number } | null;
}

/** The peer that an agreed `POST /peers` makes. */
export function createPeer(primitives: Primitives, data: PeerFields, agreed: Agreed): Ruled<Peer> {
  const made =
    data.key_type === KEY_TYPE_ED25519 ? single(data, agreed) : combined(primitives, data);
  if (!made.ok) return made;
  const { owners } = made.value;
  // The founding needs all, whatever rule it sets for later.
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  return allow({ ...made.value, data, founding: agreed.record, log: [], snapshot: null });
}

type Ownership = Pick<Peer, 'owners' | 'rule'>;

function single(data: PeerFields, agreed: Agreed): Ruled<Ownership> {
  if (!sameFields(data, singlePeer(data.key_id, data.name))) return refuse('peer-malformed');
  if (data.key_id !== agreed.applicant) return refuse('key-foreign');
  return allow({ owners: [data.key_id], rule: 'all' });
}

function combined(primitives: Primitives, data: PeerFields): Ruled<Ownership> {
  const terms = parseFounding(data.key_data);
  if (terms === null) return refuse('peer-malformed');
  if (!sameFields(data, combinedPeer(primitives, terms))) return refuse('peer-malformed');
  return allow({ owners: terms.owners, rule: terms.rule });
}

function sameFields(left: PeerFields, right: PeerFields): boolean {
  return canonicalText(left) === canonicalText(right);
}

/** A combined peer after an agreed `PATCH /peers/ID`. */
export function updatePeer(
  primitives: Primitives,
  peer: Peer,
  data: PeerUpdate,
  info: RequestInfo,
  agreed: Agreed,
): Ruled<Peer> {
  if (peer.data.key_type === KEY_TYPE_ED25519) return refuse('peer-malformed');
  const needed = signaturesNeeded(peer.rule, peer.owners.length);
  if (!isAgreedBy(agreed.signers, peer.owners, needed)) return refuse('consensus-insufficient');
  const chain = data.log === undefined ? peer.snapshot?.record : peer.log.at(-1);
  if (info.on_last_consensus_id !== (chain ?? peer.founding).consensus) {
    return refuse('consensus-not-last');
  }
  const previous = chain === undefined ? peer.data.key_id : hashText(primitives, chain.text);
  if (data.log !== undefined) {
    if (data.log.previous !== previous) return refuse('chain-broken');
    if (peer.log.length >= LOG_MAX) return refuse('chain-broken');
    return allow({ ...peer, log: [...peer.log, agreed.record] });
  }
  return data.snapshot === undefined
    ? refuse('request-malformed')
    : takeSnapshot(primitives, peer, data.snapshot, previous, agreed);
}

function takeSnapshot(
  primitives: Primitives,
  peer: Peer,
  snapshot: NonNullable<PeerUpdate['snapshot']>,
  previous: string,
  agreed: Agreed,
): Ruled<Peer> {
  const head = peer.log.at(-1);
  if (head === undefined || snapshot.log_head !== hashText(primitives, head.text)) {
    return refuse('chain-broken');
  }
  if (snapshot.previous !== previous) return refuse('chain-broken');
  if (snapshot.number <= (peer.snapshot?.number ?? 0)) return refuse('chain-broken');
  return allow({ ...peer, snapshot: { record: agreed.record, number: snapshot.number } });
}

/** `data` of `GET /peers/ID`. */
export function peerView(peer: Peer): PeerData {
  const logs = [peer.founding, ...peer.log].map((record) => ({
    timestamp: record.timestamp,
    status: peer.data.status,
    consensus_id: record.consensus,
  }));
  return { ...peer.data, consensus_logs: logs };
}

/** `nodes.json` of a combined peer. */
export function nodesView(peer: Peer): NodesJson {
  return {
    mixnet: peer.data.key_id,
    founding: peer.founding,
    log: [...peer.log],
    snapshot: peer.snapshot?.record ?? null,
  };
}
