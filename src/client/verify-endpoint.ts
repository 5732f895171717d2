/**
 * What a controller tells about an endpoint of a verified peer, and what it shows of a box: parameters and
 * keys are those that all owners signed, each transition is a decision of theirs that follows the one
 * before, hashes are those of the messages that the decisions name, and the messages have these hashes.
 */
import { canonicalText } from '../api/canonical.ts';
import {
  CONTINUOUS,
  endpointCreate,
  type EndpointData,
  type EndpointFields,
  type EndpointStatus,
  endpointUpdate,
  type EndpointUpdate,
} from '../api/endpoint.ts';
import { batchHash, type Box, messageHash, postedInto } from '../api/message.ts';
import type { ConsensusLog } from '../api/peer.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { InboxMessage } from './controller.ts';
import {
  decisionOf,
  hold,
  holdSigned,
  type Records,
  requestIn,
  type Told,
  told,
  type VerifiedPeer,
} from './verify.ts';

/** An endpoint as its owners have agreed on it. */
export interface VerifiedEndpoint {
  readonly fields: EndpointFields;
  readonly status: EndpointStatus;
  /** Message hashes that the present cycle has taken, sorted; null before its closing, or without cycles. */
  readonly accepted: readonly string[] | null;
  /** Consensus id of the present cycle's closing; null before it. */
  readonly closedBy: string | null;
  /** Message hashes that it has given; null before they are published. */
  readonly published: readonly string[] | null;
  /** `process_proof` of what was published; null before. */
  readonly proof: string | null;
  /** The decision that the next one follows. */
  readonly lastConsensusId: string;
}

/** From which status to which; a batch endpoint opens its next cycle after PROCESSED. */
const NEXT: Readonly<Record<EndpointStatus, readonly EndpointStatus[]>> = {
  OPEN: ['FULL', 'CLOSED'],
  FULL: ['OPEN', 'CLOSED'],
  CLOSED: ['PROCESSED'],
  PROCESSED: ['OPEN'],
};

/**
 * Checks an endpoint.
 * @param peer its peer, verified
 * @param said `data` of `GET /endpoints/ID`
 * @param records those that `said.consensus_logs` names
 */
export function verifyEndpoint(
  primitives: Primitives,
  peer: VerifiedPeer,
  endpointId: string,
  said: EndpointData,
  records: Records,
): Told<VerifiedEndpoint> {
  return told(() => {
    hold(said.endpoint_id === endpointId && said.peer_id === peer.peerId, 'endpoint-foreign');
    const [opening, ...changes] = said.consensus_logs;
    hold(opening !== undefined, 'log-missing');
    const fields = openedBy(primitives, peer, opening, said, records);
    let now: Cycle = { status: 'OPEN', taken: null, given: null };
    let closedBy: string | null = null;
    let last = opening.consensus_id;
    for (const line of changes) {
      const change = changeBy(primitives, peer, endpointId, { line, last }, records);
      hold(NEXT[now.status].includes(change.status), 'status-mismatch');
      now = after(now, change, fields);
      last = line.consensus_id;
      if (now.status === 'CLOSED') closedBy = last;
      else if (now.taken === null) closedBy = null;
    }
    hold(said.status === now.status, 'status-mismatch');
    holdHashes(primitives, said, fields, now);
    const isBatch = fields.endpoint_type !== CONTINUOUS;
    return {
      fields,
      status: now.status,
      closedBy,
      accepted: (isBatch && now.taken?.message_hashes) || null,
      published: (isBatch && now.given?.message_hashes) || null,
      proof: now.given?.process_proof ?? null,
      lastConsensusId: last,
    };
  });
}

interface Cycle {
  readonly status: EndpointStatus;
  readonly taken: EndpointUpdate | null;
  readonly given: EndpointUpdate | null;
}

