/**
 * Messages (D4.2 §6.5, design §7): what is posted into a box and read from it, and the hashes that name
 * them. The text of a packet is base64url of its bytes; the controller keeps it as given.
 */
import { z } from 'zod';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText } from './canonical.ts';
import { endpointId, hex64, peerId } from './fields.ts';
import { problemDocument } from './problem.ts';
import { hashText } from './signed.ts';

/** Longest text: packets of BODY_LEN 32768 are 44 kB of base64url; this leaves room for twice that. */
export const MESSAGE_TEXT_LENGTH_MAX = 128 * 1024;
/** Messages in one list POST, and their bytes as JSON: its body is 2 MB at most, 45 packets of 44 kB. */
export const POST_LIST_MAX = 64;
export const POST_LIST_BYTES_MAX = 2_000_000;
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
  /** INBOX: the poster's key, which also signs the request. PROCESSBOX: the endpoint's peer. */
  sender: hex64,
  /** INBOX: the endpoint's peer. PROCESSBOX: whom the message is for, once it is in the OUTBOX. */
  recipient: peerId,
  text: z.string().min(1).max(MESSAGE_TEXT_LENGTH_MAX),
  /** 32 hex digits of the poster's, random; D4.2's example has none: empty. */
  serial: z
    .string()
    .regex(/^([0-9a-f]{32})?$/)
    .default(''),
});
export type MessageCreate = z.output<typeof messageCreate>;

/** `data` of `POST /messages`, where several are posted at once: each is taken or refused by itself. */
export const messageCreateList = z.array(messageCreate).min(1).max(POST_LIST_MAX);

/** What a stored message is answered with: no id, which would tell the count. */
export const messageReceipt = z.object({ endpoint_id: endpointId, box, message_hash: hex64 });
export type MessageReceipt = z.output<typeof messageReceipt>;

/** Answer to a list, in its order: what a single POST would have been answered. */
export const messageReceipts = z.array(
  z.union([z.object({ data: messageReceipt }), z.object({ problem: problemDocument })]),
);

/** `data` of a message as its readers get it. */
export const messageData = z.object({
  endpoint_id: endpointId,
  /** Where it is now. */
  box,
  /** Counted per endpoint over all its boxes, from 1, without gaps. */
  id: z.int().min(1),
  sender: hex64,
  recipient: peerId,
  text: z.string(),
  serial: z.string(),
  /** `messageHash` with the box it was posted into (`postedInto`), so it stays while it moves. */
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
  /** Only messages for this peer; of an OUTBOX also who owns that peer may read these. */
  recipient: peerId.optional(),
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

/** The box into which a message was posted that is now in another: its hash names that one. */
export function postedInto(now: Box): 'INBOX' | 'PROCESSBOX' {
  return now === 'INBOX' || now === 'ACCEPTED' ? 'INBOX' : 'PROCESSBOX';
}

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

/**
 * `inbox_hash` and `outbox_hash` of a batch endpoint: SHA-256 of the canonical text of the sorted
 * message hashes that its closing, or its result, names.
 */
export function batchHash(primitives: Primitives, messageHashes: readonly string[]): string {
  return hashText(primitives, canonicalText(messageHashes.toSorted()));
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
