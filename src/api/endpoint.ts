/**
 * Endpoints (D4.2 §6.4, design §7): the box-keeping positions of a peer. A continuous endpoint has one
 * owner and stays open for its key's lifetime; batch cycles are of other types.
 */
import { z } from 'zod';
import { endpointId, hex64, peerId } from './fields.ts';
import { consensusLog } from './peer.ts';

/** Stop-and-go mixing: each packet leaves after its own delay (design §7, mixing strategies). */
export const CONTINUOUS = 'SPHINXMIX_CONTINUOUS';
/** Unread messages that one endpoint may hold: 65536 packets of 45 kB are 3 GB. */
export const SIZE_MAX = 65_536;

/** Statuses of an endpoint. FULL takes no messages and may open again; CLOSED and PROCESSED may not. */
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

/** `data` of `PATCH /endpoints/ID`. */
export const endpointUpdate = z.strictObject({
  endpoint_id: endpointId,
  status: endpointStatus,
  /** Continuous, CLOSED and PROCESSED: the last id that the endpoint has taken. */
  last_message_id: z.int().min(0).optional(),
  /** Batch: the messages that the cycle takes, or gives. */
  message_hashes: z.array(hex64).max(SIZE_MAX).optional(),
  process_proof: z
    .string()
    .max(64 * 1024)
    .optional(),
});
export type EndpointUpdate = z.output<typeof endpointUpdate>;

/**
 * `data` of `GET /endpoints/ID`. `inbox_hash` and `last_message_id` are there once it is closed; its
 * owners see them before (signed reading).
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
  last_message_id: z.int().optional(),
  consensus_logs: z.array(consensusLog),
});
export type EndpointData = z.output<typeof endpointData>;
