/**
 * What a peer is, who may make and change it, and how its two chains grow (design §7, §8). Pure. What
 * log and snapshot say is the business of src/mixnet and of who verifies nodes.json; the controller
 * checks what keeps a chain whole.
 */
import { canonicalText } from '../../src/api/canonical.ts';
import {
  combinedPeer,
  type ConsensusLog,
  KEY_TYPE_ED25519,
  type Ownership,
  ownershipAfter,
  parseFounding,
  type PeerData,
  type PeerFields,
  type PeerUpdate,
  refuseSigners,
  singlePeer,
} from '../../src/api/peer.ts';
import { hashText, type RequestInfo } from '../../src/api/signed.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import { type Agreed, isAgreedBy } from '../decisions.ts';

/** Changes that one mixnet may log: three a week for six years, each 60 kB for 256 nodes. */
export const LOG_MAX = 1024;

/**
 * A peer, stored. What was agreed stands in the negotiations, which are kept; here is what the rules and
 * the lists need, since a log may be long.
 */
export interface Peer extends Ownership {
  /** As it was made: of a combined peer with those who founded it. */
  readonly data: PeerFields;
  /** The founding, then the log. */
  readonly logs: readonly ConsensusLog[];
  /** SHA-256 of the last log entry's text; null before the first. */
  readonly logHead: string | null;
  readonly snapshot: {
    readonly number: number;
    readonly consensus: string;
    readonly textHash: string;
  } | null;
}

/** The peer that an agreed `POST /peers` makes. */
export function createPeer(primitives: Primitives, data: PeerFields, agreed: Agreed): Ruled<Peer> {
  const made =
    data.key_type === KEY_TYPE_ED25519 ? single(data, agreed) : combined(primitives, data);
  if (!made.ok) return made;
  const { owners } = made.value;
  // The founding needs all, whatever rule it sets for later.
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  return allow({
    ...made.value,
    data,
    logs: [logLine(data, agreed)],
    logHead: null,
    snapshot: null,
  });
}

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
  // A log entry may say who owns the peer from the next text on; whom it adds must have signed it.
  const after = ownershipAfter(peer, data.log ?? {});
  if (refuseSigners(peer, after, agreed.signers)) return refuse('consensus-insufficient');
  const textHash = hashText(primitives, agreed.record.text);
  if (data.log !== undefined) {
    if (info.on_last_consensus_id !== peer.logs.at(-1)?.consensus_id) {
      return refuse('consensus-not-last');
    }
    if (data.log.previous !== (peer.logHead ?? peer.data.key_id)) return refuse('chain-broken');
    if (peer.logs.length > LOG_MAX) return refuse('chain-broken');
    const logs = [...peer.logs, logLine(peer.data, agreed)];
    return allow({ ...peer, ...after, logs, logHead: textHash });
  }
  if (info.on_last_consensus_id !== (peer.snapshot?.consensus ?? peer.logs[0]?.consensus_id)) {
    return refuse('consensus-not-last');
  }
  return data.snapshot === undefined
    ? refuse('request-malformed')
    : takeSnapshot(peer, data.snapshot, { consensus: agreed.record.consensus, textHash });
}

function takeSnapshot(
  peer: Peer,
  { number, previous, log_head }: NonNullable<PeerUpdate['snapshot']>,
  agreed: { readonly consensus: string; readonly textHash: string },
): Ruled<Peer> {
  if (log_head !== peer.logHead) return refuse('chain-broken');
  if (previous !== (peer.snapshot?.textHash ?? peer.data.key_id)) return refuse('chain-broken');
  if (number <= (peer.snapshot?.number ?? 0)) return refuse('chain-broken');
  return allow({ ...peer, snapshot: { number, ...agreed } });
}

function logLine(data: PeerFields, { record }: Agreed): ConsensusLog {
  return { timestamp: record.timestamp, status: data.status, consensus_id: record.consensus };
}

/** `data` of `GET /peers/ID`: as founded, with the owners of now. */
export function peerView(peer: Peer): PeerData {
  const isSingle = peer.data.key_type === KEY_TYPE_ED25519;
  const owners = isSingle ? [] : peer.owners.map((owner) => ({ owner_key_id: owner }));
  return { ...peer.data, owners, consensus_logs: [...peer.logs] };
}
