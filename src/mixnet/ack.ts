/**
 * Acks: a packet along the reply block that every fragment and every cover carries. It says whether the
 * exit has stored what came, and looks like any other packet. An exit answers each packet once,
 * whatever was in it, so that what leaves an exit tells nothing about what came in.
 */
import type { Sphinx } from '../sphinx/index.ts';
import { readRouting } from '../sphinx/routing.ts';
import { FRAME_BYTES, MARK_BYTES, type Geometry } from './geometry.ts';

const VERSION = 1;
/** Cover is always `kept`: there was nothing that could have been refused. */
const VERDICTS = ['kept', 'refused'] as const;

/**
 * - `kept`: stored for good, and kept until it is delivered or expires
 * - `refused`: not stored now; it may be sent again
 */
export type AckVerdict = (typeof VERDICTS)[number];

/** A packet for the first hop of a reply block. */
export interface Ack {
  readonly packet: Uint8Array;
  /** Address of that hop, 16 bytes. */
  readonly next: Uint8Array;
}

/** The reply block in a payload's message, at the same place in fragment and cover. */
export function replyBlockOf(message: Uint8Array, geometry: Geometry): Uint8Array {
  const from = FRAME_BYTES + MARK_BYTES;
  return message.slice(from, from + geometry.replyBlockBytes);
}

/** The answer along a reply block; null where the bytes are none, and then nobody waits for it. */
export function buildAck(sphinx: Sphinx, replyBlock: Uint8Array, verdict: AckVerdict): Ack | null {
  const surb = sphinx.decodeSurb(replyBlock);
  if (surb === null) return null;
  const first = readRouting(surb.first);
  if (typeof first === 'string' || first.kind !== 'relay') return null;
  const message = Uint8Array.of(VERSION, VERDICTS.indexOf(verdict));
  return { packet: sphinx.reply(surb, message), next: first.address };
}

/**
 * What an ack says; null where the body was changed on its way or is of another version.
 * @param keytuple what `createSurb` gave under the reply's id
 */
export function readAck(
  sphinx: Sphinx,
  keytuple: readonly Uint8Array[],
  delta: Uint8Array,
): AckVerdict | null {
  const message = sphinx.openReply(keytuple, delta);
  if (!(message instanceof Uint8Array)) return null;
  if (message.length !== 2 || message[0] !== VERSION) return null;
  return VERDICTS[message[1] as number] ?? null;
}
