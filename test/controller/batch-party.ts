/**
 * A combined peer with a batch endpoint, as its owners use it: each step agreed by all of them, through
 * the API alone.
 */
import { BATCH_GATEWAY, type EndpointCreate, type EndpointData } from '../../src/api/endpoint.ts';
import type { EndpointUpdate } from '../../src/api/endpoint.ts';
import { messageHash } from '../../src/api/message.ts';
import { combinedPeer } from '../../src/api/peer.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  endpointOf,
  openEndpoint,
  type PrivateController,
  serial,
} from './private-controller.ts';

export type Party = ReturnType<PrivateController['client']>;

/** Owners, sorted by key, and their combined peer. */
export async function foundTogether(
  bed: PrivateController,
  count: number,
): Promise<{ readonly owners: readonly Party[]; readonly peerId: string }> {
  const owners = await Promise.all(Array.from({ length: count }, () => bed.peer()));
  owners.sort((left, right) => (left.identity.peerId < right.identity.peerId ? -1 : 1));
  const data = combinedPeer(native, {
    name: 'our mix-net',
    backend: 'SPHINXMIX',
    params: {},
    owners: owners.map((owner) => owner.identity.peerId),
    rule: 'all',
  });
  const info = { resource: 'peer', operation: 'create' };
  await firstOf(owners).createPeer(data, await agreeTogether(owners, { data, info }));
  return { owners, peerId: data.key_id };
}

/** A batch endpoint and all who own it. */
export class Batch {
  readonly owners: readonly Party[];
  readonly peerId: string;
  endpoint: EndpointData;

  constructor(owners: readonly Party[], endpoint: EndpointData) {
    this.owners = owners;
    this.peerId = endpoint.peer_id;
    this.endpoint = endpoint;
  }

  get first(): Party {
    return firstOf(this.owners);
  }

  get id(): string {
    return this.endpoint.endpoint_id;
  }

  /** Posts into the INBOX; the message's hash. */
  async post(from: Party, text: string, of = serial()): Promise<string> {
    const message = { recipient: this.peerId, text, serial: of };
    await from.postMessage({ endpointId: this.id, ...message });
    const { peerId: sender } = from.identity;
    return messageHash(native, { endpoint_id: this.id, box: 'INBOX', sender, ...message });
  }

  /** Posts into the PROCESSBOX as one of its owners; the hashes, in order. */
  async process(
    owner: Party,
    messages: readonly { readonly recipient: string; readonly text: string }[],
  ): Promise<string[]> {
    const posted = messages.map((message) => ({
      endpoint_id: this.id,
      box: 'PROCESSBOX' as const,
      sender: this.peerId,
      serial: serial(),
      ...message,
    }));
    await owner.postMessages(posted);
    return posted.map((message) => messageHash(native, message));
  }

  /** What all owners agree on, without applying it; the consensus id. */
  async agree(data: Omit<EndpointUpdate, 'endpoint_id'>, among = this.owners): Promise<string> {
    return await agreeTogether(among, {
      data: { endpoint_id: this.id, ...data },
      info: {
        resource: 'endpoint',
        operation: 'partial_update',
        on_last_consensus_id: this.lastConsensus,
      },
    });
  }

  get lastConsensus(): string {
    return this.endpoint.consensus_logs.at(-1)?.consensus_id ?? '';
  }

  /** Applies what was agreed. */
  async apply(
    data: Omit<EndpointUpdate, 'endpoint_id'>,
    consensusId: string,
    by = this.first,
  ): Promise<EndpointData> {
    const decision = { consensusId, onLastConsensusId: this.lastConsensus };
    return await by.updateEndpoint({ endpoint_id: this.id, ...data }, decision);
  }

  /** Agrees and applies. */
  async change(data: Omit<EndpointUpdate, 'endpoint_id'>): Promise<EndpointData> {
    this.endpoint = await this.apply(data, await this.agree(data));
    return this.endpoint;
  }

  /** Texts of a box, as an owner reads it. */
  async texts(box: 'INBOX' | 'ACCEPTED' | 'PROCESSBOX' | 'OUTBOX'): Promise<string[]> {
    const messages = await this.first.listMessages({ endpointId: this.id, box, limit: 256 });
    return messages.map((message) => message.text);
  }
}

/** A gateway of so many owners. */
export async function openGateway(
  bed: PrivateController,
  count: number,
  more: Partial<EndpointCreate> = {},
): Promise<Batch> {
  const { owners, peerId } = await foundTogether(bed, count);
  const type = { endpoint_type: BATCH_GATEWAY, size_min: 3, size_max: 10 };
  const data = endpointOf(peerId, 'gateway_1', { ...type, ...more });
  const info = { resource: 'endpoint', operation: 'create' };
  const consensus = await agreeTogether(owners, { data, info });
  return new Batch(owners, await firstOf(owners).createEndpoint(data, consensus));
}

/** A batch endpoint of one owner. */
export async function openLink(owner: Party, data: EndpointCreate): Promise<Batch> {
  return new Batch([owner], await openEndpoint(owner, data));
}

function firstOf(owners: readonly Party[]): Party {
  const [first] = owners;
  if (first === undefined) throw new Error('nobody owns it');
  return first;
}
