/**
 * What one link of a batch mixnet does with the messages of a cycle (design §7): peel each, drop what is
 * malformed, replayed or goes astray, shuffle the rest. In two steps with the replay tags between them,
 * as in mix.ts: `openBatch` is cheap, `mixBatch` does the bodies and the shuffle.
 */
import { batchHash } from '../api/message.ts';
import { fromBase64url, toBase64url, toHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { wipe } from '../crypto/primitives.ts';
import type { DropReason, PeeledHeader, Sphinx } from '../sphinx/index.ts';
import { batchRandom } from './batch-random.ts';
import { shuffle } from './draw.ts';

/** Bytes of a recipient's peer id, which is a payload's `dest`. */
export const RECIPIENT_BYTES = 32;
const SERIAL_BYTES = 16;

/** Why a message of a batch ends at a link. */
export type BatchDropReason =
  | DropReason
  | 'text-malformed'
  | 'replayed'
  | 'journal-full'
  /** A header that leads to another place than the next link, */
  | 'route-foreign'
  /** or that ends too early, or not at the last link. */
  | 'route-short'
  | 'route-long'
  | 'routing-unsupported'
  | 'dest-unknown'
  | 'message-empty';

/** How many messages were dropped for which reason. */
export type BatchDrops = Partial<Record<BatchDropReason, number>>;

/** A position in a batch mixnet: which key peels, and where packets may go from here. */
export interface BatchPosition {
  readonly sphinx: Sphinx;
  readonly primitives: Primitives;
  /** Of the mix key. */
  readonly secret: Uint8Array;
  /** 32 bytes: decides the order, for nobody else to know. */
  readonly orderKey: Uint8Array;
  /** Peer id behind an address of 16 bytes, or null where packets must not go from here. */
  readonly relayTo: (address: Uint8Array) => string | null;
  /** Whether packets may end here. */
  readonly delivers: boolean;
}

/** A message on its way through a link. */
export interface BatchInput {
  /** Its hash in the box that it was taken from. */
  readonly messageHash: string;
  /** Base64url of the packet. */
  readonly text: string;
}

/** A message that a link passes on. */
export interface BatchOutput {
  readonly recipient: string;
  readonly text: string;
  /** 32 hex digits, the same in each repeat. */
  readonly serial: string;
}

/** A message whose header was in order; `tag` is what the replay journal is asked about. */
export interface OpenedInput {
  readonly messageHash: string;
  readonly tag: Uint8Array;
  readonly header: PeeledHeader;
}

/** The cheap half: text, lengths, points, MACs, routing. Sorted by hash, whatever the order of arrival. */
export function openBatch(
  position: BatchPosition,
  inputs: readonly BatchInput[],
): { readonly opened: OpenedInput[]; readonly drops: BatchDrops } {
  const opened: OpenedInput[] = [];
  const drops: BatchDrops = {};
  const sorted = inputs.toSorted((left, right) => (left.messageHash < right.messageHash ? -1 : 1));
  for (const { messageHash, text } of sorted) {
    const packet = fromBase64url(text);
    if (packet === null) {
      countDrop(drops, 'text-malformed');
      continue;
    }
    const header = position.sphinx.peelHeader(position.secret, packet);
    const reason = header.kind === 'drop' ? header.reason : routeReason(position, header);
    if (header.kind === 'drop' || reason !== null) countDrop(drops, reason as BatchDropReason);
    else opened.push({ messageHash, tag: header.tag, header });
  }
  return { opened, drops };
}

/**
 * The costly half, for what has not been seen before, and the shuffle: every order equally likely, to
 * everybody without the order key. Order and serials follow from all that goes in: of two sets under one
 * name neither tells anything about the other.
 * @param batch names position and cycle, so that no order serves twice
 */
export function mixBatch(
  position: BatchPosition,
  batch: string,
  opened: readonly OpenedInput[],
): { readonly outputs: BatchOutput[]; readonly drops: BatchDrops } {
  const { primitives, orderKey } = position;
  const peeled: Omit<BatchOutput, 'serial'>[] = [];
  const drops: BatchDrops = {};
  for (const { header } of opened) {
    const output = openOne(position, header);
    if (typeof output === 'string') countDrop(drops, output);
    else peeled.push(output);
  }
  const taken = batchHash(
    primitives,
    opened.map(({ messageHash }) => messageHash),
  );
  const context = `${batch}/${taken}`;
  const order = shuffle(batchRandom(primitives, orderKey, 'batchOrder', context), peeled);
  const serials = batchRandom(primitives, orderKey, 'batchSerial', context);
  // Serials are drawn after the shuffle: they say nothing of where a message stood before.
  const outputs = order.map((output) => ({ ...output, serial: toHex(serials(SERIAL_BYTES)) }));
  return { outputs, drops };
}

/** Adds up counts of drops. */
export function addDrops(...counts: readonly BatchDrops[]): BatchDrops {
  const sum: BatchDrops = {};
  for (const drops of counts) {
    for (const [reason, count] of Object.entries(drops) as [BatchDropReason, number][]) {
      sum[reason] = (sum[reason] ?? 0) + count;
    }
  }
  return sum;
}

/** Counts one drop. */
export function countDrop(drops: BatchDrops, reason: BatchDropReason): void {
  drops[reason] = (drops[reason] ?? 0) + 1;
}

function routeReason(position: BatchPosition, { routing }: PeeledHeader): BatchDropReason | null {
  if (routing.kind === 'deliver') return position.delivers ? null : 'route-short';
  if (routing.kind !== 'relay') return 'routing-unsupported';
  if (position.relayTo(routing.address) !== null) return null;
  return position.delivers ? 'route-long' : 'route-foreign';
}

function openOne(
  position: BatchPosition,
  header: PeeledHeader,
): Omit<BatchOutput, 'serial'> | BatchDropReason {
  const { sphinx, relayTo } = position;
  const { routing, macKey, out, delta } = sphinx.peelBody(header);
  if (routing.kind === 'relay') {
    wipe(macKey);
    const recipient = relayTo(routing.address);
    return recipient === null ? 'route-foreign' : { recipient, text: toBase64url(out) };
  }
  const payload = sphinx.openForward(macKey, delta);
  wipe(macKey);
  if ('kind' in payload) return payload.reason;
  if (payload.dest.length !== RECIPIENT_BYTES) return 'dest-unknown';
  if (payload.message.length === 0) return 'message-empty';
  return { recipient: toHex(payload.dest), text: toBase64url(payload.message) };
}
