/**
 * Endpoints (D4.2 §6.4, design §7): the box-keeping positions of a peer. A continuous endpoint has one
 * owner and stays open for its key's lifetime; a batch endpoint goes through cycles, each step of which
 * all its owners agree on (controller/README.md says how).
 */
import { z } from 'zod';
import { endpointId, hex64, isSortedSet, peerId } from './fields.ts';
import { consensusLog } from './peer.ts';

/** Stop-and-go mixing: each packet leaves after its own delay (design §7, mixing strategies). */
export const CONTINUOUS = 'SPHINXMIX_CONTINUOUS';
/** A batch endpoint of a combined peer in front of a chain of links (D4.2 §5.2). */
export const BATCH_GATEWAY = 'SPHINXMIX_GATEWAY';
/** A batch endpoint by itself: a link of a chain, or one stop of a route that the sender has drawn. */
export const BATCH = 'SPHINXMIX';
/** Types whose endpoints go through cycles; the last is D4.2's own example. A controller mixes none. */
export const BATCH_TYPES: readonly string[] = [BATCH_GATEWAY, BATCH, 'ZEUS_SK_MIX'];
/** Unread messages that one continuous endpoint may hold: 65536 packets of 45 kB are 3 GB. */
export const SIZE_MAX = 65_536;
/** Messages of a batch cycle: a closing names each hash in 67 bytes, and twice that is a text's limit. */
export const BATCH_SIZE_MAX = 3_840;

/**
 * Whether an endpoint id is kept for another peer: 16 hex digits with `_` after them, at its begin or after
 * another `_`, are those that the id of its peer begins with; the first such decide. So ids that follow from
 * who opens them, and when, cannot be taken by somebody who knows that beforehand.
 */
export function isKeptForAnother(id: string, ofPeer: string): boolean {
  const [, prefix] = /(?:^|_)([0-9a-f]{16})_/.exec(id) ?? [];
  return prefix !== undefined && !ofPeer.startsWith(prefix);
}

/**
 * Statuses of an endpoint. FULL takes no messages and may open again. Of a continuous endpoint CLOSED
 * is for good; a batch endpoint opens its next cycle after PROCESSED.
 */
export const endpointStatus = z.enum(['OPEN', 'FULL', 'CLOSED', 'PROCESSED']);
export type EndpointStatus = z.output<typeof endpointStatus>;

/** Who may post to an INBOX besides the nodes of the directory. */
export const senders = z.enum(['nodes', 'peers', 'anyone']);
export type Senders = z.output<typeof senders>;

/** `data` of `POST /endpoints`. */
export const endpointCreate = z
  .strictObject({
    peer_id: peerId,
    endpoint_id: endpointId,
    endpoint_type: z.string().min(1).max(64),
    /** Opaque here; `encodeEndpointParams` writes it. */
    endpoint_params: z.string().max(16 * 1024),
    description: z.string().max(1024),
    status: z.literal('OPEN'),
    size_min: z.int().min(0).max(SIZE_MAX),
    /** Continuous: bounds the unread backlog; half of it is kept for nodes. */
    size_max: z.int().min(1).max(SIZE_MAX),
    /** Whether everybody may read OUTBOX and hashes of a batch endpoint. */
    public: z.boolean().default(false),
    senders: senders.default('peers'),
  })
  .refine((data) => data.size_min <= data.size_max, 'size_min over size_max');
/** As it is sent: what has a default may be left out. */
export type EndpointCreate = z.input<typeof endpointCreate>;
/** As it is stored. */
export type EndpointFields = z.output<typeof endpointCreate>;

/** `data` of `PATCH /endpoints/ID`: beside OPEN and FULL nothing, else what the comments say. */
export const endpointUpdate = z.strictObject({
  endpoint_id: endpointId,
  status: endpointStatus,
  /** Continuous, CLOSED and PROCESSED: the last id that the endpoint has taken. */
  last_message_id: z.int().min(0).optional(),
  /** Batch: of the INBOX what the cycle takes (CLOSED), of the PROCESSBOX what it gives (PROCESSED). */
  message_hashes: z.array(hex64).max(BATCH_SIZE_MAX).refine(isSortedSet, 'not sorted').optional(),
  /** Batch, PROCESSED: what convinces others that nothing was changed, where the backend has it. */
  process_proof: z
    .string()
    .max(64 * 1024)
    .optional(),
});
export type EndpointUpdate = z.output<typeof endpointUpdate>;

/**
 * `data` of `GET /endpoints/ID`. `inbox_hash` and `last_message_id` are there once it is closed; its
 * owners see the last id before (signed reading). All are of the present cycle.
 */
export const endpointData = z.object({
  peer_id: peerId,
  endpoint_id: endpointId,
  endpoint_type: z.string(),
  endpoint_params: z.string(),
  description: z.string(),
  status: endpointStatus,
  size_min: z.int(),
  size_max: z.int(),
  public: z.boolean(),
  senders,
  inbox_hash: hex64.optional(),
  /** Continuous: the last that it has taken. Batch: the highest that the closing names. */
  last_message_id: z.int().optional(),
  /** Batch, once it is processed. */
  outbox_hash: hex64.optional(),
  process_proof: z.string().optional(),
  consensus_logs: z.array(consensusLog),
});
export type EndpointData = z.output<typeof endpointData>;
