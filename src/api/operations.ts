/**
 * Every call of the API (D4.2 §6, design §7) in one table: path, schemas, answers, reasons. The OpenAPI
 * document is made from it, and a test asks the controller for each.
 */
import { z } from 'zod';
import type { ErrorCode } from '../errors.ts';
import { contributionCreate, contributionData } from './contribution.ts';
import { endpointCreate, endpointData, endpointUpdate } from './endpoint.ts';
import { negotiationId } from './fields.ts';
import {
  messageCreate,
  messageCreateList,
  messageData,
  messageQuery,
  messageReceipt,
  messageReceipts,
  releaseQuery,
} from './message.ts';
import { negotiationCreate, negotiationData } from './negotiation.ts';
import { meetingCreate, meetingPlace } from './meeting-place.ts';
import { nodesJson, peerCreate, peerData, peerUpdate } from './peer.ts';

/** One call. */
export interface Operation {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  /** Below the controller's URL; also with a slash at its end. */
  readonly path: string;
  /** Other spellings of the path. */
  readonly also?: readonly string[];
  readonly summary: string;
  /** Where D4.2 has it. */
  readonly section?: string;
  /** `data` of a signed body, and what its `info` names. */
  readonly body?: {
    readonly data: z.ZodType;
    readonly resource: string;
    readonly operation: 'create' | 'partial_update';
    /** Whether it carries out what a consensus has decided. */
    readonly byConsensus?: boolean;
  };
  /** A body that is not signed, for it proves itself; who sends it signs as a reader does. */
  readonly document?: z.ZodType;
  readonly query?: z.ZodObject;
  /** Whether a reader signs (RFC 9421): he must, or he sees more when he does. */
  readonly signedReading?: 'must' | 'may';
  /** Status and body where it succeeds; null where there is none. */
  readonly answers: readonly (readonly [number, z.ZodType | null])[];
  /** Reasons of its own, beside those of every request. */
  readonly reasons: readonly ErrorCode[];
}

/** Reasons that any request may be refused with. */
export const COMMON_REASONS: readonly ErrorCode[] = [
  'address-too-fast',
  'path-unknown',
  'method-refused',
  'redis-unavailable',
  'unexpected',
];
/** Those of a signed body. */
export const BODY_REASONS: readonly ErrorCode[] = [
  'body-too-large',
  'requests-too-many',
  'json-malformed',
  'request-malformed',
  'signature-missing',
  'signature-invalid',
  'request-stale',
  'catalog-foreign',
  'key-too-fast',
  'storage-pressure',
];
/** Those of a change by consensus. */
export const CONSENSUS_REASONS: readonly ErrorCode[] = [
  'consensus-missing',
  'consensus-unknown',
  'consensus-mismatch',
  'consensus-insufficient',
  'consensus-expired',
  'consensus-used',
  'not-a-signer',
];
/** Those of signed reading. */
export const READING_REASONS: readonly ErrorCode[] = [
  'signature-missing',
  'signature-invalid',
  'request-stale',
  'reader-refused',
];

const one = <T extends z.ZodType>(data: T) => z.object({ data });
const many = <T extends z.ZodType>(data: T) => z.array(z.object({ data }));
const open = { reasons: [] as ErrorCode[] };

