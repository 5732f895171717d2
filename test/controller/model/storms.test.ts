/**
 * Storms: posters, repeats, closings, publishings and changes of mind at the same moment, seen from outside. What
 * comes first is anybody's guess; what must hold afterwards is not.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { EndpointData, EndpointUpdate } from '../../../src/api/endpoint.ts';
import {
  type Box,
  messageHash,
  type MessageCreate,
  type MessageData,
} from '../../../src/api/message.ts';
import { CarefulClient } from '../../../src/client/careful.ts';
import type { Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { foundTogether, type Party } from '../batch-party.ts';
import {
  endpointOf,
  type PrivateController,
  privateController,
  serial,
  sharedStore,
} from '../private-controller.ts';
import { type Answer, dataOf, World } from './world.ts';

const store = sharedStore(test);
const SECONDS = Number(process.env['MODEL_SECONDS'] ?? 10);
const STORMS_MIN = 40;
const SIZE_MAX = 6;
const STREAMS = 4;
const BOXES: readonly Box[] = ['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX'];

/** A batch endpoint in the eye of the storm. */
class Eye {
  readonly world: World;
  readonly owners: readonly [Identity, Identity];
  readonly peerId: string;
  readonly id: string;
  /** Every message ever sent, by its hash: whether it was answered 201. */
  readonly sent = new Map<string, boolean>();
  /** Those of them that were for the PROCESSBOX. */
  readonly results: string[] = [];
  readonly reasons = new Set<string>();

  constructor(world: World, owners: readonly [Identity, Identity], peerId: string, id: string) {
    this.world = world;
    this.owners = owners;
    this.peerId = peerId;
    this.id = id;
  }

  /** One message, twice at the same moment; whether it was taken. */
  async post(from: Identity, box: 'INBOX' | 'PROCESSBOX'): Promise<boolean> {
    const message: MessageCreate = {
      endpoint_id: this.id,
      box,
      sender: box === 'INBOX' ? from.peerId : this.peerId,
      recipient: this.peerId,
      text: 'in a storm',
      serial: serial(),
    };
    const body = { data: message, info: { resource: 'message', operation: 'create' } };
    await delay(Math.random() * 8);
    const answers = await Promise.all(
      [1, 2].map(() => this.world.ask('POST', 'messages', from, body)),
    );
    const taken = answers.some(({ status }) => status === 201);
    const hash = messageHash(native, message);
    this.sent.set(hash, taken);
    if (box === 'PROCESSBOX') this.results.push(hash);
    for (const answer of answers)
      this.#note(answer, ['endpoint-full', 'endpoint-closed', 'box-closed']);
    return taken;
  }

  /** Both owners agree on a change of what they see now, and both carry it out at the same moment. */
  async change(
    make: (seen: EndpointData) => Promise<Omit<EndpointUpdate, 'endpoint_id'>>,
  ): Promise<void> {
    await delay(Math.random() * 8);
    const seen = await this.seen();
    const data = { endpoint_id: this.id, ...(await make(seen)) };
    const info = {
      resource: 'endpoint',
      operation: 'partial_update',
      on_last_consensus_id: seen.consensus_logs.at(-1)?.consensus_id ?? '',
    };
    const consensus_id = await this.world.agree(this.owners, { data, info });
    const by_consensus = { consensus_id, consensus_type: 'structural' as const };
    const answers = await Promise.all(
      this.owners.map((owner) =>
        this.world.ask('PATCH', `endpoints/${this.id}`, owner, { data, info, by_consensus }),
      ),
    );
    const lawful = ['consensus-not-last', 'status-refused', 'batch-size', 'message-missing'];
    for (const answer of answers) this.#note(answer, lawful);
    const bodies = answers.filter(({ status }) => status === 200).map(({ body }) => body);
    // The loser of the race for one consensus gets the winner's answer.
    deepStrictEqual(bodies[0], bodies.at(-1));
  }

