/**
 * The work of a packet, in a thread beside the event loop: curve, MAC and wide-block cipher. Judgement
 * stays with the node; what crosses is plain data. peel-pool.ts starts these threads.
 */
import { native } from '../crypto/native.ts';
import { peelPayload, type PeeledPayload } from '../mixnet/mix.ts';
import {
  createSphinx,
  type Drop,
  type PeeledHeader,
  type Sphinx,
  type SphinxParams,
} from '../sphinx/index.ts';

/** Packets of one endpoint, to have their headers peeled. */
export interface HeadersTask {
  readonly params: SphinxParams;
  readonly secret: Uint8Array;
  readonly packets: readonly Uint8Array[];
}

/** Headers of packets that have not been seen before, to have their bodies peeled. */
export interface PayloadsTask {
  readonly params: SphinxParams;
  readonly headers: readonly PeeledHeader[];
}

const known = new Map<string, Sphinx>();

/** Headers in the order of their packets. */
export function peelHeaders({ params, secret, packets }: HeadersTask): (PeeledHeader | Drop)[] {
  const sphinx = sphinxOf(params);
  return packets.map((packet) => sphinx.peelHeader(secret, packet));
}

/** Payloads in the order of their headers. */
export function peelPayloads({ params, headers }: PayloadsTask): PeeledPayload[] {
  const sphinx = sphinxOf(params);
  return headers.map((header) => peelPayload(sphinx, header));
}

function sphinxOf(params: SphinxParams): Sphinx {
  const name = `${params.group} ${params.headerLen} ${params.bodyLen}`;
  const sphinx = known.get(name) ?? createSphinx(params, native);
  known.set(name, sphinx);
  return sphinx;
}
