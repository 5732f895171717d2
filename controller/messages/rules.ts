/**
 * Who may post into a box, and how much of it is his (design §7). Pure.
 */
import type { Box, MessageCreate } from '../../src/api/message.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import { type Endpoint, isBatch } from '../endpoints/rules.ts';

/** What is known of who posts. */
export interface Poster {
  readonly keyData: string;
  /** A node of the directory. */
  readonly isNode: boolean;
  /** Registered here. */
  readonly isPeer: boolean;
}

/**
 * Whether a message may go in; its value is how many may be in the box before it: of a continuous
 * endpoint's backlog a node may fill the whole, others half, so that they cannot keep the mixnet's own
 * traffic out.
 */
export function mayPost(
  endpoint: Endpoint,
  message: MessageCreate,
  poster: Poster,
): Ruled<{ readonly boxMax: number }> {
  const { data, owners } = endpoint;
  const isOwner = owners.includes(poster.keyData);
  if (message.box === 'PROCESSBOX' && isBatch(endpoint)) {
    if (!isOwner) return refuse('box-refused');
    return message.sender === data.peer_id
      ? allow({ boxMax: data.size_max * owners.length })
      : refuse('key-foreign');
  }
  if (message.sender !== poster.keyData) return refuse('key-foreign');
  // A continuous endpoint's owner hands nothing back to the controller.
  if (message.box !== 'INBOX') return refuse('box-refused');
  if (message.recipient !== data.peer_id) return refuse('recipient-foreign');
  const welcome =
    isOwner ||
    poster.isNode ||
    data.senders === 'anyone' ||
    (data.senders === 'peers' && poster.isPeer);
  if (!welcome) return refuse('sender-refused');
  // A link of a chain, which its owner alone feeds: nobody else's messages are ever named there, so they
  // shall not keep him out.
  if (isOwner && isBatch(endpoint) && data.senders === 'nodes') {
    return allow({ boxMax: 2 * data.size_max });
  }
  const whole = isBatch(endpoint) || poster.isNode;
  return allow({ boxMax: whole ? data.size_max : Math.ceil(data.size_max / 2) });
}

/** Whether the status lets a new message into a box. */
export function takesMessages(endpoint: Endpoint, box: Box): Ruled<null> {
  if (box === 'PROCESSBOX') {
    return endpoint.status === 'CLOSED' ? allow(null) : refuse('box-closed');
  }
  if (endpoint.status === 'OPEN') return allow(null);
  return refuse(endpoint.status === 'FULL' ? 'endpoint-full' : 'endpoint-closed');
}

/** Whether what `takesMessages` has refused may be over since the endpoint was last read. */
export function mayChange(endpoint: Endpoint): boolean {
  return isBatch(endpoint) || endpoint.status === 'FULL';
}

/**
 * Who may read a box: its endpoint's owners. Of a batch's OUTBOX also everybody where it is public, and
 * whom the messages are for that are asked for: the next owner along a chain, a client.
 * @param recipientOwners owners of the peer whose messages are asked for; empty where all are
 */
export function mayRead(
  endpoint: Endpoint,
  box: Box,
  reader: string | null,
  recipientOwners: readonly string[],
): Ruled<null> {
  if (reader !== null && endpoint.owners.includes(reader)) return allow(null);
  if (box === 'OUTBOX' && isBatch(endpoint)) {
    if (endpoint.data.public) return allow(null);
    if (reader !== null && recipientOwners.includes(reader)) return allow(null);
  }
  return refuse(reader === null ? 'signature-missing' : 'reader-refused');
}
