/** What may be posted for recipients, and what not: into no link, and not without end. */
import test from 'ava';
import { CONTINUOUS } from '../../../src/api/endpoint.ts';
import type { ControllerClient } from '../../../src/client/controller.ts';
import { toHex } from '../../../src/bytes.ts';
import { native } from '../../../src/crypto/native.ts';
import { silentLog } from '../../../src/log.ts';
import { Forwards } from '../../../src/mixer/batch/forwards.ts';
import { linkTerms } from '../../../src/mixer/batch/own-link.ts';
import { createSealing } from '../../../src/redis/sealing.ts';
import {
  endpointOf,
  openEndpoint,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from '../../controller/private-controller.ts';

const store = sharedStore(test);

function forwardsOf(client: ControllerClient, more: { readonly waitingMax?: number } = {}) {
  const prefix = `${store().prefix}:${toHex(native.random(8))}`;
  return new Forwards({
    store: { redis: store().redis, prefix: prefix as ReturnType<typeof store>['prefix'] },
    sealing: createSealing(native, native.random(32)),
    client,
    primitives: native,
    log: silentLog,
    ...more,
  });
}

test('what is for the owner of a link is not posted into the link', async (t) => {
  const controller = await privateController(t, store());
  const owner = await controller.peer('owner');
  const { peerId } = owner.identity;
  const link = { peerId, endpointId: 'the_link', publicKey: new Uint8Array(32) };
  await openEndpoint(owner, linkTerms(link, 'X25519', 10));
  const forwards = forwardsOf(owner);
  const message = { recipient: peerId, text: 'for the owner', serial: serial() };
  const stored = { ...message, id: 1, sender: peerId, messageHash: toHex(native.random(32)) };
  await forwards.addMessages([stored], Date.now());
  t.is(await forwards.count(), 0, 'nowhere to post it: the owner fetches it');
  await forwards.add([{ ...message, sinceMs: Date.now() }]);
  t.true(await forwards.post(Date.now()));
  t.deepEqual(await owner.listMessages({ endpointId: 'the_link', box: 'INBOX' }), []);
  const inbox = { endpoint_type: CONTINUOUS, senders: 'peers' as const };
  await openEndpoint(owner, endpointOf(peerId, 'the_inbox', inbox));
  t.false(await forwards.post(Date.now()));
  t.is((await owner.listMessages({ endpointId: 'the_inbox', box: 'INBOX' })).length, 1);
});

test('nodes who fill up a link do not keep its owner from posting the input', async (t) => {
  const controller = await privateController(t, store());
  const [owner, node] = [await controller.peer('owner'), controller.client()];
  controller.nodes.add(node.identity.peerId);
  const { peerId } = owner.identity;
  const link = { peerId, endpointId: 'the_link', publicKey: new Uint8Array(32) };
  await openEndpoint(owner, linkTerms(link, 'X25519', 3));
  const message = (text: string) => {
    return { endpointId: 'the_link', recipient: peerId, text, serial: serial() };
  };
  for (const text of ['1', '2', '3']) await node.postMessage(message(text));
  await refusedWith(t, 'endpoint-full', node.postMessage(message('4')));
  for (const text of ['a', 'b', 'c']) await owner.postMessage(message(text));
  await refusedWith(t, 'endpoint-full', owner.postMessage(message('d')));
});

test('what no endpoint takes does not collect without end, nor keep back what one takes', async (t) => {
  const controller = await privateController(t, store());
  const [owner, slow, quick] = [
    await controller.peer('owner'),
    await controller.peer('slow'),
    await controller.peer('quick'),
  ];
  for (const [peer, size] of [
    [slow, 2],
    [quick, 100],
  ] as const) {
    const { peerId } = peer.identity;
    const data = endpointOf(peerId, `of_${size}`, { senders: 'peers', size_max: size });
    await openEndpoint(peer, data);
  }
  const forwards = forwardsOf(owner, { waitingMax: 4 });
  const add = async (peer: typeof slow, count: number, sinceMs: number): Promise<void> => {
    const recipient = peer.identity.peerId;
    await forwards.add(
      Array.from({ length: count }, () => ({ recipient, text: 'text', serial: serial(), sinceMs })),
    );
  };
  const nowMs = Date.now();
  for (let round = 0; round < 5; round++) {
    await add(slow, 3, nowMs + round);
    t.true((await forwards.count()) <= 4);
    t.true(await forwards.post(nowMs + round));
  }
  await add(quick, 4, nowMs + 5);
  t.false(await forwards.post(nowMs + 5));
  t.is((await quick.listMessages({ endpointId: 'of_100', box: 'INBOX' })).length, 4);
  t.is(await forwards.count(), 0);
});
