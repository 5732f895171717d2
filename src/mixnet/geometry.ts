/**
 * The room inside a packet: what a fragment's frame, a gateway's mark and a reply block take, and
 * what is left for bytes of mail. Room for mark and reply block is kept from the start, so that a
 * packet's capacity never changes; README.md has the table.
 */
import { ADDRESS_BYTES } from '../crypto/keys.ts';
import type { Sphinx } from '../sphinx/index.ts';
import { HEADER_LEN_BESIDE_BETA, SECURITY_BYTES, type SphinxParams } from '../sphinx/packet.ts';
import { messageBytesMax } from '../sphinx/payload.ts';

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
 * @throws RangeError, with the sum, where nothing is left for mail: `refuseGeometry` says so beforehand
 */
export function geometryOf(sphinx: Sphinx): Geometry {
  const geometry = sumOf(sphinx.params);
  const refusal = refuseGeometry(sphinx.params);
  if (refusal !== null) throw new RangeError(refusal);
  return geometry;
}

/** Why packets of these parameters have no room for mail, as a sentence with the sum, or null. */
export function refuseGeometry(params: SphinxParams): string | null {
  const { messageBytes, replyBlockBytes, fragmentBytes } = sumOf(params);
  if (fragmentBytes >= 1) return null;
  return (
    `BODY_LEN ${params.bodyLen} leaves ${messageBytes} bytes for a message, ` +
    `too few for frame ${FRAME_BYTES} + mark ${MARK_BYTES} + reply block ${replyBlockBytes}`
  );
}

function sumOf(params: SphinxParams): Geometry {
  const messageBytes = messageBytesMax(params.bodyLen, DEST_BYTES_MAX);
  const replyBlockBytes = surbBytesOf(params);
  const fragmentBytes = messageBytes - FRAME_BYTES - MARK_BYTES - replyBlockBytes;
  return { messageBytes, replyBlockBytes, fragmentBytes };
}

/** As `Sphinx.surbBytes`: address, alpha (a point or 1 + 28), beta, gamma, ktilde. */
function surbBytesOf({ group, headerLen }: SphinxParams): number {
  const alphaBytes = group === 'X25519' ? 32 : 1 + 28;
  const betaBytes = headerLen - HEADER_LEN_BESIDE_BETA;
  return ADDRESS_BYTES + alphaBytes + betaBytes + SECURITY_BYTES + SECURITY_BYTES;
}
