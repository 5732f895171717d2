import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { decodeEndpointParams } from '../../src/api/endpoint-params.ts';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { EndpointClient } from '../../src/mixer/endpoint.ts';
import type { OwnEndpoint } from '../../src/mixer/endpoint-files.ts';
import { coveredMs, keyInUse } from '../../src/mixnet/key-epochs.ts';
import { Journal } from '../../src/redis/journal.ts';
import { readKeyReport } from '../../src/redis/key-report.ts';
import { Records } from '../../src/redis/records.ts';
import { changeStatus, serial } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { KeyedNode, TERMS } from './own-keys.ts';

const STORAGE_KEY = native.random(32);

/** What packets leave behind at a node: a tag and a record under each endpoint. */
async function fillJournal(node: KeyedNode, endpointId: string, tags = 1): Promise<void> {
  const records = new Records(node.store, {
    primitives: native,
    storageKeys: () => STORAGE_KEY,
  });
  const next = native.random(16);
  const outcome = { kind: 'forward', packet: native.random(99), next, dueMs: 1 } as const;
  const entries = Array.from({ length: tags }, (_, i) => {
    const tag = native.random(16);
    return { endpointId, tag, outcome: i === 0 ? outcome : ({ kind: 'none' } as const) };
  });
  await new Journal(node.store, { records }).commit(entries);
}

/** Keys of Redis that name an endpoint and are the node's, not its controller's. */
async function left(node: KeyedNode, endpointId: string): Promise<readonly string[]> {
  const { redis, prefix } = node.store;
  const names = await redis.keys(`${prefix}:*${endpointId}*`);
  return names.filter((name) => /:(tags|records):/.test(name));
}

function unreachable(): never {
  throw new PanoramixError('controller-unreachable', 'a test');
}

/** A controller that is away. */
function away(client: EndpointClient): EndpointClient {
  return {
    url: client.url,
    registerPeer: unreachable,
    decideAlone: unreachable,
    createEndpoint: unreachable,
    updateEndpoint: unreachable,
    getEndpoint: unreachable,
    listMessages: unreachable,
    releaseMessages: unreachable,
  };
}

test('a node opens one endpoint, shows its public key there, and uses it again', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [endpoint] = keys.endpoints() as [OwnEndpoint];
  t.is(keys.endpoints().length, 1);
  const served = await node.client.getEndpoint(endpoint.endpointId);
  t.is(served?.status, 'OPEN');
  t.is(served?.peer_id, node.identity.peerId);
  const params = decodeEndpointParams(served?.endpoint_params ?? '');
  t.is(toHex(params?.publicKey as Uint8Array), toHex(endpoint.mixKey.publicKey));

  node.pass(1);
  const again = node.keys();
  await again.open();
  t.deepEqual(again.endpoints(), keys.endpoints());
  t.deepEqual(again.storageKey(endpoint.endpointId), endpoint.storageKey);
  t.is((await node.client.listEndpoints()).length, 1);
});

test('over a week, senders find a key at any time, and nothing is left of those before', async (t) => {
  const node = await KeyedNode.create(t);
  let keys = node.keys();
  await keys.open();
  const seen = new Map<string, OwnEndpoint>();
  for (let hour = 0; hour < 168; hour += 3) {
    // Started again now and then.
    if (hour % 21 === 0) keys = node.keys();
    t.is(await keys.turn(), null);
    const endpoints = keys.endpoints();
    t.true(coveredMs(endpoints, node.nowMs) >= node.nowMs + (4 / 3) * TERMS.snapshotLifetimeMs);
    for (const endpoint of endpoints) {
      if (!seen.has(endpoint.endpointId)) await fillJournal(node, endpoint.endpointId);
      seen.set(endpoint.endpointId, endpoint);
    }
    t.deepEqual(node.secrets(), endpoints.map(({ endpointId }) => endpointId).toSorted());
    node.pass(3);
  }
  t.true(seen.size >= 9);
  const statuses = await node.statuses();
  const present = new Set(keys.endpoints().map(({ endpointId }) => endpointId));
  for (const endpointId of seen.keys()) {
    t.is(statuses[endpointId], present.has(endpointId) ? 'OPEN' : 'PROCESSED');
    t.is((await left(node, endpointId)).length > 0, present.has(endpointId));
  }
  t.is(node.files().length, 2 * present.size);
});

