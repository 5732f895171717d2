/** Peers in Redis: one document each, an index of all, and one of those with owners. */
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import type { ConsensusLog } from '../../src/api/peer.ts';
import type { Change, Document, Documents } from '../documents.ts';
import { readInTurn } from '../lists.ts';
import { readNegotiation } from '../negotiations/store.ts';
import type { Peer } from './rules.ts';

/** Peers in one answer of `GET /peers`. */
export const LIST_MAX = 1000;
/** Peers that are known to exist without asking; each costs about 100 bytes. */
const KNOWN_MAX = 50_000;

/** A peer by its id. */
export async function readPeer(documents: Documents, peerId: string): Promise<Document<Peer>> {
  return await documents.read(documents.key('peer', peerId));
}

/** Peers in the order in which they were made. */
export async function* readPeers(documents: Documents): AsyncGenerator<Peer> {
  const ids = await documents.members(documents.key('peers'), LIST_MAX, 'lowest');
  yield* readInTurn<Peer>(
    documents,
    ids.map((id) => documents.key('peer', id)),
  );
}

/**
 * The text of `nodes.json` (`NodesJson`), in pieces: the whole chain, each record out of the negotiation
 * that it has ended.
 */
export async function* nodesPieces(documents: Documents, peer: Peer): AsyncGenerator<string> {
  const snapshot = await documents.read<ConsensusRecord>(snapshotKey(documents, peer));
  const [founding, ...log] = peer.logs;
  yield `{"mixnet":"${peer.data.key_id}","founding":${await recordText(documents, founding)},"log":[`;
  for (const [position, line] of log.entries()) {
    yield `${position === 0 ? '' : ','}${await recordText(documents, line)}`;
  }
  yield `],"snapshot":${JSON.stringify(snapshot.value)}}`;
}

async function recordText(documents: Documents, line: ConsensusLog | undefined): Promise<string> {
  const negotiation = await readNegotiation(documents, line?.consensus_id ?? '');
  return JSON.stringify(negotiation.value?.record ?? null);
}

function snapshotKey(documents: Documents, peer: Peer): string {
  return documents.key('snapshot', peer.data.key_id);
}

/** Ids of peers with owners, at most two: whether there is one mixnet here, none, or more. */
export async function readMixnets(documents: Documents): Promise<string[]> {
  return await documents.members(documents.key('mixnets'), 2, 'lowest');
}

/** What writes a peer; `before` is what was read under its id, `agreed` what has changed it. */
export function peerChange(
  documents: Documents,
  before: Document<Peer>,
  after: Peer,
  agreed: ConsensusRecord,
  nowMs: number,
): Change {
  const put: NonNullable<Change['put']>[number][] = [
    { key: before.key, value: after, ttlMs: null },
  ];
  if (after.snapshot?.consensus === agreed.consensus) {
    // A copy: the negotiation of a snapshot expires, since the next one supersedes it in hours.
    put.push({ key: snapshotKey(documents, after), value: agreed, ttlMs: null });
  }
  if (before.value !== null) return { expect: [before], put };
  const entry = { score: nowMs, member: after.data.key_id };
  const index = [{ key: documents.key('peers'), ...entry }];
  if (after.data.owners.length > 0) index.push({ key: documents.key('mixnets'), ...entry });
  return { expect: [before], put, index };
}

/** Whether keys are registered here; what is once known stays known, since no peer is ever removed. */
export class RegisteredPeers {
  readonly #documents: Documents;
  readonly #known = new Set<string>();

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  async has(peerId: string): Promise<boolean> {
    if (this.#known.has(peerId)) return true;
    if ((await readPeer(this.#documents, peerId)).value === null) return false;
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(peerId);
    return true;
  }
}
