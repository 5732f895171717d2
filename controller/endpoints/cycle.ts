/**
 * A batch endpoint's cycle (D4.2 §6.4.2, §6.5.1; README.md beside this): what closing, publishing and
 * opening again take, and what moves. Pure.
 */
import type { EndpointUpdate } from '../../src/api/endpoint.ts';
import { batchHash, type Box } from '../../src/api/message.ts';
import type { Primitives } from '../../src/crypto/primitives.ts';
import { allow, refuse, type Ruled } from '../context.ts';
import type { Endpoint } from './rules.ts';

/** The box that a status empties of the messages named, and where they go. */
export const MOVES: Readonly<Partial<Record<EndpointUpdate['status'], readonly [Box, Box]>>> = {
  CLOSED: ['INBOX', 'ACCEPTED'],
  PROCESSED: ['PROCESSBOX', 'OUTBOX'],
};

/**
 * A batch endpoint with what the new status names.
 * @param entered what `enterStatus` gave
 * @param ids of `data.message_hashes` in the box that they leave (`MOVES`); null where one is not there
 */
export function changeBatch(
  primitives: Primitives,
  entered: Endpoint,
  data: EndpointUpdate,
  ids: readonly (number | null)[],
): Ruled<Endpoint> {
  const { status, message_hashes: hashes, process_proof: proof, last_message_id: last } = data;
  const moves = status in MOVES;
  if (last !== undefined || (hashes !== undefined) !== moves) return refuse('request-malformed');
  if (proof !== undefined && status !== 'PROCESSED') return refuse('request-malformed');
  if (hashes === undefined) {
    return allow(status === 'OPEN' ? { ...entered, taken: null, given: null } : entered);
  }
  const [sizeMin, sizeMax] =
    status === 'CLOSED'
      ? [entered.data.size_min, entered.data.size_max]
      : // Mixing may drop messages (replays, dummies of owners), and makes none.
        [0, entered.taken?.count ?? 0];
  if (hashes.length < sizeMin || hashes.length > sizeMax) return refuse('batch-size');
  if (ids.length !== hashes.length || ids.includes(null)) return refuse('message-missing');
  const hash = batchHash(primitives, hashes);
  if (status === 'PROCESSED') {
    return allow({ ...entered, given: { outboxHash: hash, proof: proof ?? null } });
  }
  const lastMessageId = ids.reduce<number>((highest, id) => Math.max(highest, id ?? 0), 0);
  return allow({ ...entered, taken: { inboxHash: hash, lastMessageId, count: hashes.length } });
}
