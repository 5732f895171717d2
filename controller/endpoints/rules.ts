/**
 * What an endpoint is, who may open and change it, and through which statuses it goes (D4.2 §6.4, design
 * §7). Pure. Continuous endpoints; batch cycles will add their own closing and processing.
 */
import {
  CONTINUOUS,
  type EndpointData,
  type EndpointFields,
  type EndpointStatus,
  type EndpointUpdate,
} from '../../src/api/endpoint.ts';
import type { ConsensusLog } from '../../src/api/peer.ts';
import type { RequestInfo } from '../../src/api/signed.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import { type Agreed, isAgreedBy } from '../decisions.ts';

/** An endpoint, stored. */
export interface Endpoint {
  readonly data: EndpointFields;
  readonly status: EndpointStatus;
  /** The peer's owners when it was opened: its key is theirs. */
  readonly owners: readonly string[];
  /** Oldest first. */
  readonly logs: readonly ConsensusLog[];
  /** Once it is closed: what it has taken. */
  readonly taken: Inbox | null;
}

/** What an INBOX has taken so far. */
export interface Inbox {
  readonly inboxHash: string;
  readonly lastMessageId: number;
}

/** From which status to which; CLOSED is for good, since its key is on its way to destruction. */
const NEXT: Readonly<Record<EndpointStatus, readonly EndpointStatus[]>> = {
  OPEN: ['FULL', 'CLOSED'],
  FULL: ['OPEN', 'CLOSED'],
  CLOSED: ['PROCESSED'],
  PROCESSED: [],
};
const STATUSES_MAX = 256;

/** The endpoint that an agreed `POST /endpoints` opens for the owners of its peer. */
export function openEndpoint(
  data: EndpointFields,
  owners: readonly string[],
  agreed: Agreed,
): Ruled<Endpoint> {
  if (data.endpoint_type !== CONTINUOUS) return refuse('endpoint-type-unknown');
  if (owners.length !== 1) return refuse('endpoint-owners');
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  return allow({ data, status: 'OPEN', owners, logs: [logLine('OPEN', agreed)], taken: null });
}

/**
 * An endpoint after an agreed `PATCH /endpoints/ID`.
 * @param inbox what it has taken, hash and last id, at this moment
 * @param released id up to which its owner has collected
 */
export function changeStatus(
  endpoint: Endpoint,
  data: EndpointUpdate,
  info: RequestInfo,
  agreed: Agreed,
  inbox: Inbox,
  released: number,
): Ruled<Endpoint> {
  const { owners, logs } = endpoint;
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  if (info.on_last_consensus_id !== logs.at(-1)?.consensus_id) return refuse('consensus-not-last');
  if (!NEXT[endpoint.status].includes(data.status)) return refuse('status-refused');
  // Between OPEN and FULL an owner may go back and forth, but not fill storage with it.
  if (logs.length >= STATUSES_MAX && data.status === 'OPEN') return refuse('status-refused');
  if (data.message_hashes !== undefined) return refuse('request-malformed');
  const changed = {
    ...endpoint,
    status: data.status,
    logs: [...logs, logLine(data.status, agreed)],
  };
  if (data.status === 'OPEN' || data.status === 'FULL') return allow(changed);
  if (data.last_message_id !== inbox.lastMessageId) return refuse('last-message-mismatch');
  if (data.status === 'CLOSED') return allow({ ...changed, taken: inbox });
  if (released !== inbox.lastMessageId) return refuse('messages-unreleased');
  return allow(changed);
}

/** `data` of `GET /endpoints/ID`; an owner also sees the last id of an open one. */
export function endpointView(endpoint: Endpoint, ownersLastId: number | null): EndpointData {
  const { data, status, logs, taken } = endpoint;
  return {
    ...data,
    status,
    ...(taken !== null && { inbox_hash: taken.inboxHash, last_message_id: taken.lastMessageId }),
    ...(taken === null && ownersLastId !== null && { last_message_id: ownersLastId }),
    consensus_logs: [...logs],
  };
}

function logLine(status: EndpointStatus, { record }: Agreed): ConsensusLog {
  return { timestamp: record.timestamp, status, consensus_id: record.consensus };
}
