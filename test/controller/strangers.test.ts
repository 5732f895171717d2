import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import {
  changeStatus,
  endpointOf,
  openEndpoint,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);

test('while strangers have used up their share of storage, nodes store and all others wait', async (t) => {
  const bed = await privateController(t, store());
  const [node, stranger] = [await bed.peer(), await bed.peer()];
  bed.nodes.add(node.identity.peerId);
  const recipient = stranger.identity.peerId;
  const endpoint = await openEndpoint(stranger, endpointOf(recipient, 'ep'));
  const post = (client: typeof node) =>
    client.postMessage({ endpointId: 'ep', recipient, text: 'x', serial: serial() });
  await post(stranger);

  const { redis } = bed.store;
  const usedBytes = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  await redis.config('SET', 'maxmemory', usedBytes * 2);
  t.teardown(() => redis.config('SET', 'maxmemory', 0));
  await delay(1_100);
  await refusedWith(t, 'storage-pressure', post(stranger));
  await refusedWith(t, 'storage-pressure', stranger.createNegotiation());
  await refusedWith(t, 'storage-pressure', bed.client().registerPeer('another'));
  await post(node);
  t.is(typeof (await node.createNegotiation()), 'string');
  t.is((await stranger.listMessages({ endpointId: 'ep', box: 'INBOX' })).length, 2);
  await stranger.releaseMessages({ endpointId: 'ep', box: 'INBOX', upTo: 2 });

  await redis.config('SET', 'maxmemory', usedBytes * 10);
  await delay(1_100);
  await post(stranger);
  const closed = { endpoint_id: 'ep', status: 'CLOSED', last_message_id: 3 } as const;
  t.is((await changeStatus(stranger, endpoint, closed)).status, 'CLOSED');
});
