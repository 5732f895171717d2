/**
 * What an honest controller tells of a mixnet of two owners, for lies to start from: its peer with two
 * changes, a batch endpoint through a whole cycle, all decisions by negotiation; and how to forge records.
 */
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { consensusId } from '../../src/api/negotiation.ts';
import { encodeBatchParams } from '../../src/api/batch-params.ts';
import { BATCH_GATEWAY, type EndpointCreate, type EndpointUpdate } from '../../src/api/endpoint.ts';
import { type MessageCreate, messageHash } from '../../src/api/message.ts';
import { combinedPeer } from '../../src/api/peer.ts';
import { hashText, signText } from '../../src/api/signed.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  type PrivateController,
  proposalText,
  serial,
} from '../controller/private-controller.ts';

export type Party = ReturnType<PrivateController['client']>;

/** Who owns the mixnet, and its id. */
export interface HonestMixnet {
  readonly parties: readonly [Party, Party];
  readonly mixnetId: string;
}

/** A combined peer of two with two entries in its log. */
export async function foundMixnet(bed: PrivateController, name: string): Promise<HonestMixnet> {
  const parties = [await bed.peer(), await bed.peer()] as const;
  const owners = parties.map((party) => party.identity.peerId).toSorted();
  const data = combinedPeer(native, {
    name,
    backend: 'SPHINXMIX',
    params: { GROUP: 'X25519', HEADER_LEN: 192, BODY_LEN: 1024 },
    owners,
    rule: 'all',
  });
  const mixnetId = data.key_id;
  let last = await agreeTogether(parties, {
    data,
    info: { resource: 'peer', operation: 'create' },
  });
  await parties[0].createPeer(data, last);
  let previous = mixnetId;
  for (const note of ['first', 'second']) {
    const change = logEntry(mixnetId, previous, last, note);
    const next = await agreeTogether(parties, change);
    const decision = { consensusId: next, onLastConsensusId: last };
    await parties[0].updatePeer(mixnetId, change.data, decision);
    const record = await recordOf(parties[0], next);
    [last, previous] = [next, hashText(native, record.text)];
  }
  return { parties, mixnetId };
}

/** What owners agree on to change their peer. */
export function logEntry(peerId: string, previous: string, last: string, note: string) {
  return {
    data: { peer_id: peerId, log: { previous, note } },
    info: { resource: 'peer', operation: 'partial_update', on_last_consensus_id: last },
  };
}

/** `data` of a batch endpoint with a fresh key for each owner. */
export function gatewayOf(
  { mixnetId, parties }: HonestMixnet,
  endpointId: string,
  more: Partial<EndpointCreate> = {},
): EndpointCreate {
  const links = parties
    .map((party) => ({
      peerId: party.identity.peerId,
      endpointId: `link_of_${endpointId}`,
      publicKey: native.random(32),
    }))
    .toSorted((left, right) => (left.peerId < right.peerId ? -1 : 1));
  return {
    peer_id: mixnetId,
    endpoint_id: endpointId,
    endpoint_type: BATCH_GATEWAY,
    endpoint_params: encodeBatchParams({ kind: 'gateway', group: 'X25519', waitMs: null, links }),
    description: 'the gateway',
    status: 'OPEN',
    size_min: 2,
    size_max: 10,
    public: true,
    senders: 'peers',
    ...more,
  };
}

/** Opens an endpoint by consensus of both; the id of that. */
export async function openGateway(mixnet: HonestMixnet, data: EndpointCreate): Promise<string> {
  const info = { resource: 'endpoint', operation: 'create' };
  const opened = await agreeTogether(mixnet.parties, { data, info });
  await mixnet.parties[0].createEndpoint(data, opened);
  return opened;
}

/** Changes an endpoint by consensus of both; the id of that. */
export async function moveOn(
  mixnet: HonestMixnet,
  data: EndpointUpdate,
  last: string,
): Promise<string> {
  const change = { data, info: transition(last) };
  const decided = await agreeTogether(mixnet.parties, change);
  await mixnet.parties[0].updateEndpoint(data, { consensusId: decided, onLastConsensusId: last });
  return decided;
}

/** `info` of a change of an endpoint. */
export function transition(last: string) {
  return { resource: 'endpoint', operation: 'partial_update', on_last_consensus_id: last };
}

/** A whole cycle of an open endpoint: three messages in, two of them accepted, two out. */
export async function runCycle(
  mixnet: HonestMixnet,
  endpointId: string,
  opened: string,
): Promise<{ readonly accepted: readonly string[]; readonly published: readonly string[] }> {
  const [one, two] = mixnet.parties;
  const into = { endpoint_id: endpointId, box: 'INBOX', recipient: mixnet.mixnetId } as const;
  const sent = ['a', 'b', 'c'].map((text) => ({
    ...into,
    sender: two.identity.peerId,
    text,
    serial: serial(),
  }));
  await two.postMessages(sent);
  const [a, b] = sent.map((message) => messageHash(native, message)) as [string, string, string];
  const accepted = [a, b].toSorted();
  const names = { endpoint_id: endpointId };
  const closed = await moveOn(
    mixnet,
    { ...names, status: 'CLOSED', message_hashes: accepted },
    opened,
  );
  const made: MessageCreate[] = ['A', 'B'].map((text) => ({
    endpoint_id: endpointId,
    box: 'PROCESSBOX',
    sender: mixnet.mixnetId,
    recipient: two.identity.peerId,
    text,
    serial: serial(),
  }));
  await one.postMessages(made);
  const published = made.map((message) => messageHash(native, message)).toSorted();
  const given = { message_hashes: published, process_proof: 'a proof' };
  await moveOn(mixnet, { ...names, status: 'PROCESSED', ...given }, closed);
  return { accepted, published };
}

/** The record of a decision. */
export async function recordOf(party: Party, id: string): Promise<ConsensusRecord> {
  const record = await party.getNegotiation(id);
  if (record?.status !== 'DONE') throw new Error('not agreed');
  return record;
}

/** A record with some fields changed and a consensus id that fits them. */
export function forged(record: ConsensusRecord, change: Partial<ConsensusRecord>): ConsensusRecord {
  const shown = { ...record, ...change };
  return { ...shown, consensus: consensusId(native, shown) };
}

/** A record of a decision that never was, by whoever lends his key. */
export function invented(
  signers: readonly Identity[],
  body: { readonly data: unknown; readonly info: unknown },
  timestamp: string,
): ConsensusRecord {
  const id = 'I'.repeat(43);
  const keys = signers.toSorted((left, right) => (left.peerId < right.peerId ? -1 : 1));
  const text = proposalText(id, body, { accept: true, signers: keys.map((key) => key.peerId) });
  const signings = keys.map((key) => ({
    signer_key_id: key.peerId,
    signature: signText(native, key, text),
  }));
  const record = { id, text, status: 'DONE' as const, timestamp, consensus: '', signings };
  return forged(record, {});
}

/** Somebody who owns nothing. */
export const mallory = createIdentity(native);
