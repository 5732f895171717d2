/** Whoever may choose what a link is given twice would see by the difference where one message went. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { fromHex, fromUtf8, toBase64url, toHex } from '../../../src/bytes.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { silentLog } from '../../../src/log.ts';
import { readOrCreateBatchKeys } from '../../../src/mixer/batch/batch-keys.ts';
import type { BatchView } from '../../../src/mixer/batch/batch-view.ts';
import { mixOnce, passLink, type OwnLink } from '../../../src/mixer/batch/own-link.ts';
import { ReplayClaims } from '../../../src/mixer/batch/replay-claims.ts';
import { chainHops } from '../../../src/mixnet/batch-link.ts';
import type { BatchInput } from '../../../src/mixnet/batch-peel.ts';
import { createSphinx } from '../../../src/sphinx/index.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';

const store = sharedStore(test);
const CYCLE = 'ab'.repeat(32);

async function ownerOfLastLink(t: ExecutionContext) {
  const controller = await privateController(t, store());
  const identity = createIdentity(native);
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const client = new ControllerClient({ url: controller.url, identity, primitives: native });
  await client.registerPeer('owner');
  const prefix = `${store().prefix}:${identity.peerId}` as ReturnType<typeof store>['prefix'];
  const claims = new ReplayClaims({ redis: store().redis, prefix }, native);
  const parts = { client, identity, primitives: native, claims, dataDir };
  const view: BatchView = { ...parts, log: silentLog };
  const endpointId = `link_${identity.peerId.slice(0, 16)}`;
  const keys = readOrCreateBatchKeys(dataDir, native, endpointId, 'X25519');
  const link = { peerId: identity.peerId, endpointId, publicKey: keys.mixKey.publicKey };
  const sphinx = createSphinx({ group: 'X25519', headerLen: 192, bodyLen: 1024 }, native);
  const own: OwnLink = { link, next: null, keys, sphinx, sizeMax: 10 };
  const packet = (message: string): BatchInput => {
    const dest = fromHex(identity.peerId) as Uint8Array;
    const bytes = sphinx.build(chainHops(native, [link]), dest, fromUtf8(message));
    return { messageHash: toHex(native.sha256(bytes)), text: toBase64url(bytes) };
  };
  return { view, own, packet };
}

test('messages that a link has mixed do not come out again in other company', async (t) => {
  const { view, own, packet } = await ownerOfLastLink(t);
  const users = ['one', 'two', 'three', 'four'].map((message) => packet(message));
  const first = await mixOnce(view, own, CYCLE, users);
  t.is(first.outputs.length, 4);
  // Whoever missed `four` here would know which of the four it was.
  const second = await mixOnce(view, own, CYCLE, [...users.slice(0, 3), packet('mine')]);
  t.deepEqual(second.drops, { replayed: 3 });
  t.deepEqual(
    second.outputs.map(({ text }) => text),
    [toBase64url(fromUtf8('mine'))],
  );
  t.deepEqual(await mixOnce(view, own, CYCLE, users), first, 'the same again is the same');
});

test('a link that has passed on its cycle takes no other input for it', async (t) => {
  const { view, own, packet } = await ownerOfLastLink(t);
  const users = ['one', 'two', 'three'].map((message) => packet(message));
  const first = await passLink(view, own, CYCLE, users);
  const error = await t.throwsAsync(passLink(view, own, CYCLE, [packet('a'), packet('b')]));
  t.regex(error.message, /: input-differs: /);
  t.deepEqual(await passLink(view, own, CYCLE, users), first);
});
