/**
 * Model of one batch endpoint of two owners through its cycles. Written from D4.2 §6.4, §6.5, design §7 and the
 * contract in controller/endpoints/README.md, not from the rules of the controller.
 */
import type { EndpointStatus, EndpointUpdate } from '../../../src/api/endpoint.ts';
import { type Box, messageHash, type MessageCreate } from '../../../src/api/message.ts';
import type { ControllerClient } from '../../../src/client/controller.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { broken, type Broken, type World } from './world.ts';

/** Of the endpoint: small, so that sequences meet its limits. */
export const SIZE_MIN = 1;
export const SIZE_MAX = 3;

/** A message that was taken. */
export interface Kept {
  readonly id: number;
  readonly hash: string;
  readonly message: MessageCreate;
}

/** What both owners have agreed on, or some others. */
export interface Decision {
  readonly consensus: string;
  readonly data: EndpointUpdate;
  readonly last: string;
  readonly signers: readonly string[];
  /** What applying it was answered; null before. */
  answer: unknown;
}

/** What must be so. */
export interface Model {
  status: EndpointStatus;
  /** Consensus of each transition, the opening first. */
  readonly logs: { readonly status: EndpointStatus; readonly consensus: string }[];
  readonly boxes: Record<Box, Kept[]>;
  /** Hashes of all that was ever answered 201: none is ever taken twice. */
  readonly seen: Set<string>;
  lastId: number;
  /** How many each owner has put into the PROCESSBOX of this cycle. */
  readonly posted: Map<string, number>;
  accepted: readonly string[] | null;
  published: readonly string[] | null;
  proof: string | null;
  readonly decisions: Decision[];
}

/** A client that signs for somebody. */
export type Party = ControllerClient & { readonly identity: Identity };

/** Whom the model asks, and who asks: two owners, a registered peer, and a stranger. */
export interface Real {
  readonly world: World;
  readonly mixnetId: string;
  readonly endpointId: string;
  readonly who: readonly [Party, Party, Party, Party];
}

/** From which status to which (design §7). */
export const NEXT: Readonly<Record<EndpointStatus, readonly EndpointStatus[]>> = {
  OPEN: ['FULL', 'CLOSED'],
  FULL: ['OPEN', 'CLOSED'],
  CLOSED: ['PROCESSED'],
  PROCESSED: ['OPEN'],
};

/** One of a few messages, so that sequences repeat them. */
export interface Letter {
  readonly letter: number;
  readonly box: Box;
  /** Whose key the sender is: the poster's own (or, for results, the peer's), or another's. */
  readonly asAnother: boolean;
  readonly toAnother: boolean;
}

/** The message of a letter. */
export function messageOf(real: Real, from: Party, of: Letter): MessageCreate {
  const { mixnetId, endpointId, who } = real;
  const other = who[2].identity.peerId === from.identity.peerId ? who[0] : who[2];
  const own = of.box === 'PROCESSBOX' ? mixnetId : from.identity.peerId;
  const into = of.box === 'PROCESSBOX' ? who[2].identity.peerId : mixnetId;
  return {
    endpoint_id: endpointId,
    box: of.box,
    sender: of.asAnother ? other.identity.peerId : own,
    recipient: of.toAnother ? other.identity.peerId : into,
    text: `letter ${of.letter}`,
    serial: of.letter.toString(16).padStart(32, '0'),
  };
}

/** Rules that a message breaks. */
export function judge(model: Model, real: Real, from: Party, message: MessageCreate): Broken {
  const { mixnetId, who } = real;
  const key = from.identity.peerId;
  const isOwner = from === who[0] || from === who[1];
  const results = message.box === 'PROCESSBOX';
  const lawful = {
    'box-refused': message.box === 'ACCEPTED' || message.box === 'OUTBOX' || (results && !isOwner),
    'key-foreign': message.sender !== (results ? mixnetId : key),
    'recipient-foreign': !results && message.recipient !== mixnetId,
    'sender-refused': !results && from === who[3],
  };
  const refused = broken(lawful);
  // The first answer was 201, so a repeat gets it too, whatever has happened since.
  if (refused.size > 0 || model.seen.has(messageHash(native, message))) return refused;
  const { status, boxes, posted } = model;
  return broken({
    'endpoint-closed': !results && (status === 'CLOSED' || status === 'PROCESSED'),
    'endpoint-full': results
      ? status === 'CLOSED' && (posted.get(key) ?? 0) >= SIZE_MAX
      : status === 'FULL' || (status === 'OPEN' && boxes.INBOX.length >= SIZE_MAX),
    'box-closed': results && status !== 'CLOSED',
  });
}