function openedBy(
  primitives: Primitives,
  peer: VerifiedPeer,
  opening: ConsensusLog,
  said: EndpointData,
  records: Records,
): EndpointFields {
  const decision = decisionOf(primitives, opening, records);
  const { data } = requestIn(
    decision,
    'endpoint',
    'create',
    (part) => part.data['endpoint_id'] === said.endpoint_id,
  );
  const agreed = endpointCreate.safeParse(data);
  hold(agreed.success && opening.status === 'OPEN', 'status-mismatch');
  const shown = Object.fromEntries(
    Object.keys(agreed.data).map((name) => [name, said[name as keyof EndpointData]]),
  );
  // The status alone changes later.
  hold(
    canonicalText({ ...shown, status: 'OPEN' }) === canonicalText(agreed.data),
    'endpoint-mismatch',
  );
  holdSigned(decision, peer.owners, peer.owners.length);
  return agreed.data;
}

function changeBy(
  primitives: Primitives,
  peer: VerifiedPeer,
  endpointId: string,
  at: { readonly line: ConsensusLog; readonly last: string },
  records: Records,
): EndpointUpdate {
  const decision = decisionOf(primitives, at.line, records);
  const { data, info } = requestIn(
    decision,
    'endpoint',
    'partial_update',
    (part) => part.data['endpoint_id'] === endpointId,
  );
  hold(info['on_last_consensus_id'] === at.last, 'chain-broken');
  const change = endpointUpdate.safeParse(data);
  hold(change.success && change.data.status === at.line.status, 'status-mismatch');
  holdSigned(decision, peer.owners, peer.owners.length);
  return change.data;
}

function after(now: Cycle, change: EndpointUpdate, fields: EndpointFields): Cycle {
  const { status } = change;
  if (status === 'OPEN' || status === 'FULL') return { status, taken: null, given: null };
  if (fields.endpoint_type !== CONTINUOUS) {
    const [least, most] =
      status === 'CLOSED'
        ? [fields.size_min, fields.size_max]
        : // Mixing may drop messages, and makes none.
          [0, now.taken?.message_hashes?.length ?? 0];
    const count = change.message_hashes?.length ?? -1;
    hold(least <= count && count <= most, 'size-mismatch');
  }
  return status === 'CLOSED'
    ? { status, taken: change, given: null }
    : { ...now, status, given: change };
}

function holdHashes(
  primitives: Primitives,
  said: EndpointData,
  fields: EndpointFields,
  { taken, given }: Cycle,
): void {
  // A continuous endpoint's running hash is for those who hold its messages.
  if (fields.endpoint_type === CONTINUOUS) {
    if (taken !== null) {
      hold(said.last_message_id === taken.last_message_id, 'last-message-mismatch');
    }
    return;
  }
  const hashOf = (change: EndpointUpdate | null): string | undefined =>
    change === null ? undefined : batchHash(primitives, change.message_hashes ?? []);
  hold(said.inbox_hash === hashOf(taken), 'inbox-hash-mismatch');
  hold(said.outbox_hash === hashOf(given), 'outbox-hash-mismatch');
  hold(said.process_proof === given?.process_proof, 'proof-mismatch');
}

/**
 * Checks messages of one box.
 * @param messages as listed, in the order of ids
 * @param named hashes that the owners' decision names for this box (`accepted` for ACCEPTED, `published` for
 *   OUTBOX); null where nothing is agreed on it
 * @param whole whether all of the box was asked for, so that each named one must be there
 */
export function verifyBox(
  primitives: Primitives,
  at: { readonly endpointId: string; readonly box: Box },
  messages: readonly InboxMessage[],
  named: readonly string[] | null,
  whole: boolean,
): Told<readonly InboxMessage[]> {
  return told(() => {
    const seen = new Set<string>();
    let last = 0;
    for (const message of messages) {
      const { sender, recipient, text, serial } = message;
      const posted = { endpoint_id: at.endpointId, box: postedInto(at.box) };
      const hash = messageHash(primitives, { ...posted, sender, recipient, text, serial });
      hold(hash === message.messageHash, 'message-hash-wrong');
      hold(!seen.has(hash), 'message-repeated');
      hold(message.id > last, 'message-order');
      hold(named === null || named.includes(hash), 'message-unexpected');
      seen.add(hash);
      last = message.id;
    }
    if (whole && named !== null) {
      hold(
        named.every((hash) => seen.has(hash)),
        'message-missing',
      );
    }
    return messages;
  });
}