test('a key whose packets have all left is destroyed before its latest time, one with packets at that time', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [first] = keys.endpoints() as [OwnEndpoint];
  await fillJournal(node, first.endpointId);
  for (const [hours, status, isThere] of [
    [20, 'OPEN', true],
    // It closed after 24 h (5 minutes of them before the start), shut 3 h later, ends 6 h later.
    [6.9, 'OPEN', true],
    [0.1, 'PROCESSED', true],
    [2.8, 'PROCESSED', true],
    [0.2, 'PROCESSED', false],
  ] as const) {
    node.pass(hours);
    await keys.turn();
    t.is((await node.statuses())[first.endpointId], status);
    t.is(node.secrets().includes(first.endpointId), isThere);
    t.is(keys.storageKey(first.endpointId) !== null, isThere);
    t.is((await left(node, first.endpointId)).length > 0, isThere);
  }
  const [second] = keys.endpoints() as [OwnEndpoint];
  node.nowMs = second.closesMs + 3 * 3_600_000;
  await keys.turn();
  t.false(node.secrets().includes(second.endpointId), 'there was no packet to wait for');
});

test('a clock that was days ahead when its machine started destroyed all keys at once', async (t) => {
  const node = await KeyedNode.create(t);
  await node.keys().open();
  const files = node.files();
  const statuses = await node.statuses();
  let isTimeKnown = false;
  const keys = node.keys({ isTimeKnown: () => isTimeKnown });
  node.pass(168);
  for (let turns = 0; turns < 3; turns++) t.is(await keys.turn(), null);
  t.deepEqual(node.files(), files);
  t.deepEqual(await node.statuses(), statuses);
  // Controllers have said that it is not so late.
  node.pass(-168);
  isTimeKnown = true;
  await keys.turn();
  t.deepEqual(node.files(), files);
  // It is: they end as ever.
  node.pass(168);
  await keys.turn();
  t.false(files.some((name) => node.files().includes(name)));
});

test('what was posted to an endpoint before it shut is read before it is closed', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [{ endpointId, closesMs }] = keys.endpoints() as [OwnEndpoint];
  const sender = await node.controller.peer();
  node.controller.nodes.add(sender.identity.peerId);
  const recipient = node.identity.peerId;
  const post = async (): Promise<void> =>
    await sender.postMessage({ endpointId, recipient, text: 'AAAA', serial: serial() });
  await post();
  node.nowMs = closesMs + 3 * 3_600_000 - 1;
  await keys.turn();
  await post();
  node.nowMs += 1;
  await keys.turn();
  t.is((await node.statuses())[endpointId], 'FULL');
  await t.throwsAsync(post(), { code: 'endpoint-full' });
  t.true(node.secrets().includes(endpointId));
  const inbox = { endpointId, box: 'INBOX' } as const;
  const messages = await node.client.listMessages(inbox);
  t.is(messages.length, 2);
  await node.client.releaseMessages({ ...inbox, upTo: messages.at(-1)?.id as number });
  await keys.turn();
  t.like(await node.client.getEndpoint(endpointId), { status: 'PROCESSED', last_message_id: 2 });
  await t.throwsAsync(post(), { code: 'endpoint-closed' });
  t.false(node.secrets().includes(endpointId));
});

test('a key nobody reads with any more ends in time all the same, and its endpoint after it', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [{ endpointId, closesMs }] = keys.endpoints() as [OwnEndpoint];
  const sender = await node.controller.peer();
  node.controller.nodes.add(sender.identity.peerId);
  const recipient = node.identity.peerId;
  await sender.postMessage({ endpointId, recipient, text: 'AAAA', serial: serial() });
  node.nowMs = closesMs + 6 * 3_600_000;
  await keys.turn();
  t.false(node.secrets().includes(endpointId));
  t.is((await node.statuses())[endpointId], 'PROCESSED');
});

