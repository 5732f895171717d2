import test, { type ExecutionContext } from 'ava';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { MIRROR_BYTES_MAX } from '../../controller/mirror/routes.ts';
import { hashText } from '../../src/api/signed.ts';
import { signRead } from '../../src/api/http-signature.ts';
import { createOwners, NOW_MS, paperMixnet, type Wishes } from '../mixnet/signed-directory.ts';
import {
  privateController,
  refusedWith,
  sharedStore,
  type PrivateController,
} from './private-controller.ts';

const store = sharedStore(test);
const owners = createOwners(3);
const first = paperMixnet({}, owners);
const { mixnetId } = first;
const logHead = hashText(native, first.nodes.log[0]?.text ?? '');

/** The same mixnet with another snapshot. */
function later(wishes: Wishes): object {
  const snapshot: Wishes['snapshot'] = (text) => ({
    ...(wishes.snapshot?.(text) ?? text),
    log_head: logHead,
  });
  return {
    ...first.nodes,
    snapshot: paperMixnet({ ...wishes, snapshot }, owners).nodes.snapshot,
  };
}

/** A controller in the mixnet's time, which knows its nodes. */
async function controllerOf(
  t: ExecutionContext,
): Promise<{ bed: PrivateController; clientOf: (identity?: Identity) => ControllerClient }> {
  const bed = await privateController(t, store());
  bed.skew(NOW_MS - Date.now());
  for (const { peerId } of owners) bed.nodes.add(peerId);
  bed.nodes.mixnetId = mixnetId;
  const clientOf = (identity = owners[0] as Identity): ControllerClient =>
    new ControllerClient({ url: bed.url, identity, primitives: native, now: bed.now });
  return { bed, clientOf };
}

test('a node leaves its directory with its own controller, which serves it from then on', async (t) => {
  const { bed, clientOf } = await controllerOf(t);
  const client = clientOf();
  await refusedWith(t, 'peer-unknown', client.getNodes(mixnetId));
  await client.postNodes(mixnetId, first.nodes);
  t.deepEqual(await client.getNodes(mixnetId), first.nodes);
  await client.postNodes(mixnetId, first.nodes);
  const redirect = await bed.fetch('/nodes.json');
  t.is(redirect.headers.get('location'), `/panoramix/peers/${mixnetId}/nodes.json`);
  const second = later({ number: 4, previous: 'a'.repeat(64) });
  await clientOf(owners[1]).postNodes(mixnetId, second);
  t.deepEqual(await client.getNodes(mixnetId), second);
});

test('a mirror never goes back, and keeps the first of two of one number', async (t) => {
  const { clientOf } = await controllerOf(t);
  const client = clientOf();
  const third = later({ number: 3, previous: 'a'.repeat(64) });
  await client.postNodes(mixnetId, third);
  await refusedWith(t, 'directory-older', client.postNodes(mixnetId, first.nodes));
  const other = later({ number: 3, previous: 'b'.repeat(64) });
  await refusedWith(t, 'directory-conflict', client.postNodes(mixnetId, other));
  t.deepEqual(await client.getNodes(mixnetId), third);
});

test('what does not verify whole from the id is not kept', async (t) => {
  const { bed, clientOf } = await controllerOf(t);
  const client = clientOf();
  const { snapshot, log } = first.nodes;
  const text = snapshot.text.replace('127.0.0.1', '127.0.0.2');
  for (const nodes of [
    {},
    { ...first.nodes, snapshot: null },
    { ...first.nodes, snapshot: { ...snapshot, text } },
    { ...first.nodes, log: log.slice(1) },
    paperMixnet().nodes,
  ]) {
    await refusedWith(t, 'directory-refused', client.postNodes(mixnetId, nodes));
  }
  bed.skew(NOW_MS - Date.now() - 6 * 60_000);
  await refusedWith(t, 'directory-refused', client.postNodes(mixnetId, first.nodes));
  await refusedWith(t, 'peer-unknown', client.getNodes(mixnetId));
});

test('strangers leave nothing, and are told so before they send it', async (t) => {
  const { bed, clientOf } = await controllerOf(t);
  const stranger = createIdentity(native);
  await refusedWith(t, 'sender-refused', clientOf(stranger).postNodes(mixnetId, first.nodes));
  const path = `/panoramix/peers/${mixnetId}/nodes.json`;
  const unsigned = await bed.fetch(path, { method: 'POST', body: JSON.stringify(first.nodes) });
  t.is(unsigned.reason, 'signature-missing');
  // Nobody looks at what they send.
  await refusedWith(t, 'sender-refused', clientOf(stranger).postNodes(mixnetId, {}));
  bed.nodes.delete(owners[2]?.peerId ?? '');
  await refusedWith(t, 'sender-refused', clientOf(owners[2]).postNodes(mixnetId, first.nodes));
  // A node of ours, of another mixnet: it cannot put this one's directory here.
  bed.nodes.add(stranger.peerId);
  await refusedWith(t, 'sender-refused', clientOf(stranger).postNodes(mixnetId, first.nodes));
  await refusedWith(t, 'peer-unknown', clientOf().getNodes(mixnetId));
});

test('a node of ours that founds mixnets of his own leaves none of them here', async (t) => {
  const { bed, clientOf } = await controllerOf(t);
  const own = paperMixnet({}, owners);
  bed.nodes.mixnetId = 'f'.repeat(64);
  await refusedWith(t, 'sender-refused', clientOf().postNodes(own.mixnetId, own.nodes));
  bed.nodes.mixnetId = null;
  await refusedWith(t, 'sender-refused', clientOf().postNodes(own.mixnetId, own.nodes));
  await refusedWith(t, 'peer-unknown', clientOf().getNodes(own.mixnetId));
});

test('what stands between the parts of a directory is not served', async (t) => {
  const { bed, clientOf } = await controllerOf(t);
  const path = `/panoramix/peers/${mixnetId}/nodes.json`;
  const target = { method: 'POST', path, query: '?' };
  const context = { nowMs: bed.now(), catalogUrl: bed.url };
  const fields = signRead(native, owners[0] as Identity, target, context);
  const body = `${' '.repeat(1_000_000)}${JSON.stringify(first.nodes)}`;
  const headers = { 'signature-input': fields.signatureInput, signature: fields.signature };
  t.is((await bed.fetch(path, { method: 'POST', body, headers })).status, 200);
  const served = await fetch(new URL(path, bed.url));
  t.true((await served.text()).length < 100_000);
  t.deepEqual(await clientOf().getNodes(mixnetId), first.nodes);
});

test('a directory longer than a mirror keeps is refused by what it says of its length', async (t) => {
  const { clientOf } = await controllerOf(t);
  const padding = { ...first.nodes, padding: 'x'.repeat(MIRROR_BYTES_MAX) };
  await refusedWith(t, 'body-too-large', clientOf().postNodes(mixnetId, padding));
});
