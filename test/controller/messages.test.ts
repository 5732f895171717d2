import test from 'ava';
import { messageHash } from '../../src/api/message.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import {
  changeStatus,
  endpointOf,
  openEndpoint,
  privateController,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);

test('a message that a peer posts is what the owner reads', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = [await bed.peer(), await bed.peer()];
  await openEndpoint(owner, endpointOf(owner.identity.peerId, 'mix_1'));
  const message = {
    endpointId: 'mix_1',
    recipient: owner.identity.peerId,
    text: 'A'.repeat(45_000),
    serial: serial(),
  };
  await sender.postMessage(message);
  const [read, ...rest] = await owner.listMessages({ endpointId: 'mix_1', box: 'INBOX' });
  t.deepEqual(rest, []);
  t.deepEqual(read, {
    id: 1,
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text: message.text,
    serial: message.serial,
    messageHash: messageHash(native, {
      endpoint_id: 'mix_1',
      box: 'INBOX',
      sender: sender.identity.peerId,
      recipient: owner.identity.peerId,
      text: message.text,
      serial: message.serial,
    }),
  });
});