/** What a message changes that breaks none. */
export function take(model: Model, from: Party, message: MessageCreate): void {
  const hash = messageHash(native, message);
  if (model.seen.has(hash)) return;
  model.seen.add(hash);
  model.lastId++;
  model.boxes[message.box].push({ id: model.lastId, hash, message });
  if (message.box !== 'PROCESSBOX') return;
  const key = from.identity.peerId;
  model.posted.set(key, (model.posted.get(key) ?? 0) + 1);
}

/** What it is answered, now and in every repeat. */
export function receiptOf(message: MessageCreate) {
  const { endpoint_id, box } = message;
  return { endpoint_id, box, message_hash: messageHash(native, message) };
}

/**
 * A change to a status.
 * @param mask which messages of the box it names
 * @param stray what is wrong with it
 */
export function updateOf(
  model: Model,
  real: Real,
  status: EndpointStatus,
  { mask, stray: beside }: { readonly mask: number; readonly stray: string },
): EndpointUpdate {
  const names = { endpoint_id: real.endpointId, status };
  const from = { CLOSED: 'INBOX', PROCESSED: 'PROCESSBOX', OPEN: null, FULL: null }[
    status
  ] as Box | null;
  if (from === null) {
    return beside === 'wrong fields' ? { ...names, message_hashes: [] } : names;
  }
  if (beside === 'wrong fields') return names;
  const named = model.boxes[from].filter((_, index) => (mask >> index) & 1).map(({ hash }) => hash);
  const others = [...model.boxes.ACCEPTED, ...model.boxes.OUTBOX].map(({ hash }) => hash);
  if (beside === 'nobody') named.push('7'.repeat(64));
  if (beside === 'another box') named.push(...others.slice(0, 1));
  const hashes = { message_hashes: [...new Set(named)].toSorted() };
  const proof = status === 'PROCESSED' && mask % 2 === 1 ? { process_proof: `proof ${mask}` } : {};
  return { ...names, ...hashes, ...proof };
}

/** `info` of a change. */
export function infoOf(last: string) {
  return { resource: 'endpoint', operation: 'partial_update', on_last_consensus_id: last };
}

/** Rules that a change breaks, whoever brings it. */
export function judgeChange(
  model: Model,
  { who }: Real,
  decision: Decision,
  data: EndpointUpdate,
): Broken {
  const { status, message_hashes: hashes } = data;
  const owners = [who[0], who[1]].map((one) => one.identity.peerId).toSorted();
  const names = status === 'CLOSED' || status === 'PROCESSED';
  const box = model.boxes[status === 'CLOSED' ? 'INBOX' : 'PROCESSBOX'].map(({ hash }) => hash);
  const count = hashes?.length ?? 0;
  const [least, most] =
    status === 'CLOSED' ? [SIZE_MIN, SIZE_MAX] : [0, model.accepted?.length ?? 0];
  return broken({
    'consensus-insufficient': decision.signers.join() !== owners.join(),
    'consensus-not-last': decision.last !== model.logs.at(-1)?.consensus,
    'status-refused': !NEXT[model.status].includes(status),
    'request-malformed': names !== (hashes !== undefined),
    'batch-size': names && (count < least || count > most),
    'message-missing': names && (hashes ?? []).some((hash) => !box.includes(hash)),
  });
}

/** What a change does that breaks none. */
export function move(model: Model, { data, consensus }: Decision): void {
  const { boxes } = model;
  const named = new Set(data.message_hashes);
  const isNamed = ({ hash }: Kept): boolean => named.has(hash);
  model.status = data.status;
  model.logs.push({ status: data.status, consensus });
  if (data.status === 'CLOSED') {
    boxes.ACCEPTED = boxes.INBOX.filter(isNamed);
    boxes.INBOX = boxes.INBOX.filter((kept) => !isNamed(kept));
    model.accepted = data.message_hashes ?? null;
  }
  if (data.status === 'PROCESSED') {
    boxes.OUTBOX = boxes.PROCESSBOX.filter(isNamed);
    boxes.PROCESSBOX = [];
    model.published = data.message_hashes ?? null;
    model.proof = data.process_proof ?? null;
    model.posted.clear();
  }
  if (data.status === 'OPEN' && model.accepted !== null) {
    boxes.ACCEPTED = [];
    boxes.OUTBOX = [];
    [model.accepted, model.published, model.proof] = [null, null, null];
  }
}
