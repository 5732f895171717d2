/**
 * The room inside a packet: what a fragment's frame, a gateway's mark and a reply block take, and
 * what is left for bytes of mail. Room for mark and reply block is kept from the start, so that a
 * packet's capacity never changes; README.md has the table.
 */
import type { Sphinx } from '../sphinx/index.ts';

/** Version 1, message id 16, index 4, total 4, expiry 6, length 4. */
export const FRAME_BYTES = 1 + 16 + 4 + 4 + 6 + 4;
/** Room for a gateway's Ed25519 key (32) and its signature over the fragment (64). */
export const MARK_BYTES = 32 + 64;
/** The longest `dest` of a payload, such as `app:NAME`; room is kept for it whatever `dest` is. */
export const DEST_BYTES_MAX = 32;

export interface Geometry {
  /** What every payload's message holds, whatever its `dest`. */
  readonly messageBytes: number;
  /** Room for one encoded reply block. */
  readonly replyBlockBytes: number;
  /** Bytes of mail in one full fragment. */
  readonly fragmentBytes: number;
}

/**
 * The room inside the packets of a mixnet.
 * @throws RangeError, with the sum, where nothing is left for mail: such parameters are refused
 *   when they are set
 */
export function geometryOf(sphinx: Sphinx): Geometry {
  const messageBytes = sphinx.messageBytesMax(DEST_BYTES_MAX);
  const replyBlockBytes = sphinx.surbBytes;
  const fragmentBytes = messageBytes - FRAME_BYTES - MARK_BYTES - replyBlockBytes;
  if (fragmentBytes < 1) {
    throw new RangeError(
      `BODY_LEN ${sphinx.params.bodyLen} leaves ${messageBytes} bytes for a message, ` +
        `too few for frame ${FRAME_BYTES} + mark ${MARK_BYTES} + reply block ${replyBlockBytes}`,
    );
  }
  return { messageBytes, replyBlockBytes, fragmentBytes };
}
