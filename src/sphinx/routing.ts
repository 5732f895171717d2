/**
 * What a header tells one hop: pass it on, deliver it, or take it as a reply. In msgpack, as the
 * reference writes it: an array of a flag, U+00F0 to U+00F2, and byte strings.
 */

import { concat, equalBytes, readUint, writeUint } from '../bytes.ts';
import { ADDRESS_BYTES } from '../crypto/keys.ts';
import { requireLength } from '../crypto/primitives.ts';
import { MsgpackReader, binaryBytes, encodeArray, encodeBinary } from './msgpack.ts';

/** A string of two bytes (0xa2): the flag's character in UTF-8. */
const RELAY = Uint8Array.of(0xa2, 0xc3, 0xb0);
const DELIVER = Uint8Array.of(0xa2, 0xc3, 0xb1);
const REPLY = Uint8Array.of(0xa2, 0xc3, 0xb2);
const ARRAY_BYTES = 1;
const FLAG_BYTES = 3;

const DELAY_BYTES = 4;
/** Bytes of a reply's id. */
const REPLY_ID_BYTES = 16;
/** A length byte is signed in the reference: what does not fit into 7 bits was never sent by it. */
export const ROUTING_BYTES_MAX = 127;

/** Array 1 + flag 3 + (2 + address 16 + delay 4) = 26. */
export const RELAY_ROUTING_BYTES =
  ARRAY_BYTES + FLAG_BYTES + binaryBytes(ADDRESS_BYTES + DELAY_BYTES);
/** Array 1 + flag 3 = 4. */
export const DELIVER_ROUTING_BYTES = ARRAY_BYTES + FLAG_BYTES;

/** Array 1 + flag 3 + (2 + dest) + (2 + id 16): 24 with an empty dest. */
export function replyRoutingBytes(destBytes: number): number {
  return ARRAY_BYTES + FLAG_BYTES + binaryBytes(destBytes) + binaryBytes(REPLY_ID_BYTES);
}

/** What a hop is told. */
export type Routing =
  | {
      readonly kind: 'relay';
      /** Whom to pass it to: `nodeAddress` of the next hop, 16 bytes. */
      readonly address: Uint8Array;
      /** How long to hold it first. */
      readonly delayMs: number;
    }
  | { readonly kind: 'deliver' }
  | { readonly kind: 'reply'; readonly dest: Uint8Array; readonly id: Uint8Array }
  /** A relay routing as other users of the reference write them: its name of a node is not ours. */
  | { readonly kind: 'other'; readonly raw: Uint8Array };

/**
 * The routing that hop i reads of hop i + 1.
 * @param address of hop i + 1, 16 bytes
 * @param delayMs how long hop i holds the packet, up to 2^32 - 1
 */
export function relayRouting(address: Uint8Array, delayMs: number): Uint8Array {
  requireLength('address', address, ADDRESS_BYTES);
  return encodeArray(RELAY, encodeBinary(concat(address, writeUint(delayMs, DELAY_BYTES))));
}

/** The final routing of a packet that carries a message. */
export function deliverRouting(): Uint8Array {
  return encodeArray(DELIVER);
}

/** The final routing of a reply. */
export function replyRouting(dest: Uint8Array, id: Uint8Array): Uint8Array {
  return encodeArray(REPLY, encodeBinary(dest), encodeBinary(id));
}

/**
 * What the bytes tell a hop. Exactly what a sender writes is read, and nothing beside it: the shortest
 * form of every value, the right number of items, no bytes left over.
 */
export function readRouting(bytes: Uint8Array): Routing | 'routing-malformed' | 'routing-unknown' {
  const reader = new MsgpackReader(bytes);
  const count = reader.arrayCount();
  if (count === 1 && reader.takes(DELIVER)) {
    return reader.atEnd ? { kind: 'deliver' } : 'routing-malformed';
  }
  if (count === 2 && reader.takes(RELAY)) {
    const name = reader.binary();
    if (name === null || !reader.atEnd) return 'routing-malformed';
    if (name.length !== ADDRESS_BYTES + DELAY_BYTES) return { kind: 'other', raw: bytes };
    return {
      kind: 'relay',
      address: name.subarray(0, ADDRESS_BYTES),
      delayMs: readUint(name, ADDRESS_BYTES, DELAY_BYTES),
    };
  }
  if (count === 3 && reader.takes(REPLY)) {
    const dest = reader.binary();
    const id = dest && reader.binary();
    if (dest === null || id?.length !== REPLY_ID_BYTES || !reader.atEnd) return 'routing-malformed';
    return { kind: 'reply', dest, id };
  }
  return count !== null && count > 0 && hasOtherFlag(bytes)
    ? 'routing-unknown'
    : 'routing-malformed';
}

/** A whole two-byte string that is none of the three flags comes first: perhaps a later version. */
function hasOtherFlag(bytes: Uint8Array): boolean {
  const flag = bytes.subarray(ARRAY_BYTES, ARRAY_BYTES + FLAG_BYTES);
  const known = [RELAY, DELIVER, REPLY].some((ours) => equalBytes(ours, flag));
  return !known && flag.length === FLAG_BYTES && flag[0] === RELAY[0];
}