  async close(): Promise<void> {
    await this.change(async () => ({
      status: 'CLOSED',
      message_hashes: (await this.hashes('INBOX')).slice(0, 1 + Math.floor(Math.random() * 6)),
    }));
  }

  async publish(): Promise<void> {
    await this.change(async () => ({
      status: 'PROCESSED',
      message_hashes: (await this.hashes('PROCESSBOX')).slice(0, Math.floor(Math.random() * 3)),
    }));
  }

  /** There and back: FULL, then OPEN. */
  async hesitate(): Promise<void> {
    await this.change(() => Promise.resolve({ status: 'FULL' }));
    await this.change(() => Promise.resolve({ status: 'OPEN' }));
  }

  async seen(): Promise<EndpointData> {
    return dataOf(await this.world.read(this.owners[0], `endpoints/${this.id}`)) as EndpointData;
  }

  async box(box: Box): Promise<MessageData[]> {
    const query = { endpoint_id: this.id, box, limit: '256' };
    const { body } = await this.world.read(this.owners[0], 'messages', query);
    return (body as { data: MessageData }[]).map(({ data }) => data);
  }

  async hashes(box: Box): Promise<string[]> {
    return hashesOf(await this.box(box));
  }

  #note({ status, reason }: Answer, lawful: readonly string[]): void {
    ok(status < 300 || lawful.includes(reason ?? ''), `${status} ${reason}`);
    this.reasons.add(reason ?? 'taken');
  }
}

async function openEye(bed: PrivateController, id: string): Promise<Eye> {
  const { owners, peerId } = await foundTogether(bed, 2);
  const identities = owners.map((owner) => owner.identity) as [Identity, Identity];
  const world = new World(bed);
  const more = { endpoint_type: 'SPHINXMIX_GATEWAY', size_min: 1, size_max: SIZE_MAX };
  const data = endpointOf(peerId, id, more);
  const info = { resource: 'endpoint', operation: 'create' };
  const consensus_id = await world.agree(identities, { data, info });
  const by_consensus = { consensus_id, consensus_type: 'structural' as const };
  const answers = await Promise.all(
    identities.map((owner) => world.ask('POST', 'endpoints', owner, { data, info, by_consensus })),
  );
  deepStrictEqual(answers[0]?.body, answers[1]?.body, 'opened once');
  return new Eye(world, identities, peerId, id);
}

/** After a storm: each message in one box or refused, each transition by consensus, hashes of what moved. */
async function settle(eye: Eye, gone: ReadonlySet<string>, stranger: Party): Promise<EndpointData> {
  const boxes = await Promise.all(BOXES.map((box) => eye.box(box)));
  const [inbox, accepted, , outbox] = boxes.map(hashesOf) as [
    string[],
    string[],
    string[],
    string[],
  ];
  const all = boxes.flatMap(hashesOf);
  deepStrictEqual(new Set(all).size, all.length, 'in one box each');
  ok(inbox.length <= SIZE_MAX);
  const answered = [...eye.sent].filter(([hash, taken]) => taken && !gone.has(hash));
  deepStrictEqual(
    all.toSorted(),
    answered.map(([hash]) => hash).toSorted(),
    'answered 201 and there are the same',
  );
  const taken = [...eye.sent.values()].filter((is) => is).length;
  const ids = boxes.flat().map(({ id }) => id);
  deepStrictEqual(new Set(ids).size, ids.length, 'an id each');
  ok(Math.max(0, ...ids) <= taken, 'a repeat is given no id');
  const seen = await eye.seen();
  const closed = seen.status === 'CLOSED' || seen.status === 'PROCESSED';
  deepStrictEqual(seen.inbox_hash, closed ? hashOf(accepted) : undefined);
  deepStrictEqual(seen.outbox_hash, seen.status === 'PROCESSED' ? hashOf(outbox) : undefined);
  const careful = new CarefulClient(stranger, native, eye.peerId);
  deepStrictEqual((await careful.endpoint(eye.id)).status, seen.status);
  const used = seen.consensus_logs.map((line) => line.consensus_id);
  deepStrictEqual(new Set(used).size, used.length, 'each consensus once');
  return seen;
}

