/**
 * An owner's own link of a chain (D4.2 §5.2, "Collected input for inbox of …"): takes what it is given
 * through a cycle of its own endpoint. Each step looks first where the endpoint stands, and everything
 * that is posted follows from the keys: so it may be killed anywhere and begun again.
 */
import { encodeBatchParams, type BatchLink } from '../../api/batch-params.ts';
import { BATCH, type EndpointCreate } from '../../api/endpoint.ts';
import { batchHash } from '../../api/message.ts';
import { toHex } from '../../bytes.ts';
import { nodeAddress } from '../../crypto/keys.ts';
import { decodeLinkProof, encodeLinkProof } from '../../mixnet/batch-cycle.ts';
import { hashesOf, linkInputs, linkOutputs } from '../../mixnet/batch-link.ts';
import {
  addDrops,
  mixBatch,
  openBatch,
  type BatchDrops,
  type BatchInput,
  type BatchOutput,
  type BatchPosition,
} from '../../mixnet/batch-peel.ts';
import type { Sphinx } from '../../sphinx/index.ts';
import type { BatchKeys } from './batch-keys.ts';
import { carefulOf, changeAlone, cycleRefused, openAlone, type BatchView } from './batch-view.ts';

/** A link of ours in a chain. */
export interface OwnLink {
  readonly link: BatchLink;
  /** Null for the last one, which delivers. */
  readonly next: BatchLink | null;
  readonly keys: BatchKeys;
  readonly sphinx: Sphinx;
  /** Of the gateway: a link takes what the gateway takes. */
  readonly sizeMax: number;
}

/** What a link made of its input. */
export interface Mixed {
  readonly outputs: readonly BatchOutput[];
  readonly drops: BatchDrops;
}

/** Id of an owner's link (D4.2 §5.2: `039073a_for_ep_gateway_1`). */
export function linkIdOf(peerId: string, gatewayId: string): string {
  return `${peerId.slice(0, 16)}_for_ep_${gatewayId}`;
}

/** `data` with which an owner opens its link; only it posts there. */
export function linkTerms(
  link: BatchLink,
  group: 'X25519' | 'P-224',
  sizeMax: number,
): EndpointCreate {
  const { peerId, endpointId, publicKey } = link;
  return {
    peer_id: peerId,
    endpoint_id: endpointId,
    endpoint_type: BATCH,
    endpoint_params: encodeBatchParams({ kind: 'mix', group, waitMs: null, publicKey }),
    description: 'a link of a chain',
    status: 'OPEN',
    size_min: 0,
    size_max: sizeMax,
    public: false,
    senders: 'nodes',
  };
}

/**
 * Takes one cycle through our link; returns once the result is published.
 * @param cycleId consensus id of the gateway's closing
 * @param given what the gateway accepted, or what the link before gave
 * @throws PanoramixError `cycle-refused` where our own endpoint was closed over something else
 */
export async function passLink(
  view: BatchView,
  own: OwnLink,
  cycleId: string,
  given: readonly BatchInput[],
): Promise<Mixed> {
  const { client, primitives, log } = view;
  const { endpointId } = own.link;
  const inputs = linkInputs(primitives, own.link, cycleId, given);
  const took = hashesOf(primitives, inputs);
  const mixed = await mixOnce(view, own, cycleId, given);
  const messages = linkOutputs(own.link, mixed.outputs);
  const careful = carefulOf(view, own.link.peerId);
  await openAlone(view, linkTerms(own.link, own.sphinx.params.group, own.sizeMax));
  for (;;) {
    const endpoint = await careful.endpoint(endpointId);
    if (endpoint.status === 'OPEN' || endpoint.status === 'FULL') {
      await client.postMessages(inputs);
      log.info({ event: 'link-collected', endpointId, messages: took.length }, 'Collected input');
      await changeAlone(view, endpoint, {
        endpoint_id: endpointId,
        status: 'CLOSED',
        message_hashes: took,
      });
      continue;
    }
    const isOfBefore =
      endpoint.status === 'PROCESSED' &&
      decodeLinkProof(endpoint.proof ?? undefined)?.cycle !== cycleId;
    if (isOfBefore) {
      await changeAlone(view, endpoint, { endpoint_id: endpointId, status: 'OPEN' });
      continue;
    }
    // The link before may have published anew since: what it gave first, it gave.
    if (endpoint.accepted?.join() !== took.join()) {
      throw cycleRefused('input-differs', `${endpointId} was closed over other messages`);
    }
    if (endpoint.status === 'PROCESSED') return mixed;
    await client.postMessages(messages);
    await changeAlone(view, endpoint, {
      endpoint_id: endpointId,
      status: 'PROCESSED',
      message_hashes: hashesOf(primitives, messages),
      process_proof: encodeLinkProof({ cycle: cycleId, drops: mixed.drops }),
    });
    log.info(
      { event: 'link-processed', endpointId, messages: messages.length, drops: mixed.drops },
      'Processed endpoint',
    );
  }
}

/**
 * Peels and shuffles: the same result each time, and no packet twice. Whoever gives us other messages for the
 * same cycle, with some of the first among them, gets these dropped: the difference would tell them.
 */
export async function mixOnce(
  { primitives, claims }: Pick<BatchView, 'primitives' | 'claims'>,
  own: OwnLink,
  cycleId: string,
  given: readonly BatchInput[],
): Promise<Mixed> {
  const position = positionOf(primitives, own);
  const { opened, drops } = openBatch(position, given);
  const hashes = given.map(({ messageHash }) => messageHash);
  const batchId = `${cycleId}/${batchHash(primitives, hashes)}`;
  const held = await claims.claim(own.link.endpointId, batchId, opened);
  const fresh = opened.filter((_, index) => held[index]);
  const replayed = opened.length - fresh.length;
  const mixed = mixBatch(position, `${own.link.endpointId}/${cycleId}`, fresh);
  return {
    outputs: mixed.outputs,
    drops: addDrops(drops, mixed.drops, replayed > 0 ? { replayed } : {}),
  };
}

function positionOf(primitives: BatchView['primitives'], own: OwnLink): BatchPosition {
  const { keys, sphinx, next } = own;
  const nextAddress = next && toHex(nodeAddress(primitives, next.peerId, next.publicKey));
  return {
    sphinx,
    primitives,
    secret: keys.mixKey.secret,
    orderKey: keys.orderKey,
    relayTo: (address) => (next && toHex(address) === nextAddress ? next.peerId : null),
    delivers: next === null,
  };
}