const negotiations: readonly Operation[] = [
  {
    method: 'post',
    path: '/panoramix/negotiations',
    summary: 'Begin a negotiation',
    section: '6.2.1',
    body: { data: negotiationCreate, resource: 'negotiation', operation: 'create' },
    answers: [[201, one(negotiationData)]],
    reasons: ['negotiations-too-many'],
  },
  {
    method: 'get',
    path: '/panoramix/negotiations/{id}',
    summary: 'One negotiation, by its id or its consensus id',
    section: '6.2.2',
    answers: [[200, one(negotiationData)]],
    reasons: ['negotiation-unknown'],
  },
  {
    method: 'post',
    path: '/panoramix/contributions',
    summary: 'Put a signed text into a negotiation',
    section: '6.2.3',
    body: { data: contributionCreate, resource: 'contribution', operation: 'create' },
    answers: [[201, one(contributionData)]],
    reasons: [
      'negotiation-unknown',
      'negotiation-done',
      'negotiation-full',
      'contribution-malformed',
      'contribution-foreign',
      'contribution-expired',
      'not-a-signer',
    ],
  },
  {
    method: 'get',
    path: '/panoramix/contributions',
    summary: 'The contributions to one negotiation, oldest first',
    section: '6.2.4',
    query: z.object({
      negotiation_id: negotiationId.optional(),
      negotiation: negotiationId.optional(),
    }),
    signedReading: 'may',
    answers: [[200, many(contributionData)]],
    reasons: ['query-malformed', 'negotiation-unknown'],
  },
];

const peers: readonly Operation[] = [
  {
    method: 'post',
    path: '/panoramix/peers',
    summary: 'Create a peer',
    section: '6.3.1',
    body: { data: peerCreate, resource: 'peer', operation: 'create', byConsensus: true },
    answers: [[201, one(peerData)]],
    reasons: ['peer-exists', 'peer-malformed', 'key-foreign'],
  },
  {
    method: 'get',
    path: '/panoramix/peers/{id}',
    summary: 'One peer',
    section: '6.3.2',
    answers: [[200, one(peerData)]],
    reasons: ['peer-unknown'],
  },
  {
    method: 'get',
    path: '/panoramix/peers',
    summary: 'All peers; query parameters compare with fields',
    section: '6.3.3',
    query: peerData.pick({ key_id: true, name: true, status: true, key_type: true }).partial(),
    answers: [[200, many(peerData)]],
    reasons: ['query-malformed'],
  },
  {
    method: 'patch',
    path: '/panoramix/peers/{id}',
    summary: 'Add to the log of a combined peer, or take a snapshot of its nodes',
    body: { data: peerUpdate, resource: 'peer', operation: 'partial_update', byConsensus: true },
    answers: [[200, one(peerData)]],
    reasons: ['peer-unknown', 'peer-malformed', 'consensus-not-last', 'chain-broken'],
  },
  {
    method: 'get',
    path: '/panoramix/peers/{id}/nodes.json',
    summary: 'The directory of a mixnet, to be checked from its id alone',
    answers: [[200, nodesJson]],
    reasons: ['peer-unknown', 'mixnet-unknown'],
  },
  {
    method: 'post',
    path: '/panoramix/peers/{id}/nodes.json',
    summary:
      'Leave a directory with the own controller, as one of its nodes: it is served from then on',
    document: nodesJson,
    signedReading: 'must',
    answers: [[200, one(z.object({ number: z.int() }))]],
    reasons: [
      'sender-refused',
      'request-malformed',
      'directory-refused',
      'directory-older',
      'directory-conflict',
      'body-too-large',
      'requests-too-many',
      'json-malformed',
      'storage-pressure',
    ],
  },
  {
    method: 'post',
    path: '/panoramix/peers/{id}/meeting',
    summary: 'Say, as an owner, in which negotiation one waits for the others',
    body: { data: meetingCreate, resource: 'meeting', operation: 'create' },
    answers: [[201, one(meetingPlace)]],
    reasons: ['peer-unknown', 'reader-refused'],
  },
  {
    method: 'get',
    path: '/panoramix/peers/{id}/meeting',
    summary: 'Where each owner waits for the others; for owners',
    signedReading: 'must',
    answers: [[200, many(meetingPlace)]],
    reasons: ['peer-unknown'],
  },
];

