import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { fromBase64url, fromUtf8, toBase64url, toHex, toUtf8 } from '../../../src/bytes.ts';
import { BatchClient, type BatchResult } from '../../../src/client/batch-mixnet.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { linkIdOf } from '../../../src/mixer/batch/own-link.ts';
import { ReplayClaims } from '../../../src/mixer/batch/replay-claims.ts';
import { chainHops } from '../../../src/mixnet/batch-link.ts';
import { createSphinx } from '../../../src/sphinx/index.ts';
import {
  endpointOf,
  openEndpoint,
  privateController,
  sharedStore,
} from '../../controller/private-controller.ts';
import { D42_PARAMS, foundTogether, run } from './owners.ts';

const store = sharedStore(test);
const params = { ...D42_PARAMS, GROUP: 'X25519' as const };

test('after the longest wait owners fill a cycle up with dummies, which readers do not see', async (t) => {
  const controller = await privateController(t, store());
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { waitMs: 1_000, sizeMin: 6 },
    node: { lingerMs: 60_000 },
  });
  const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: native });
  const found = await client.init();
  for (const owner of owners) run(t, owner);
  await sleep(1_500);
  t.is(await client.statusOf(found), 'OPEN', 'an empty cycle is not filled');
  await client.send(found, { message: fromUtf8('alone') });
  const result = await resultOf(client);
  t.deepEqual(textsOf(result), ['alone']);
  const [owner] = owners;
  const accepted = await owner?.client.listMessages({ endpointId: 'gateway_1', box: 'ACCEPTED' });
  t.true((accepted?.length ?? 0) >= 6);
  const known = new Set(owners.map((one) => one.identity.peerId));
  t.false(
    accepted?.some((message) => known.has(message.sender)),
    'no sender is an owner',
  );
  t.is(new Set(accepted?.map((message) => message.text.length)).size, 1);
});

test('a packet that is posted twice, or again in the next cycle, comes out once', async (t) => {
  const controller = await privateController(t, store());
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { sizeMin: 2 },
    node: { lingerMs: 2_000 },
  });
  const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: native });
  const found = await client.init();
  const sphinx = createSphinx(found.sphinxParams, native);
  const to = Buffer.from(found.mixnetId, 'hex');
  const packet = sphinx.build(chainHops(native, found.links), to, fromUtf8('once'));
  const post = async (): Promise<void> => {
    const identity = createIdentity(native);
    const stranger = new ControllerClient({ url: controller.url, identity, primitives: native });
    await stranger.postMessage({
      endpointId: 'gateway_1',
      recipient: found.mixnetId,
      text: toBase64url(packet),
      serial: toHex(native.random(16)),
    });
  };
  await post();
  await post();
  for (const owner of owners) run(t, owner);
  const first = await resultOf(client);
  t.deepEqual(textsOf(first), ['once']);
  await openAgain(client);
  await post();
  await client.send(found, { message: fromUtf8('second') });
  const second = await resultOf(client);
  t.deepEqual(textsOf(second), ['second']);
});

test('a tag is claimed again for its own message alone', async (t) => {
  const claims = new ReplayClaims(store(), native);
  const [tag, other] = [native.random(16), native.random(16)];
  const claim = { tag, messageHash: 'a' };
  t.deepEqual(await claims.claim('link', 'cycle', [claim, { tag: other, messageHash: 'b' }]), [
    true,
    true,
  ]);
  t.deepEqual(await claims.claim('link', 'cycle', [claim]), [true]);
  t.deepEqual(await claims.claim('link', 'cycle', [{ tag, messageHash: 'c' }]), [false]);
  t.deepEqual(await claims.claim('link', 'next', [claim]), [false]);
  t.deepEqual(await claims.claim('other', 'next', [claim]), [true]);
  await claims.destroy('link');
  t.deepEqual(await claims.claim('link', 'next', [claim]), [true]);
});

test('what is for a peer with an endpoint is posted there, once; others fetch it from the OUTBOX', async (t) => {
  const controller = await privateController(t, store());
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { sizeMin: 3, public: false },
    node: { lingerMs: 3_000 },
  });
  const server = await controller.peer('survey');
  await openEndpoint(
    server,
    endpointOf(server.identity.peerId, 'survey_inbox', { senders: 'peers' }),
  );
  const reader = await controller.peer('reader');
  const client = new BatchClient({
    mixnetUrl: mixnet.mixnetUrl,
    primitives: native,
    identity: reader.identity,
  });
  const found = await client.init();
  for (const owner of owners) run(t, owner);
  for (const [message, to] of [
    ['answer 1', server],
    ['answer 2', server],
    ['for the reader', reader],
  ] as const) {
    await client.send(found, { message: fromUtf8(message), recipient: to.identity.peerId });
  }
  const result = await resultOf(client, reader.identity.peerId);
  t.deepEqual(textsOf(result), ['for the reader']);
  const inbox = { endpointId: 'survey_inbox', box: 'INBOX', waitMs: 5_000 } as const;
  for (const endMs = Date.now() + 20_000; Date.now() < endMs; await sleep(50)) {
    if ((await server.listMessages(inbox)).length === 2) break;
  }
  await openAgain(client);
  const came = await server.listMessages(inbox);
  t.deepEqual(came.map(({ text }) => toUtf8(fromBase64url(text) as Uint8Array)).toSorted(), [
    'answer 1',
    'answer 2',
  ]);
});

test('a gateway that has had its cycles is followed by the next, with new keys; the old are destroyed', async (t) => {
  const controller = await privateController(t, store());
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { sizeMin: 1 },
    node: { lingerMs: 0, closingsMax: 2 },
  });
  const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: native });
  const old = await client.init();
  for (const owner of owners) run(t, owner);
  const ids = new Set<string>();
  for (let cycle = 0; cycle < 3; cycle++) {
    await openAgain(client);
    const found = await client.init();
    ids.add(found.terms.endpoint_id);
    await client.send(found, { message: fromUtf8(`cycle ${cycle}`) });
    for (const endMs = Date.now() + 30_000; Date.now() < endMs; await sleep(20)) {
      if ((await client.statusOf(found)) !== 'OPEN') break;
    }
  }
  const next = `gateway_${mixnet.mixnetId.slice(0, 16)}_2`;
  t.deepEqual([...ids], ['gateway_1', next]);
  const found = await client.init();
  t.notDeepEqual(found.links[0]?.publicKey, old.links[0]?.publicKey);
  t.deepEqual(
    { ...found.terms, endpoint_id: '', endpoint_params: '' },
    { ...old.terms, endpoint_id: '', endpoint_params: '' },
  );
  for (const { dataDir, identity } of owners) {
    const fileOf = (id: string): string =>
      join(dataDir, 'batch', `${linkIdOf(identity.peerId, id)}.json`);
    t.false(existsSync(fileOf('gateway_1')));
    t.true(existsSync(fileOf(next)));
  }
});

async function resultOf(client: BatchClient, recipient?: string): Promise<BatchResult> {
  for (const endMs = Date.now() + 40_000; Date.now() < endMs; await sleep(20)) {
    const result = await client.read(await client.init(), recipient);
    if (result) return result;
  }
  throw new Error('the cycle did not end');
}

async function openAgain(client: BatchClient): Promise<void> {
  for (const endMs = Date.now() + 40_000; Date.now() < endMs; await sleep(20)) {
    if ((await client.statusOf(await client.init())) === 'OPEN') return;
  }
  throw new Error('the next cycle did not open');
}

function textsOf(result: BatchResult): string[] {
  return result.messages.map(({ message }) => toUtf8(message)).toSorted();
}
