/**
 * Cutting a message into fragments of one size and joining them again. A fragment travels in one
 * packet, alone: any order, any route, any number of times. Its frame fills the payload to the last
 * byte: version | message id | index | total | expiry | length | mark | reply block | bytes | zeros.
 */
import { concat, readUint, writeUint } from '../bytes.ts';
import { FRAME_BYTES, MARK_BYTES, type Geometry } from './geometry.ts';
import { pad, unpad } from './pad.ts';

/**
 * Most fragments of one message, for who cuts and for who keeps them: 2048 of 32 kB are 66 MB, above
 * any mail. At a small BODY_LEN it is little (7 MB at 4096), and entries refuse what is larger.
 */
export const FRAGMENTS_MAX = 2_048;

const VERSION = 1;

export interface Fragment {
  /** 16 bytes. */
  readonly messageId: Uint8Array;
  /** From 0 to `total` - 1. */
  readonly index: number;
  /** How many fragments the message has, at least 1. */
  readonly total: number;
  /** When the exit may forget the fragment, in ms since 1970. */
  readonly expiryMs: number;
  readonly bytes: Uint8Array;
}

/** How many fragments `messageBytes` bytes need; an empty message needs one. */
export function fragmentsOf(messageBytes: number, geometry: Geometry): number {
  return Math.max(1, Math.ceil(messageBytes / geometry.fragmentBytes));
}

/**
 * The fragments of a message, all but the last one full. The same message gives the same fragments.
 * @throws RangeError where there would be more than `FRAGMENTS_MAX`
 */
export function split(
  message: Uint8Array,
  about: { readonly messageId: Uint8Array; readonly expiryMs: number },
  geometry: Geometry,
): Fragment[] {
  const total = fragmentsOf(message.length, geometry);
  if (total > FRAGMENTS_MAX) {
    throw new RangeError(`${message.length} bytes need ${total} fragments of ${FRAGMENTS_MAX}`);
  }
  return Array.from({ length: total }, (_, index) => ({
    messageId: about.messageId,
    expiryMs: about.expiryMs,
    index,
    total,
    bytes: message.subarray(index * geometry.fragmentBytes, (index + 1) * geometry.fragmentBytes),
  }));
}

/** The message again, from the bytes of all its fragments in their order. */
export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concat(...parts);
}

/**
 * A fragment as a payload's message: exactly `geometry.messageBytes` long.
 * @param replyBlock by which its exit acks it; zeros while it is stored and has no route yet
 */
export function encodeFragment(
  fragment: Fragment,
  geometry: Geometry,
  replyBlock: Uint8Array = new Uint8Array(geometry.replyBlockBytes),
): Uint8Array<ArrayBuffer> {
  const { messageId, index, total, expiryMs, bytes } = fragment;
  if (messageId.length !== 16) throw new RangeError('a message id has 16 bytes');
  if (bytes.length > geometry.fragmentBytes) throw new RangeError('fragment too long');
  if (replyBlock.length !== geometry.replyBlockBytes) throw new RangeError('no reply block');
  return concat(
    writeUint(VERSION, 1),
    messageId,
    writeUint(index, 4),
    writeUint(total, 4),
    writeUint(expiryMs, 6),
    writeUint(bytes.length, 4),
    // No gateway marks its fragments yet: the room stays empty.
    new Uint8Array(MARK_BYTES),
    replyBlock,
    pad(bytes, geometry.fragmentBytes),
  );
}

/** The fragment that a payload's message holds, or null where it is none. */
export function decodeFragment(message: Uint8Array, geometry: Geometry): Fragment | null {
  if (message.length !== geometry.messageBytes || message[0] !== VERSION) return null;
  const index = readUint(message, 17, 4);
  const total = readUint(message, 21, 4);
  if (total < 1 || total > FRAGMENTS_MAX || index >= total) return null;
  const length = readUint(message, 31, 4);
  const room = message.subarray(FRAME_BYTES + MARK_BYTES + geometry.replyBlockBytes);
  const bytes = unpad(room, length);
  if (bytes === null || (index < total - 1 && length !== geometry.fragmentBytes)) return null;
  return {
    messageId: message.slice(1, 17),
    index,
    total,
    expiryMs: readUint(message, 25, 6),
    bytes: bytes.slice(),
  };
}
