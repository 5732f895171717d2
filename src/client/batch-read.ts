/**
 * Reads a whole box of a batch endpoint and checks each message against its hash: nothing is taken from
 * the controller's word.
 */
import { BATCH_SIZE_MAX } from '../api/endpoint.ts';
import { LIST_LIMIT_MAX, type Box } from '../api/message.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { ControllerClient, InboxMessage } from './controller.ts';
import { verifyBox } from './verify-endpoint.ts';

/** A PROCESSBOX may hold what each owner posts; beyond that it is none of ours. */
const MESSAGES_MAX = 4 * BATCH_SIZE_MAX;

/** Which messages are asked for. */
export interface BoxQuery {
  readonly endpointId: string;
  readonly box: Box;
  /** Only those for this peer, */
  readonly recipient?: string;
  /** above this id. */
  readonly after?: number;
}

/**
 * The messages of a box, in the order of ids.
 * @param named hashes that were agreed on for exactly these messages; null where nothing is agreed
 * @throws PanoramixError `controller-lies` with a `LieReason`, or the controller's own reason
 */
export async function readBox(
  client: ControllerClient,
  primitives: Primitives,
  query: BoxQuery,
  named: readonly string[] | null = null,
): Promise<readonly InboxMessage[]> {
  const messages: InboxMessage[] = [];
  for (let after = query.after ?? 0; messages.length <= MESSAGES_MAX;) {
    const page = await client.listMessages({ ...query, after, limit: LIST_LIMIT_MAX });
    messages.push(...page);
    const last = page.at(-1)?.id ?? after;
    // A controller may give shorter pages than were asked for; one that turns in circles is stopped.
    if (last <= after) break;
    after = last;
  }
  const read = verifyBox(primitives, query, messages, named, true);
  if (read.ok) return read.value;
  throw new PanoramixError(
    'controller-lies',
    `${read.reason}: ${query.endpointId} ${query.box} at ${client.url}`,
  );
}
