/**
 * What a payload is for, and cover: a payload of the same size whose `dest` says that it carries
 * nothing but its reply block. The difference is inside the encryption; only its exit sees it.
 */
import { equalBytes, fromUtf8 } from '../bytes.ts';
import { FRAME_BYTES, MARK_BYTES, type Geometry } from './geometry.ts';

/** The words in `dest`. Application messages will have theirs. */
export const DESTINATIONS = { mail: fromUtf8('mail'), cover: fromUtf8('cover') } as const;

export type Destination = keyof typeof DESTINATIONS;

/** What `dest` says, or null where it is no word of ours. */
export function destinationOf(dest: Uint8Array): Destination | null {
  if (equalBytes(dest, DESTINATIONS.mail)) return 'mail';
  return equalBytes(dest, DESTINATIONS.cover) ? 'cover' : null;
}

/** The message of a cover payload: as long as every other one, its reply block at the same place. */
export function coverMessage(geometry: Geometry, replyBlock: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(geometry.messageBytes);
  message.set(replyBlock, FRAME_BYTES + MARK_BYTES);
  return message;
}
