/**
 * The work of a packet, in a thread beside the event loop: curve, MAC and wide-block cipher, of packets
 * that came, of the answers to them and of the answers to ours. Judgement stays with the node; what
 * crosses is plain data. peel-pool.ts starts these threads.
 */
import { native } from '../crypto/native.ts';
import { buildAck, readAck, type Ack, type AckVerdict } from '../mixnet/ack.ts';
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

/** Reply blocks, each to be answered with this verdict. */
export interface BuildAcksTask {
  readonly params: SphinxParams;
  readonly replyBlocks: readonly Uint8Array[];
  readonly verdict: AckVerdict;
}

/** Answers to packets of ours, with the keys that were kept for each. */
export interface ReadAcksTask {
  readonly params: SphinxParams;
  readonly acks: readonly {
    readonly keytuple: readonly Uint8Array[];
    readonly delta: Uint8Array;
  }[];
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

/** Answers in the order of their reply blocks; null for what is none. */
export function buildAcks({ params, replyBlocks, verdict }: BuildAcksTask): (Ack | null)[] {
  const sphinx = sphinxOf(params);
  return replyBlocks.map((replyBlock) => buildAck(sphinx, replyBlock, verdict));
}

/** What answers say, in their order; null for one that was changed on its way. */
export function readAcks({ params, acks }: ReadAcksTask): (AckVerdict | null)[] {
  const sphinx = sphinxOf(params);
  return acks.map(({ keytuple, delta }) => readAck(sphinx, keytuple, delta));
}

function sphinxOf(params: SphinxParams): Sphinx {
  const name = `${params.group} ${params.headerLen} ${params.bodyLen}`;
  const sphinx = known.get(name) ?? createSphinx(params, native);
  known.set(name, sphinx);
  return sphinx;
}
