/**
 * A few facts as JSON in front of bytes, in one piece, for what a gateway seals and opens again itself:
 * what comes back is what went in, or the seal would not open.
 */
import { concat, fromUtf8, readUint, toUtf8, writeUint } from '../bytes.ts';

const LENGTH_BYTES = 4;

/** Facts and bytes in one piece. */
export function encodeHeaded(head: object, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = fromUtf8(JSON.stringify(head));
  return concat(writeUint(text.length, LENGTH_BYTES), text, bytes);
}

/** Facts, of the type that went in, and bytes again. */
export function decodeHeaded(piece: Uint8Array): {
  readonly head: unknown;
  readonly bytes: Uint8Array;
} {
  const end = LENGTH_BYTES + readUint(piece, 0, LENGTH_BYTES);
  const head: unknown = JSON.parse(toUtf8(piece.subarray(LENGTH_BYTES, end)));
  return { head, bytes: piece.slice(end) };
}
