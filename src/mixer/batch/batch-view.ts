/**
 * What all parts of a batch mix server work with: who we are, which controller, where replay tags are.
 */
import { canonicalText } from '../../api/canonical.ts';
import type { EndpointCreate, EndpointUpdate } from '../../api/endpoint.ts';
import { CarefulClient } from '../../client/careful.ts';
import type { ControllerClient } from '../../client/controller.ts';
import type { VerifiedEndpoint } from '../../client/verify-endpoint.ts';
import type { Identity } from '../../crypto/keys.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { PanoramixError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { CycleReason } from '../../mixnet/batch-cycle.ts';
import type { ReplayClaims } from './replay-claims.ts';

/** An owner at work on one controller. */
export interface BatchView {
  readonly client: ControllerClient;
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly claims: ReplayClaims;
  /** Holds the keys of positions. */
  readonly dataDir: string;
  readonly log: Log;
}

/** What the wizard has too. */
export type OwnerView = Pick<BatchView, 'client' | 'identity' | 'primitives' | 'dataDir' | 'log'>;

/** Refuses to go on with a cycle; the reason is the first word, for log and operator. */
export function cycleRefused(reason: CycleReason, detail: string): PanoramixError {
  return new PanoramixError('cycle-refused', `${reason}: ${detail}`);
}

/** Reads endpoints of one peer, checked; remembers the records that it has verified. */
export function carefulOf(view: OwnerView, peerId: string): CarefulClient {
  return new CarefulClient(view.client, view.primitives, peerId);
}

/** Opens an endpoint of our own peer; one that is there already must be the same. */
export async function openAlone(view: OwnerView, data: EndpointCreate): Promise<void> {
  const { client, identity } = view;
  if ((await client.getEndpoint(data.endpoint_id)) === null) {
    const info = { resource: 'endpoint', operation: 'create' };
    await client.createEndpoint(data, await client.decideAlone({ data, info }));
  }
  const { fields } = await carefulOf(view, identity.peerId).endpoint(data.endpoint_id);
  if (canonicalText(fields) === canonicalText({ ...data })) return;
  throw new PanoramixError('endpoint-exists', `${data.endpoint_id} was opened with other terms`);
}

/** Takes a step of an endpoint of our own peer. */
export async function changeAlone(
  { client }: OwnerView,
  endpoint: VerifiedEndpoint,
  data: EndpointUpdate,
): Promise<void> {
  const onLastConsensusId = endpoint.lastConsensusId;
  const info = {
    resource: 'endpoint',
    operation: 'partial_update',
    on_last_consensus_id: onLastConsensusId,
  };
  const consensusId = await client.decideAlone({ data, info });
  await client.updateEndpoint(data, { consensusId, onLastConsensusId });
}
