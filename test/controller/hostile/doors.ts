/**
 * Every door that takes a signed body, each with a request that would pass: hostile tests change one
 * thing about it, see the reason, and then see that the request itself still passes.
 */
import type { ExecutionContext } from 'ava';
import { combinedPeer, singlePeer } from '../../../src/api/peer.ts';
import { type RequestBody, signRequest, signText } from '../../../src/api/signed.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { ERRORS, type ErrorCode } from '../../../src/errors.ts';
import {
  agreeTogether,
  endpointOf,
  openEndpoint,
  type PrivateController,
  proposalText,
  serial,
} from '../private-controller.ts';

/** A door, and a request that it takes. */
export interface Door {
  readonly name: string;
  readonly method: 'POST' | 'PATCH';
  readonly path: string;
  readonly identity: Identity;
  readonly body: RequestBody & { readonly data: Readonly<Record<string, unknown>> };
  /** Status of the answer to the request as it is. */
  readonly status: 200 | 201;
}

const create = (resource: string) => ({ resource, operation: 'create' });
const update = (resource: string, last: string) => ({
  resource,
  operation: 'partial_update',
  on_last_consensus_id: last,
});
const by = (id: string) => ({
  by_consensus: { consensus_id: id, consensus_type: 'structural' as const },
});

/** Peers, a combined peer, an endpoint and a negotiation; and what each door would take of them next. */
export async function openDoors(bed: PrivateController): Promise<readonly Door[]> {
  const [one, two, fresh] = [await bed.peer(), await bed.peer(), bed.client()];
  const { identity } = one;
  const me = identity.peerId;
  const own = { identity, method: 'POST', status: 201 } as const;

  const peer = singlePeer(fresh.identity.peerId, 'fresh');
  const peerConsensus = await fresh.decideAlone({ data: peer, info: create('peer') });

  const owners = [me, two.identity.peerId].toSorted();
  const founding = combinedPeer(native, {
    name: 'both',
    backend: 'SPHINXMIX',
    params: {},
    owners,
    rule: 'all',
  });
  const founded = await agreeTogether([one, two], { data: founding, info: create('peer') });
  await one.createPeer(founding, founded);
  const log = { peer_id: founding.key_id, log: { previous: founding.key_id } };
  const logInfo = update('peer', founded);
  const logConsensus = await agreeTogether([one, two], { data: log, info: logInfo });

  const opened = await openEndpoint(one, endpointOf(me, 'open'));
  const full = { endpoint_id: 'open', status: 'FULL' };
  const fullInfo = update('endpoint', opened.consensus_logs[0]?.consensus_id ?? '');
  const fullConsensus = await one.decideAlone({ data: full, info: fullInfo });
  const another = endpointOf(me, 'another', { public: false, senders: 'peers' });
  const openConsensus = await one.decideAlone({ data: another, info: create('endpoint') });

  const negotiationId = await one.createNegotiation();
  const text = proposalText(negotiationId, { data: {}, info: {} });
  const signature = signText(native, identity, text);
  const message = {
    endpoint_id: 'open',
    box: 'INBOX',
    sender: me,
    recipient: me,
    text: 'encrypted message',
    serial: serial(),
  };
  return [
    {
      ...own,
      name: 'negotiation',
      path: 'negotiations',
      body: { data: { signers: owners, needed: 2 }, info: create('negotiation') },
    },
    {
      ...own,
      name: 'contribution',
      path: 'contributions',
      body: {
        data: { negotiation_id: negotiationId, text, signature },
        info: create('contribution'),
      },
    },
    {
      ...own,
      name: 'peer',
      path: 'peers',
      identity: fresh.identity,
      body: { data: { ...peer }, info: create('peer'), ...by(peerConsensus) },
    },
    {
      ...own,
      name: 'change of a peer',
      method: 'PATCH',
      status: 200,
      path: `peers/${founding.key_id}`,
      body: { data: log, info: logInfo, ...by(logConsensus) },
    },
    {
      ...own,
      name: 'endpoint',
      path: 'endpoints',
      body: { data: { ...another }, info: create('endpoint'), ...by(openConsensus) },
    },
    {
      ...own,
      name: 'message',
      path: 'messages',
      body: { data: message, info: create('message') },
    },
    // Last, since FULL takes no messages.
    {
      ...own,
      name: 'change of an endpoint',
      method: 'PATCH',
      status: 200,
      path: 'endpoint/open',
      body: { data: full, info: fullInfo, ...by(fullConsensus) },
    },
  ];
}

/** A door's request, signed for here and now unless `context` says otherwise. */
export function signedAt(
  bed: PrivateController,
  door: Door,
  context: { readonly nowMs?: number; readonly catalogUrl?: string } = {},
  body: RequestBody = door.body,
  identity: Identity = door.identity,
) {
  return signRequest(native, identity, body, {
    nowMs: bed.now(),
    catalogUrl: bed.url,
    ...context,
  });
}

/** Sends bytes to a door. */
export async function knock(
  bed: PrivateController,
  door: Door,
  body: string | Uint8Array<ArrayBuffer>,
): ReturnType<PrivateController['fetch']> {
  // Ten refusals a second are logged: each attempt has a second of its own.
  bed.skew(bed.now() - Date.now() + 1000);
  return await bed.fetch(`/panoramix/${door.path}`, { method: door.method, body });
}

/** Asserts a refusal: status and reason in the answer, reason and rule in the log, nothing of a bug. */
export function assertRefused(
  t: ExecutionContext,
  bed: PrivateController,
  answer: Awaited<ReturnType<PrivateController['fetch']>>,
  refusal: { readonly reason: ErrorCode; readonly rule?: string; readonly what: string },
): void {
  const { reason, rule, what } = refusal;
  t.is(answer.reason, reason, what);
  t.is(answer.status, ERRORS[reason].http, what);
  t.is(answer.headers.get('content-type'), 'application/problem+json', what);
  const line = bed.log.at(-1);
  t.is(line?.reason, reason, `${what}: the log`);
  if (rule !== undefined) t.is(line?.rule, `${reason}: ${rule}`, `${what}: the log`);
  t.deepEqual(
    bed.log.filter(({ error }) => error !== undefined),
    [],
    `${what}: no bug`,
  );
}

/** Asserts that every door still takes its request: refusals have used nothing up, and ended nothing. */
export async function assertOpen(
  t: ExecutionContext,
  bed: PrivateController,
  doors: readonly Door[],
): Promise<void> {
  for (const door of doors) {
    const answer = await knock(bed, door, JSON.stringify(signedAt(bed, door)));
    t.is(answer.status, door.status, `${door.name}: ${answer.reason}`);
  }
  t.is((await bed.fetch('/health')).status, 200);
}
