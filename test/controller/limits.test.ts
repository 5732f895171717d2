import { request } from 'node:http';
import test from 'ava';
import { Buckets, LIMITS, type Limits } from '../../controller/limits.ts';
import { BATCH, BATCH_SIZE_MAX } from '../../src/api/endpoint.ts';
import { ERRORS } from '../../src/errors.ts';
import {
  endpointOf,
  openEndpoint,
  type PrivateController,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const ALWAYS = { perSecond: 1e9, atOnce: 1e9 };
/** Three, and hardly ever one more. */
const THREE = { perSecond: 0.001, atOnce: 3 };
const NONE: Limits = { address: ALWAYS, key: ALWAYS, endpoint: ALWAYS, trustedProxies: [] };

test('a bucket gives so many at once, fills steadily, and never over its brim', (t) => {
  let nowMs = 0;
  const buckets = new Buckets({ perSecond: 2, atOnce: 3 }, () => nowMs);
  const taken = (name: string, tries: number): number =>
    Array.from({ length: tries }, () => buckets.take(name)).filter(Boolean).length;
  t.is(taken('a', 5), 3);
  t.is(taken('b', 5), 3, 'each name has its own');
  nowMs += 499;
  t.is(taken('a', 5), 0);
  nowMs += 1;
  t.is(taken('a', 5), 1);
  nowMs += 3_600_000;
  t.is(taken('a', 9), 3);
});

test('names that nobody uses any more are forgotten', (t) => {
  const buckets = new Buckets({ perSecond: 0, atOnce: 1 }, () => 0);
  t.true(buckets.take('first'));
  t.false(buckets.take('first'));
  for (let n = 0; n < 65_536; n++) buckets.take(`${n}`);
  t.true(buckets.take('first'), 'it has a full bucket again');
  t.false(buckets.take('65535'), 'but those used since are known');
});

test('the default limits let a whole batch in at once', (t) => {
  t.true(LIMITS.endpoint.atOnce >= BATCH_SIZE_MAX);
});

test('one key that is no node’s may change so much, then 429 says when to come again', async (t) => {
  const bed = await privateController(t, store(), { limits: { ...NONE, key: THREE } });
  const [one, two, node] = [bed.client(), bed.client(), bed.client()];
  bed.nodes.add(node.identity.peerId);
  for (let n = 0; n < 3; n++) await one.createNegotiation();
  await refusedWith(t, 'key-too-fast', one.createNegotiation());
  const info = { resource: 'negotiation', operation: 'create' };
  const body = { data: {}, info };
  const answer = await bed.send('POST', '/panoramix/negotiations', one.identity, body);
  t.is(answer.status, 429);
  t.is(answer.headers.get('retry-after'), '1');
  t.true(ERRORS['key-too-fast'].temporary);
  await t.notThrowsAsync(two.createNegotiation());
  for (let n = 0; n < 9; n++) await node.createNegotiation();
  t.deepEqual(await one.listPeers(), [], 'reading goes on');
});

test('messages count one by one, in a list too, and owners and nodes are not counted', async (t) => {
  const limits = { ...NONE, endpoint: { perSecond: 0.001, atOnce: 5 } };
  const bed = await privateController(t, store(), { limits });
  const [owner, one, two, node] = [
    await bed.peer(),
    await bed.peer(),
    await bed.peer(),
    await bed.peer(),
  ];
  bed.nodes.add(node.identity.peerId);
  const recipient = owner.identity.peerId;
  await openEndpoint(owner, endpointOf(recipient, 'ep', { endpoint_type: BATCH }));
  const list = (from: typeof one, count: number) =>
    Array.from({ length: count }, () => ({
      endpoint_id: 'ep',
      box: 'INBOX' as const,
      sender: from.identity.peerId,
      recipient,
      text: 'x',
      serial: serial(),
    }));
  await one.postMessages(list(one, 4));
  const info = { resource: 'message', operation: 'create' };
  const answer = await bed.send('POST', '/panoramix/messages', two.identity, {
    data: list(two, 3),
    info,
  });
  t.is(answer.status, 200);
  t.deepEqual(
    (answer.body as { data?: object; problem?: { reason: string } }[]).map(
      (item) => item.problem?.reason ?? 'stored',
    ),
    ['stored', 'endpoint-too-fast', 'endpoint-too-fast'],
  );
  await refusedWith(t, 'endpoint-too-fast', one.postMessages(list(one, 1)));
  await owner.postMessages(list(owner, 20));
  await node.postMessages(list(node, 20));
  t.is((await owner.listMessages({ endpointId: 'ep', box: 'INBOX' })).length, 45);
});

test('addresses are told apart by what a trusted proxy says, and by nothing else', async (t) => {
  const limits = { ...NONE, address: THREE, trustedProxies: ['127.0.0.1', '10.0.0.1'] };
  const bed = await privateController(t, store(), { limits });
  const ask = (forwarded: string) => statusOf(bed, forwarded);
  for (let n = 0; n < 3; n++) t.is(await ask('192.0.2.1'), 200);
  t.is(await ask('192.0.2.1'), 429);
  t.is(await ask('198.51.100.7, 192.0.2.1'), 429, 'what a client writes himself does not count');
  t.is(await ask('192.0.2.1, 10.0.0.1'), 429, 'a trusted proxy behind a trusted proxy');
  t.is(await ask('192.0.2.2'), 200);
  for (let n = 0; n < 3; n++) t.is(await ask(`2001:db8::${n}`), 200);
  t.is(await ask('2001:db8:0:0:1::'), 429, 'one customer has 2^64 addresses');
  t.is(await ask('2001:db8:0:1::'), 200);
  t.is(await ask('::ffff:192.0.2.1'), 429, 'IPv4 in its other spelling');
});

test('without a trusted proxy nobody is believed, and this host is not limited', async (t) => {
  const bed = await privateController(t, store(), { limits: { ...NONE, address: THREE } });
  for (let n = 0; n < 9; n++) t.is(await statusOf(bed, '192.0.2.1'), 200);
});

async function statusOf(bed: PrivateController, forwarded: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const headers = { 'X-Forwarded-For': forwarded };
    const asked = request(new URL('/panoramix/peers', bed.url), { headers }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode));
    });
    asked.once('error', reject);
    asked.end();
  });
}
