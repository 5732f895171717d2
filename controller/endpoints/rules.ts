/**
 * What an endpoint is, who may open and change it, and through which statuses it goes (D4.2 §6.4, design
 * §7). Pure. What closing and processing a continuous one takes stands here, a batch's in cycle.ts.
 */
import {
  BATCH_SIZE_MAX,
  BATCH_TYPES,
  CONTINUOUS,
  type EndpointData,
  type EndpointFields,
  type EndpointStatus,
  type EndpointUpdate,
  isKeptForAnother,
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
  /** The negotiations that ended in these, line by line: kept as long as the endpoint. */
  readonly negotiations: readonly string[];
  /** Once it is closed: what it, or its present cycle, has taken. */
  readonly taken: Inbox | null;
  /** Batch, once the present cycle is processed: what it has given. */
  readonly given: { readonly outboxHash: string; readonly proof: string | null } | null;
}

/** What an INBOX has taken so far. */
export interface Inbox {
  readonly inboxHash: string;
  readonly lastMessageId: number;
  /** Batch: how many. */
  readonly count?: number;
}

type Next = Readonly<Record<EndpointStatus, readonly EndpointStatus[]>>;
/** From which status to which; CLOSED is for good, since its key is on its way to destruction. */
const NEXT: Next = {
  OPEN: ['FULL', 'CLOSED'],
  FULL: ['OPEN', 'CLOSED'],
  CLOSED: ['PROCESSED'],
  PROCESSED: [],
};
/** A batch endpoint begins anew. */
const NEXT_BATCH: Next = { ...NEXT, PROCESSED: ['OPEN'] };
/** 64 cycles, or going back and forth between OPEN and FULL: an owner shall not fill storage with it. */
export const STATUSES_MAX = 256;

/** Whether an endpoint goes through cycles. */
export function isBatch({ data }: Pick<Endpoint, 'data'>): boolean {
  return data.endpoint_type !== CONTINUOUS;
}

/** The endpoint that an agreed `POST /endpoints` opens for the owners of its peer. */
export function openEndpoint(
  data: EndpointFields,
  owners: readonly string[],
  agreed: Agreed,
): Ruled<Endpoint> {
  const batch = BATCH_TYPES.includes(data.endpoint_type);
  if (!batch && data.endpoint_type !== CONTINUOUS) return refuse('endpoint-type-unknown');
  if (!batch && owners.length !== 1) return refuse('endpoint-owners');
  if (batch && data.size_max > BATCH_SIZE_MAX) return refuse('request-malformed');
  if (isKeptForAnother(data.endpoint_id, data.peer_id)) return refuse('endpoint-id-foreign');
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  return allow({
    data,
    status: 'OPEN',
    owners,
    logs: [logLine('OPEN', agreed)],
    negotiations: [agreed.record.id],
    taken: null,
    given: null,
  });
}

/** An endpoint in the status of an agreed `PATCH /endpoints/ID`, whatever else that status takes. */
export function enterStatus(
  endpoint: Endpoint,
  { status }: EndpointUpdate,
  info: RequestInfo,
  agreed: Agreed,
): Ruled<Endpoint> {
  const { owners, logs } = endpoint;
  if (!isAgreedBy(agreed.signers, owners, owners.length)) return refuse('consensus-insufficient');
  if (info.on_last_consensus_id !== logs.at(-1)?.consensus_id) return refuse('consensus-not-last');
  const next = isBatch(endpoint) ? NEXT_BATCH : NEXT;
  if (!next[endpoint.status].includes(status)) return refuse('status-refused');
  if (logs.length >= STATUSES_MAX && status === 'OPEN') return refuse('status-refused');
  return allow({
    ...endpoint,
    status,
    logs: [...logs, logLine(status, agreed)],
    negotiations: [...endpoint.negotiations, agreed.record.id],
  });
}

/**
 * A continuous endpoint with what closing and processing it name.
 * @param entered what `enterStatus` gave
 * @param inbox what it has taken, hash and last id, at this moment
 * @param released id up to which its owner has collected
 */
export function changeContinuous(
  entered: Endpoint,
  data: EndpointUpdate,
  inbox: Inbox,
  released: number,
): Ruled<Endpoint> {
  if (data.message_hashes !== undefined) return refuse('request-malformed');
  if (data.status === 'OPEN' || data.status === 'FULL') return allow(entered);
  if (data.last_message_id !== inbox.lastMessageId) return refuse('last-message-mismatch');
  if (data.status === 'CLOSED') return allow({ ...entered, taken: inbox });
  if (released !== inbox.lastMessageId) return refuse('messages-unreleased');
  return allow(entered);
}

/** `data` of `GET /endpoints/ID`; an owner also sees the last id of an open one. */
export function endpointView(endpoint: Endpoint, ownersLastId: number | null): EndpointData {
  const { data, status, logs, taken, given } = endpoint;
  return {
    ...data,
    status,
    ...(taken !== null && { inbox_hash: taken.inboxHash, last_message_id: taken.lastMessageId }),
    ...(taken === null && ownersLastId !== null && { last_message_id: ownersLastId }),
    ...(given !== null && { outbox_hash: given.outboxHash }),
    ...(given !== null && given.proof !== null && { process_proof: given.proof }),
    consensus_logs: [...logs],
  };
}

function logLine(status: EndpointStatus, { record }: Agreed): ConsensusLog {
  return { timestamp: record.timestamp, status, consensus_id: record.consensus };
}
