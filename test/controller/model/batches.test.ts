/** Batch cycles against the model of batch-model.ts, in random sequences: what holds after every one of them. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type { EndpointData } from '../../../src/api/endpoint.ts';
import type { Box, MessageData } from '../../../src/api/message.ts';
import { combinedPeer } from '../../../src/api/peer.ts';
import { CarefulClient } from '../../../src/client/careful.ts';
import { native } from '../../../src/crypto/native.ts';
import {
  endpointOf,
  type PrivateController,
  privateController,
  sharedStore,
} from '../private-controller.ts';
import { type Model, type Real, SIZE_MAX, SIZE_MIN } from './batch-model.ts';
import { STEPS } from './batch-steps.ts';
import { dataOf, runSequences, step, World } from './world.ts';

const store = sharedStore(test);
const BOXES: readonly Box[] = ['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX'];
let sequences = 0;

function by(id: string) {
  return { by_consensus: { consensus_id: id, consensus_type: 'structural' as const } };
}

/** Two owners of a fresh peer with an open endpoint, a registered peer, and a stranger. */
async function setUp(
  bed: PrivateController,
  poster: Real['who'][2],
): Promise<{ readonly model: Model; readonly real: Real }> {
  const who = [bed.client(), bed.client(), poster, bed.client()] as const;
  const owners = [who[0], who[1]];
  const keys = owners.map((one) => one.identity.peerId).toSorted();
  const peer = combinedPeer(native, {
    name: 'both',
    backend: 'SPHINXMIX',
    params: {},
    owners: keys,
    rule: 'all',
  });
  const create = { resource: 'peer', operation: 'create' };
  const world = new World(bed);
  const identities = owners.map((one) => one.identity);
  const founding = { data: peer, info: create };
  const founded = await world.agree(identities, founding);
  await world.ask('POST', 'peers', who[0].identity, { ...founding, ...by(founded) });
  const endpointId = `batch_${++sequences}`;
  const sizes = { size_min: SIZE_MIN, size_max: SIZE_MAX, public: sequences % 2 === 0 };
  const type = { endpoint_type: 'SPHINXMIX_GATEWAY', ...sizes };
  const data = endpointOf(peer.key_id, endpointId, type);
  const info = { resource: 'endpoint', operation: 'create' };
  const opened = await world.agree(identities, { data, info });
  await world.ask('POST', 'endpoints', who[0].identity, { data, info, ...by(opened) });
  const model: Model = {
    status: 'OPEN',
    logs: [{ status: 'OPEN', consensus: opened }],
    boxes: { INBOX: [], ACCEPTED: [], PROCESSBOX: [], OUTBOX: [] },
    seen: new Set(),
    lastId: 0,
    posted: new Map(),
    accepted: null,
    published: null,
    proof: null,
    decisions: [],
  };
  return { model, real: { world, mixnetId: peer.key_id, endpointId, who } };
}

/** The invariants, by what anybody can read; and the model to the last field. */
async function look(model: Model, real: Real): Promise<void> {
  const { world, endpointId, mixnetId, who } = real;
  const [owner, , , stranger] = who;
  const boxes = new Map<Box, readonly MessageData[]>();
  for (const box of BOXES) {
    const answer = await world.read(owner.identity, 'messages', { endpoint_id: endpointId, box });
    boxes.set(
      box,
      (answer.body as { data: MessageData }[]).map(({ data }) => data),
    );
  }
  // No message is lost or in two boxes.
  const all = [...boxes.values()].flat();
  deepStrictEqual(new Set(all.map((one) => one.message_hash)).size, all.length, 'in one box each');
  deepStrictEqual(new Set(all.map((one) => one.id)).size, all.length, 'an id each');
  for (const box of BOXES) {
    const expected = model.boxes[box].map(({ id, hash, message }) => ({
      ...message,
      box,
      id,
      message_hash: hash,
    }));
    deepStrictEqual(boxes.get(box), expected, `${box} holds what was posted, and nothing else`);
  }
  // No transition is without its consensus: each is checked as a client does that knows the peer's id alone.
  const careful = new CarefulClient(stranger, native, mixnetId);
  const verified = await careful.endpoint(endpointId);
  deepStrictEqual(verified.status, model.status);
  // Hashes are those of the messages that the owners named, from the closing to the next cycle.
  const answer = await world.read(stranger.identity, `endpoints/${endpointId}`);
  const said = dataOf(answer) as EndpointData;
  deepStrictEqual(
    said.consensus_logs.map((line) => ({ status: line.status, consensus: line.consensus_id })),
    model.logs,
  );
  const { accepted, published, proof } = model;
  const { inbox_hash, outbox_hash, process_proof, last_message_id } = said;
  deepStrictEqual(inbox_hash, accepted === null ? undefined : hashOf(accepted));
  deepStrictEqual(outbox_hash, published === null ? undefined : hashOf(published));
  deepStrictEqual(process_proof, proof ?? undefined);
  const highest = Math.max(...model.boxes.ACCEPTED.map(({ id }) => id));
  deepStrictEqual(last_message_id, accepted === null ? undefined : highest);
  await lookAsStranger(real, said.public);
}

/** Design §7, worked out here by other means than the controller's. */
function hashOf(hashes: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(hashes.toSorted())).digest('hex');
}

async function lookAsStranger({ world, endpointId, who }: Real, isPublic: boolean): Promise<void> {
  for (const box of BOXES) {
    const query = { endpoint_id: endpointId, box };
    const { status, reason } = await world.read(who[3].identity, 'messages', query);
    if (box === 'OUTBOX' && isPublic) ok(status === 200);
    else deepStrictEqual([status, reason], [403, 'reader-refused'], box);
  }
}

test('whatever owners and strangers do, no message is lost or in two boxes, and nothing moves without consensus', async (t) => {
  const bed = await privateController(t, store());
  const poster = await bed.peer();
  const looking = fc.constant(step<Model, Real>('look', look));
  await runSequences<Model, Real>(t, [...STEPS, looking], () => setUp(bed, poster), look, [
    'post INBOX: taken',
    'post INBOX: endpoint-full',
    'post INBOX: endpoint-closed',
    'post INBOX: key-foreign',
    'post INBOX: recipient-foreign',
    'post INBOX: sender-refused',
    'post PROCESSBOX: taken',
    'post PROCESSBOX: box-closed',
    'post PROCESSBOX: box-refused',
    'post ACCEPTED: box-refused',
    'post OUTBOX: box-refused',
    'post again: taken',
    'post list: taken',
    'post in list: taken',
    'change to FULL: taken',
    'change to OPEN: taken',
    'change to CLOSED: taken',
    'change to PROCESSED: taken',
    'change again: taken',
    'change: batch-size',
    'change: message-missing',
    'change: consensus-insufficient',
    'change: consensus-not-last',
    'change: consensus-missing',
    'change: consensus-unknown',
    'change: consensus-mismatch',
    'change: consensus-used',
    'change: not-a-signer',
    'change: request-malformed',
    'change: status-refused',
  ]);
});