test('a node that was off for days destroys past keys before it asks anybody, then opens a new one', async (t) => {
  const node = await KeyedNode.create(t);
  const before = node.keys();
  await before.open();
  node.pass(15);
  await before.turn();
  const old = before.endpoints().map(({ endpointId }) => endpointId);
  t.is(old.length, 2);
  for (const endpointId of old) await fillJournal(node, endpointId);
  node.pass(60);
  const keys = node.keys({ client: away(node.client) });
  t.is((await keys.turn())?.code, 'controller-unreachable');
  t.deepEqual(keys.endpoints(), []);
  for (const endpointId of old) {
    t.false(node.secrets().includes(endpointId));
    t.deepEqual(await left(node, endpointId), []);
    t.is((await node.statuses())[endpointId], 'OPEN');
  }
  const back = node.keys();
  await back.open();
  t.truthy(keyInUse(back.endpoints(), node.nowMs));
  await back.turn();
  for (const endpointId of old) t.is((await node.statuses())[endpointId], 'PROCESSED');
  t.is(node.files().length, 2, 'the key that was drawn while it was away is the one in use');
});

test('a controller that hangs held up the end of a key: it ends in time beside the turn', async (t) => {
  const node = await KeyedNode.create(t);
  const asked = Promise.withResolvers<void>();
  let hangs = false;
  const client: EndpointClient = Object.assign(node.controller.client(node.identity), {
    getEndpoint: async (endpointId: string) => {
      if (!hangs) return await node.client.getEndpoint(endpointId);
      asked.resolve();
      return await new Promise<never>(() => undefined);
    },
  });
  node.terms = { keyLifetimeMs: 10_000, snapshotLifetimeMs: 5000 };
  const keys = node.keys({ client });
  await keys.open();
  const [{ endpointId, closesMs }] = keys.endpoints() as [OwnEndpoint];
  hangs = true;
  await keys.start({
    begin: async () => await Promise.resolve(),
    end: async () => await new Promise(() => undefined),
    releasedUpTo: () => 0,
    destroyed: () => undefined,
  });
  await asked.promise;
  node.nowMs = closesMs + 2499;
  await sleep(300);
  t.true(node.secrets().includes(endpointId));
  node.nowMs += 1;
  await until(() => !node.secrets().includes(endpointId), 5_000);
  t.is(keys.storageKey(endpointId), null);
  const beganMs = Date.now();
  await keys.stop();
  t.true(Date.now() - beganMs < 10_000, 'nor does it hold up a stop');
});

test('while the own controller is away for a week, keys end in time, and few are drawn', async (t) => {
  const node = await KeyedNode.create(t);
  await node.keys().open();
  const [first] = node.secrets() as [string];
  const keys = node.keys({ client: away(node.client) });
  for (let hour = 0; hour < 168; hour += 6) {
    await keys.turn();
    t.deepEqual(keys.endpoints(), [], 'nothing is shown that the controller may not have');
    t.true(node.secrets().length <= 3);
    node.pass(6);
  }
  t.false(node.secrets().includes(first));
  const back = node.keys();
  await back.open();
  await back.turn();
  t.is((await node.statuses())[first], 'PROCESSED');
  t.is(
    node.files().length,
    2 * back.endpoints().length,
    'what never was at the controller is gone',
  );
});

test('a controller that lost its data gets the same endpoints with the same keys', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  node.pass(15);
  await keys.turn();
  const began: string[] = [];
  const releasedUpTo = new Map<string, number>();
  await keys.start({
    begin: async ({ endpointId }) => await Promise.resolve(void began.push(endpointId)),
    end: async () => await Promise.resolve(),
    releasedUpTo: (endpointId) => releasedUpTo.get(endpointId) ?? 0,
    destroyed: () => undefined,
  });
  await keys.stop();
  const before = keys.endpoints();
  const ids = before.map(({ endpointId }) => endpointId);
  t.deepEqual(began.toSorted(), ids.toSorted());
  const { redis, prefix } = node.controller.store;
  await redis.del(...(await redis.keys(`${prefix}:*`)));
  t.deepEqual(await node.statuses(), {});
  await keys.turn();
  t.deepEqual(keys.endpoints(), before);
  t.deepEqual(Object.keys(await node.statuses()).toSorted(), ids.toSorted());
  t.is(began.length, 4, 'collected from the first message on: their ids begin anew');
  // Restored from a backup: the controller knows the endpoint, and less than we have released.
  releasedUpTo.set(ids[0] as string, 7);
  await keys.turn();
  t.deepEqual(began.slice(4), [ids[0]]);
});

