/** A link's INBOX is its owner's alone: what anybody else could put there would stay, and fill it for good. */
import test from 'ava';
import { CONTINUOUS } from '../../../src/api/endpoint.ts';
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

test('what is for the owner of a link is not posted into the link', async (t) => {
  const controller = await privateController(t, store());
  const owner = await controller.peer('owner');
  const { peerId } = owner.identity;
  const link = { peerId, endpointId: 'the_link', publicKey: new Uint8Array(32) };
  await openEndpoint(owner, linkTerms(link, 'X25519', 10));
  const prefix = `${store().prefix}:forwards` as ReturnType<typeof store>['prefix'];
  const sealing = createSealing(native, native.random(32));
  const forwards = new Forwards({
    store: { redis: store().redis, prefix },
    sealing,
    client: owner,
    primitives: native,
    log: silentLog,
  });
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