function hashesOf(messages: readonly MessageData[]): string[] {
  return messages.map((message) => message.message_hash).toSorted();
}

function hashOf(hashes: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(hashes)).digest('hex');
}

/** Two cycles, each step of which meets what does not belong to it. */
async function storm(eye: Eye, posters: readonly Party[], stranger: Party): Promise<void> {
  const gone = new Set<string>();
  const posts = (count: number) =>
    Array.from({ length: count }, (_, n) =>
      eye.post((posters[n % posters.length] as Party).identity, 'INBOX'),
    );
  for (let cycle = 0; cycle < 2; cycle++) {
    const early = eye.post(eye.owners[cycle % 2] as Identity, 'PROCESSBOX');
    await Promise.all([...posts(5), early, eye.close(), eye.close(), eye.hesitate()]);
    let seen = await settle(eye, gone, stranger);
    if (seen.status === 'FULL') await eye.change(() => Promise.resolve({ status: 'OPEN' }));
    while ((await eye.seen()).status === 'OPEN') await Promise.all([...posts(1), eye.close()]);
    const fixed = (await eye.seen()).inbox_hash;
    // Whoever has seen the closing knows that nothing comes in any more.
    const [late] = posters as [Party];
    ok(!(await eye.post(late.identity, 'INBOX')), 'closed is closed');
    const results = eye.owners.map((owner) => eye.post(owner, 'PROCESSBOX'));
    await Promise.all([...results, ...posts(2), eye.publish(), eye.publish(), eye.close()]);
    // What was left unpublished is gone, lawfully: no box shows it, and no 201 promised more.
    const processed = (await eye.seen()).status === 'PROCESSED';
    if (processed) await forgetUnpublished(eye, gone);
    seen = await settle(eye, gone, stranger);
    if (!processed) return;
    deepStrictEqual(seen.inbox_hash, fixed, 'fixed at the closing');
    for (const box of ['ACCEPTED', 'OUTBOX'] as const) {
      for (const hash of await eye.hashes(box)) gone.add(hash);
    }
    const open = () => eye.change(() => Promise.resolve({ status: 'OPEN' }));
    await Promise.all([open(), open(), ...posts(2)]);
    await settle(eye, gone, stranger);
  }
}

async function forgetUnpublished(eye: Eye, gone: Set<string>): Promise<void> {
  const there = new Set<string>();
  for (const box of ['INBOX', 'ACCEPTED', 'OUTBOX'] as const) {
    for (const hash of await eye.hashes(box)) there.add(hash);
  }
  for (const hash of eye.results) if (!there.has(hash)) gone.add(hash);
}

test('storms of all at once leave each message in one box, each transition by one consensus, hashes as closed', async (t) => {
  const bed = await privateController(t, store());
  const posters = await Promise.all([bed.peer(), bed.peer(), bed.peer()]);
  const stranger = bed.client();
  const endMs = performance.now() + SECONDS * 1000;
  const ran = { storms: 0 };
  const reasons = new Set<string>();
  const stream = async (): Promise<void> => {
    while (performance.now() < endMs || ran.storms < STORMS_MIN) {
      const eye = await openEye(bed, `eye_${ran.storms++}`);
      await storm(eye, posters, stranger);
      for (const reason of eye.reasons) reasons.add(reason);
    }
  };
  await Promise.all(Array.from({ length: STREAMS }, stream));
  t.log(`${ran.storms} storms; ${[...reasons].toSorted().join(', ')}`);
  for (const reason of ['taken', 'endpoint-closed', 'box-closed', 'consensus-not-last']) {
    t.true(reasons.has(reason), `${reason} came up`);
  }
});
