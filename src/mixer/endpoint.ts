/**
 * One of a node's own mix positions at its controller: opened with the key that its files hold, and ended
 * step by step, OPEN, FULL, CLOSED, PROCESSED (design §7, continuous type). Where it stands is asked
 * for each time, so that each step may be done again after a crash, or by a controller that forgot.
 */
import { encodeEndpointParams } from '../api/endpoint-params.ts';
import {
  CONTINUOUS,
  SIZE_MAX,
  type EndpointCreate,
  type EndpointData,
  type EndpointStatus,
  type EndpointUpdate,
} from '../api/endpoint.ts';
import type { ControllerClient } from '../client/controller.ts';
import type { OwnPosition } from './endpoint-files.ts';

/** What of its own controller the keeping of keys needs. */
export type EndpointClient = Pick<
  ControllerClient,
  | 'url'
  | 'registerPeer'
  | 'decideAlone'
  | 'createEndpoint'
  | 'updateEndpoint'
  | 'getEndpoint'
  | 'listMessages'
  | 'releaseMessages'
>;

/**
 * - `open`: it takes packets; `lastMessageId` is the last that it has taken
 * - `opened`: it was not there, and is now: its ids begin anew
 * - `lost`: closed by somebody else, or another one's: it never takes packets again
 */
export type OpenResult =
  { readonly kind: 'open'; readonly lastMessageId: number } | { readonly kind: 'opened' | 'lost' };

/**
 * Makes sure that an endpoint takes packets. Where the controller does not know it, after a crash of ours
 * or because it lost its data, it is opened with the same id and key.
 */
export async function keepOpen(
  client: EndpointClient,
  position: OwnPosition,
  node: { readonly peerName: string; readonly sizeMax?: number },
): Promise<OpenResult> {
  const served = await client.getEndpoint(position.endpointId);
  if (served === null) {
    await client.registerPeer(node.peerName);
    await open(client, position, node.sizeMax ?? SIZE_MAX);
    return { kind: 'opened' };
  }
  if (!isOurs(served, position)) return { kind: 'lost' };
  // A clock that was set back, or a life that was made longer.
  if (served.status === 'FULL') await enter(client, served, { status: 'OPEN' });
  else if (served.status !== 'OPEN') return { kind: 'lost' };
  return { kind: 'open', lastMessageId: served.last_message_id ?? 0 };
}

/**
 * Goes as far towards PROCESSED as is possible now: FULL, then, when all that it took has been read and
 * released, CLOSED and PROCESSED, which name the last id.
 * @param unread `keep`: wait for the collector; `release`: there is no key left to read them with
 * @returns `gone` where nothing is left to be done, whoever has seen to it
 */
export async function closeStepwise(
  client: EndpointClient,
  position: OwnPosition,
  unread: 'keep' | 'release',
): Promise<'gone' | 'unread'> {
  // A controller whose endpoints never change shall not keep us here.
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const served = await client.getEndpoint(position.endpointId);
    if (served === null || !isOurs(served, position)) return 'gone';
    const last = { last_message_id: served.last_message_id ?? 0 };
    const next = NEXT[served.status];
    if (next === null) return 'gone';
    if (next !== 'FULL' && !(await isRead(client, position, unread, last.last_message_id))) {
      return 'unread';
    }
    await enter(client, served, { status: next, ...(next !== 'FULL' && last) });
  }
  return 'unread';
}

const NEXT: Readonly<Record<EndpointStatus, EndpointStatus | null>> = {
  OPEN: 'FULL',
  FULL: 'CLOSED',
  CLOSED: 'PROCESSED',
  PROCESSED: null,
};

/** OPEN, FULL, CLOSED, and a look at what came of it. */
const STEPS_MAX = 4;

/** Whether nothing is left in the INBOX: what is released is removed. */
async function isRead(
  client: EndpointClient,
  { endpointId }: OwnPosition,
  unread: 'keep' | 'release',
  lastMessageId: number,
): Promise<boolean> {
  const query = { endpointId, box: 'INBOX' } as const;
  if (unread === 'release') {
    if (lastMessageId > 0) await client.releaseMessages({ ...query, upTo: lastMessageId });
    return true;
  }
  return (await client.listMessages({ ...query, limit: 1 })).length === 0;
}

async function open(client: EndpointClient, position: OwnPosition, sizeMax: number): Promise<void> {
  const data: EndpointCreate = {
    peer_id: position.peerId,
    endpoint_id: position.endpointId,
    endpoint_type: CONTINUOUS,
    endpoint_params: paramsOf(position),
    description: '',
    status: 'OPEN',
    size_min: 0,
    size_max: sizeMax,
    public: false,
    senders: 'nodes',
  };
  const consensusId = await client.decideAlone({
    data,
    info: { resource: 'endpoint', operation: 'create' },
  });
  await client.createEndpoint(data, consensusId);
}

async function enter(
  client: EndpointClient,
  served: EndpointData,
  change: Omit<EndpointUpdate, 'endpoint_id'>,
): Promise<void> {
  const data = { endpoint_id: served.endpoint_id, ...change };
  const onLastConsensusId = served.consensus_logs.at(-1)?.consensus_id ?? '';
  const info = {
    resource: 'endpoint',
    operation: 'partial_update',
    on_last_consensus_id: onLastConsensusId,
  };
  const consensusId = await client.decideAlone({ data, info });
  await client.updateEndpoint(data, { consensusId, onLastConsensusId });
}

function isOurs(served: EndpointData, position: OwnPosition): boolean {
  return served.peer_id === position.peerId && served.endpoint_params === paramsOf(position);
}

function paramsOf({ group, publicKey }: OwnPosition): string {
  return encodeEndpointParams({ group, publicKey, strategy: 'continuous' });
}