const endpoints: readonly Operation[] = [
  {
    method: 'post',
    path: '/panoramix/endpoints',
    summary: 'Open an endpoint of a peer',
    section: '6.4.1',
    body: { data: endpointCreate, resource: 'endpoint', operation: 'create', byConsensus: true },
    answers: [[201, one(endpointData)]],
    reasons: [
      'peer-unknown',
      'endpoint-exists',
      'endpoint-id-foreign',
      'endpoint-type-unknown',
      'endpoint-owners',
      'endpoints-too-many',
    ],
  },
  {
    method: 'patch',
    path: '/panoramix/endpoints/{id}',
    also: ['/panoramix/endpoint/{id}'],
    summary: 'Change the status of an endpoint',
    section: '6.4.2',
    body: {
      data: endpointUpdate,
      resource: 'endpoint',
      operation: 'partial_update',
      byConsensus: true,
    },
    answers: [[200, one(endpointData)]],
    reasons: [
      'endpoint-unknown',
      'consensus-not-last',
      'status-refused',
      'last-message-mismatch',
      'messages-unreleased',
      'batch-size',
      'message-missing',
      'endpoints-too-many',
    ],
  },
  {
    method: 'get',
    path: '/panoramix/endpoints/{id}',
    also: ['/panoramix/endpoint/{id}'],
    summary: 'One endpoint',
    section: '6.4.3',
    signedReading: 'may',
    answers: [[200, one(endpointData)]],
    reasons: ['endpoint-unknown'],
  },
  {
    method: 'get',
    path: '/panoramix/endpoints',
    summary: 'All endpoints; query parameters compare with fields',
    section: '6.4.4',
    query: endpointData
      .pick({ peer_id: true, endpoint_id: true, endpoint_type: true, status: true, public: true })
      .partial(),
    answers: [[200, many(endpointData)]],
    reasons: ['query-malformed'],
  },
];

const messages: readonly Operation[] = [
  {
    method: 'post',
    path: '/panoramix/messages',
    summary: 'Post a message, or a list of them, into an INBOX or a PROCESSBOX',
    section: '6.5.1',
    body: {
      data: z.union([messageCreate, messageCreateList]),
      resource: 'message',
      operation: 'create',
    },
    // 201 where all are stored; 200 where some of a list are not, each with its problem.
    answers: [
      [201, z.union([one(messageReceipt), messageReceipts])],
      [200, messageReceipts],
    ],
    reasons: [
      'endpoint-unknown',
      'endpoint-full',
      'endpoint-closed',
      'endpoint-too-fast',
      'box-refused',
      'box-closed',
      'recipient-foreign',
      'sender-refused',
      'key-foreign',
    ],
  },
  {
    method: 'get',
    path: '/panoramix/messages',
    summary: 'Messages of a box in the order of their ids, with long poll',
    section: '6.5.2',
    query: messageQuery,
    signedReading: 'may',
    answers: [[200, many(messageData)]],
    reasons: ['query-malformed', 'endpoint-unknown', 'readers-too-many'],
  },
  {
    method: 'delete',
    path: '/panoramix/messages',
    summary: 'Release what was collected from the INBOX of a continuous endpoint',
    query: releaseQuery,
    signedReading: 'must',
    answers: [[204, null]],
    reasons: ['query-malformed', 'endpoint-unknown', 'last-message-mismatch', 'method-refused'],
  },
];

const others: readonly Operation[] = [
  {
    method: 'get',
    path: '/nodes.json',
    also: ['/panoramix/nodes.json'],
    summary: 'The way to the directory, where there is one mixnet here',
    answers: [[302, null]],
    reasons: ['mixnet-unknown'],
  },
  {
    ...open,
    method: 'get',
    path: '/health',
    also: ['/panoramix/health'],
    summary: 'Whether the controller can do its work',
    answers: [
      [
        200,
        z.object({
          status: z.literal('ok'),
          storage: z.enum(['open', 'entry-closed', 'settle-only']),
        }),
      ],
    ],
  },
  {
    ...open,
    method: 'get',
    path: '/panoramix/openapi.json',
    summary: 'This document',
    answers: [[200, z.looseObject({ openapi: z.string() })]],
  },
];

/** All calls, in D4.2's order. */
export const OPERATIONS: readonly Operation[] = [
  ...negotiations,
  ...peers,
  ...endpoints,
  ...messages,
  ...others,
];
