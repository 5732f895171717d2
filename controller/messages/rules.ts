/**
 * Who may post into a box, and how much of it is his (design §7). Pure.
 */
import type { MessageCreate } from '../../src/api/message.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import type { Endpoint } from '../endpoints/rules.ts';

/** What is known of who posts. */
export interface Poster {
  readonly keyData: string;
  /** A node of the directory. */
  readonly isNode: boolean;
  /** Registered here. */
  readonly isPeer: boolean;
}

/**
 * Whether a message may go in; its value is how many unread messages there may be before it: a node
 * may fill the backlog, others half of it, so that they cannot keep the mixnet's own traffic out.
 */
export function mayPost(
  endpoint: Endpoint,
  message: MessageCreate,
  poster: Poster,
): Ruled<{ readonly backlogMax: number }> {
  const { data } = endpoint;
  if (message.sender !== poster.keyData) return refuse('key-foreign');
  // A continuous endpoint's owner hands nothing back to the controller.
  if (message.box !== 'INBOX') return refuse('box-refused');
  if (message.recipient !== data.peer_id) return refuse('recipient-foreign');
  const welcome =
    poster.isNode || data.senders === 'anyone' || (data.senders === 'peers' && poster.isPeer);
  if (!welcome) return refuse('sender-refused');
  return allow({ backlogMax: poster.isNode ? data.size_max : Math.ceil(data.size_max / 2) });
}

/** Whether the status lets a new message in. */
export function takesMessages(endpoint: Endpoint): Ruled<null> {
  if (endpoint.status === 'OPEN') return allow(null);
  return refuse(endpoint.status === 'FULL' ? 'endpoint-full' : 'endpoint-closed');
}

/** Who may read a box: its endpoint's owners. */
export function mayRead(endpoint: Endpoint, reader: string | null): Ruled<null> {
  if (reader === null) return refuse('signature-missing');
  return endpoint.owners.includes(reader) ? allow(null) : refuse('reader-refused');
}
