import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { BatchClient } from '../../src/client/batch-mixnet.ts';
import { RouteClient } from '../../src/client/batch-routes.ts';
import { portable } from '../../src/crypto/portable.ts';
import { PanoramixError } from '../../src/errors.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { foundTogether } from '../mixer/batch/owners.ts';

const store = sharedStore(test);

test('what is no mix-net URL is refused before anything is asked', (t) => {
  for (const mixnetUrl of ['', 'http://127.0.0.1:1/', 'http://127.0.0.1:1/panoramix/peers/12/']) {
    for (const Client of [BatchClient, RouteClient]) {
      const error = t.throws(() => new Client({ mixnetUrl, primitives: portable }));
      t.is(error instanceof PanoramixError && error.code, 'config-invalid');
    }
  }
});

test('a mixnet that the controller does not know, or that has no gateway, is told by its reason', async (t) => {
  const controller = await privateController(t, store());
  const unknown = `${controller.url}panoramix/peers/${'ab'.repeat(32)}/`;
  const client = new BatchClient({ mixnetUrl: unknown, primitives: portable });
  const error = await t.throwsAsync(client.init(), { instanceOf: PanoramixError });
  t.is(error.code, 'peer-unknown');
});

test('a message takes the room that D4.2’s parameters leave it, and no byte more', async (t) => {
  const controller = await privateController(t, store());
  const { mixnet, owners } = await foundTogether(t, controller.url, store());
  const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: portable });
  const found = await client.init();
  // BODY_LEN 1024 less MAC 16, end mark 1, array 1, recipient 34, length of the message 3.
  t.is(client.messageBytesMax(found), 969);
  await client.send(found, { message: new Uint8Array(969) });
  await t.throwsAsync(client.send(found, { message: new Uint8Array(970) }), {
    instanceOf: RangeError,
  });
  await t.throwsAsync(client.send(found, { message: new Uint8Array(0) }), {
    instanceOf: RangeError,
  });
  const message = fromUtf8('x');
  await t.throwsAsync(client.send(found, { message, recipient: 'somebody' }), {
    instanceOf: RangeError,
  });
  const [owner] = owners;
  const inbox = await owner?.client.listMessages({ endpointId: 'gateway_1', box: 'INBOX' });
  t.is(inbox?.length, 1);
  t.is(await client.read(found), null, 'nothing has come out yet');
});
