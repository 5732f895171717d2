/**
 * How messages go from one link of a chain to the next: the hashes that each owner can work out for
 * himself, so that who takes something else than he was given, or gives something else than he agreed
 * to, is found out by the others.
 */
import { messageHash, type MessageCreate } from '../api/message.ts';
import { fromUtf8, toHex } from '../bytes.ts';
import { nodeAddress } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { BatchLink } from '../api/batch-params.ts';
import { relayRouting, type Hop } from '../sphinx/index.ts';
import type { BatchInput, BatchOutput } from './batch-peel.ts';

const SERIAL_BYTES = 16;

/**
 * What the owner of a link posts into its INBOX: the same texts, under serials that follow from the cycle
 * and the message, so that everybody who knows what went before knows these hashes too.
 * @param cycleId consensus id of the gateway's closing
 */
export function linkInputs(
  primitives: Primitives,
  link: Pick<BatchLink, 'peerId' | 'endpointId'>,
  cycleId: string,
  given: readonly BatchInput[],
): MessageCreate[] {
  return given
    .toSorted((left, right) => (left.messageHash < right.messageHash ? -1 : 1))
    .map(({ messageHash: hash, text }) => ({
      endpoint_id: link.endpointId,
      box: 'INBOX',
      sender: link.peerId,
      recipient: link.peerId,
      text,
      serial: toHex(primitives.sha256(fromUtf8(`${cycleId}/${hash}`)).subarray(0, SERIAL_BYTES)),
    }));
}

/** What an endpoint's owner posts into its PROCESSBOX. `peerId` is the endpoint's own peer. */
export function linkOutputs(
  at: { readonly peerId: string; readonly endpointId: string },
  outputs: readonly Pick<BatchOutput, 'recipient' | 'text' | 'serial'>[],
): MessageCreate[] {
  return outputs.map(({ recipient, text, serial }) => ({
    endpoint_id: at.endpointId,
    box: 'PROCESSBOX',
    sender: at.peerId,
    recipient,
    text,
    serial,
  }));
}

/** Hashes of messages, sorted: what a closing or a result names. */
export function hashesOf(primitives: Primitives, messages: readonly MessageCreate[]): string[] {
  return messages.map((message) => messageHash(primitives, message)).toSorted();
}

/** The hops of a chain, for who sends into it. */
export function chainHops(primitives: Primitives, links: readonly BatchLink[]): Hop[] {
  return links.map(({ peerId, publicKey }) => ({
    // Batches hold nothing back: the delay is 0.
    routing: relayRouting(nodeAddress(primitives, peerId, publicKey), 0),
    publicKey,
  }));
}