test('an endpoint that somebody closed is followed by another at once', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [{ endpointId }] = keys.endpoints() as [OwnEndpoint];
  const served = await node.client.getEndpoint(endpointId);
  await changeStatus(node.client, served as NonNullable<typeof served>, {
    endpoint_id: endpointId,
    status: 'CLOSED',
    last_message_id: 0,
  });
  await keys.turn();
  await keys.turn();
  const [second] = keys.endpoints() as [OwnEndpoint];
  t.is(keys.endpoints().length, 1);
  t.not(second.endpointId, endpointId);
  t.is(keyInUse(keys.endpoints(), node.nowMs), second);
  t.false(node.secrets().includes(endpointId));
  t.is((await node.statuses())[endpointId], 'PROCESSED');
});

test('an endpoint id that is another key’s at the controller is given up, and his is left alone', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys();
  await keys.open();
  const [{ endpointId }] = keys.endpoints() as [OwnEndpoint];
  const { redis, prefix } = node.controller.store;
  await redis.del(...(await redis.keys(`${prefix}:*`)));
  const other = new KeyedNode(node.controller, node.store, node.dataDir);
  const client = other.client;
  await client.registerPeer('other');
  const data = {
    peer_id: other.identity.peerId,
    endpoint_id: endpointId,
    endpoint_type: 'SPHINXMIX_CONTINUOUS',
    endpoint_params: '{}',
    description: '',
    status: 'OPEN',
    size_min: 0,
    size_max: 10,
  } as const;
  const info = { resource: 'endpoint', operation: 'create' };
  await client.createEndpoint(data, await client.decideAlone({ data, info }));
  await keys.turn();
  await keys.turn();
  t.true(keys.endpoints().every((endpoint) => endpoint.endpointId !== endpointId));
  t.false(node.secrets().includes(endpointId));
  t.is((await client.getEndpoint(endpointId))?.status, 'OPEN');
});

test('when its journal is more than six tenths full, an endpoint gets its successor at once', async (t) => {
  const node = await KeyedNode.create(t);
  const keys = node.keys({ tagsMax: 10 });
  await keys.open();
  const [first] = keys.endpoints() as [OwnEndpoint];
  await fillJournal(node, first.endpointId, 6);
  node.pass(2);
  await keys.turn();
  t.is(keys.endpoints().length, 1);
  await fillJournal(node, first.endpointId, 1);
  await keys.turn();
  t.is(keys.endpoints().length, 2);
  t.not(keyInUse(keys.endpoints(), node.nowMs)?.endpointId, first.endpointId);
  await keys.turn();
  t.is(keys.endpoints().length, 2, 'once');
  t.like(await readKeyReport(node.store), [
    { endpointId: first.endpointId, state: 'in-use', tags: 7, tagsMax: 10 },
    { state: 'in-use', tags: 0, tagsMax: 10 },
  ]);
});

test('when the owners agree on shorter or longer lives, the next keys follow, and no snapshot is broken', async (t) => {
  const node = await KeyedNode.create(t);
  node.terms = { keyLifetimeMs: 366 * 86_400_000, snapshotLifetimeMs: 9 * 3_600_000 };
  const keys = node.keys();
  await keys.open();
  const [first] = keys.endpoints() as [OwnEndpoint];
  node.pass(100);
  node.terms = { keyLifetimeMs: 86_400_000, snapshotLifetimeMs: 9 * 3_600_000 };
  await keys.turn();
  const [cut, next] = keys.endpoints() as [OwnEndpoint, OwnEndpoint];
  t.is(cut.endpointId, first.endpointId);
  t.is(cut.closesMs, node.nowMs + 18 * 3_600_000);
  t.is(next.opensMs, node.nowMs + 12 * 3_600_000);
  t.is(next.closesMs - next.opensMs, 86_400_000);
  t.is(node.keys().endpoints().length, 0);
  node.pass(18 + 3);
  await keys.turn();
  t.false(node.secrets().includes(first.endpointId));
  node.terms = { keyLifetimeMs: 2 * 86_400_000, snapshotLifetimeMs: 9 * 3_600_000 };
  node.nowMs = next.closesMs - 3_600_000;
  await keys.turn();
  const latest = keys.endpoints().at(-1) as OwnEndpoint;
  t.is(latest.closesMs - latest.opensMs, 2 * 86_400_000);
});
