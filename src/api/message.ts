/**
 * Messages (D4.2 §6.5, design §7): what is posted into a box and read from it, and the hashes that name
 * them. The text of a packet is base64url of its bytes; the controller keeps it as given.
 */
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText } from './canonical.ts';
import { endpointId, hex64, peerId } from './fields.ts';
import { hashText } from './signed.ts';

/** Longest text: packets of BODY_LEN 32768 are 44 kB of base64url; this leaves room for twice that. */
export const MESSAGE_TEXT_LENGTH_MAX = 128 * 1024;
/** Messages in one answer; with texts of 44 kB about 11 MB. */
export const LIST_LIMIT_MAX = 256;
export const LIST_LIMIT_DEFAULT = 64;
/** Longest long poll, ms: below what proxies cut off. */
export const WAIT_MS_MAX = 30_000;

/** Boxes of an endpoint (D4.2 §6.1). */
export const box = z.enum(['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX']);
export type Box = z.output<typeof box>;

/** `data` of `POST /messages`. */
export const messageCreate = z.strictObject({
  endpoint_id: endpointId,
  box,
  /** The poster's key, which also signs the request. */
  sender: hex64,
  /** INBOX: the endpoint's peer. */
  recipient: peerId,
  text: z.string().min(1).max(MESSAGE_TEXT_LENGTH_MAX),
  /** 32 hex digits of the poster's, random; D4.2's example has none: empty. */
  serial: z
    .string()
    .regex(/^([0-9a-f]{32})?$/)
    .default(''),
});
export type MessageCreate = z.output<typeof messageCreate>;

/** `data` of a message as its readers get it. */
export const messageData = z.object({
  endpoint_id: endpointId,
  box,
  /** Counted per endpoint, from 1, without gaps. */
  id: z.int().min(1),
  sender: hex64,
  recipient: peerId,
  text: z.string(),
  serial: z.string(),
  message_hash: hex64,
});
export type MessageData = z.output<typeof messageData>;

/** Query of `GET /messages`. */
export const messageQuery = z.object({
  endpoint_id: endpointId,
  box,
  /** Only ids above this one. */
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(LIST_LIMIT_MAX).default(LIST_LIMIT_DEFAULT),
  /** Long poll: ms to wait for the first message. */
  wait: z.coerce.number().int().min(0).max(WAIT_MS_MAX).default(0),
});

/** Query of `DELETE /messages`. */
export const releaseQuery = z.object({
  endpoint_id: endpointId,
  box: z.literal('INBOX'),
  /** The last id to release; all below it go too. */
  up_to: z.coerce.number().int().min(0),
});

/** SHA-256 in hex over the canonical text of `{endpoint_id, box, sender, recipient, text, serial}`. */
export function messageHash(
  primitives: Primitives,
  message: Pick<MessageCreate, 'endpoint_id' | 'box' | 'sender' | 'recipient' | 'text' | 'serial'>,
): string {
  const { endpoint_id, box: into, sender, recipient, text, serial } = message;
  return hashText(
    primitives,
    canonicalText({ endpoint_id, box: into, sender, recipient, text, serial }),
  );
}

/** `inbox_hash` of a continuous endpoint that has taken nothing yet. */
export function emptyInboxHash(primitives: Primitives, endpoint: string): string {
  return hashText(primitives, canonicalText([endpoint]));
}

/**
 * `inbox_hash` of a continuous endpoint, a running hash: SHA-256 of the canonical text of
 * `[hash before, message hash]`, for each message in the order of ids.
 */
export function runningInboxHash(
  primitives: Primitives,
  before: string,
  messageHashes: readonly string[],
): string {
  return messageHashes.reduce(
    (hash, next) => hashText(primitives, canonicalText([hash, next])),
    before,
  );
}
