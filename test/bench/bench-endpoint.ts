/** The endpoint that benchmarks post to: open for good, for packets of any size. */
import { CONTINUOUS } from '../../src/api/endpoint.ts';
import type { ControllerClient } from '../../src/client/controller.ts';

/** Its id at the controller. */
export const ENDPOINT = 'bench';

/** Registers the peer whose client this is, and creates its endpoint. */
export async function openBenchEndpoint(client: ControllerClient, peerId: string): Promise<void> {
  await client.registerPeer('bench');
  const data = {
    peer_id: peerId,
    endpoint_id: ENDPOINT,
    endpoint_type: CONTINUOUS,
    endpoint_params: '',
    description: '',
    status: 'OPEN' as const,
    size_min: 0,
    size_max: 65_536,
  };
  const info = { resource: 'endpoint', operation: 'create' };
  await client.createEndpoint(data, await client.decideAlone({ data, info }));
}
