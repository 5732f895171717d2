import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fromUtf8, toUtf8 } from '../../../src/bytes.ts';
import { BatchClient, type BatchResult } from '../../../src/client/batch-mixnet.ts';
import { native } from '../../../src/crypto/native.ts';
import { portable } from '../../../src/crypto/portable.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { D42_PARAMS, foundTogether, run } from './owners.ts';

const store = sharedStore(test);

for (const group of ['P-224', 'X25519'] as const) {
  test(`five messages of a client that knows the mix-net URL alone cross three owners (${group})`, async (t) => {
    const controller = await privateController(t, store());
    const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
      params: { ...D42_PARAMS, GROUP: group },
      node: { lingerMs: 60_000 },
    });
    for (const owner of owners) run(t, owner);
    // The library that browsers run.
    const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: portable });
    const found = await client.init();
    t.deepEqual(found.owners, owners.map((owner) => owner.identity.peerId).toSorted());
    t.is(found.terms.endpoint_id, 'gateway_1');
    const sent = ['one', 'two', 'three', 'four', 'five'];
    for (const message of sent) await client.send(found, { message: fromUtf8(message) });
    const result = await resultOf(client);
    t.deepEqual(result.messages.map(({ message }) => toUtf8(message)).toSorted(), sent.toSorted());
    t.true(result.messages.every(({ recipient }) => recipient === mixnet.mixnetId));
  });
}

test('cycle follows cycle, and messages beyond the maximum are carried into the next', async (t) => {
  const controller = await privateController(t, store());
  const { owners, mixnet } = await foundTogether(t, controller.url, store(), {
    params: { ...D42_PARAMS, GROUP: 'X25519' },
    gateway: { sizeMin: 2, sizeMax: 3 },
    node: { lingerMs: 1_500 },
  });
  const client = new BatchClient({ mixnetUrl: mixnet.mixnetUrl, primitives: native });
  const found = await client.init();
  for (const owner of owners) run(t, owner);
  const sent = Array.from({ length: 6 }, (_, index) => `message ${index}`);
  const came: string[] = [];
  const cycles = new Set<string>();
  const sending = (async () => {
    for (const message of sent) {
      for (;;) {
        const failed = await client
          .send(found, { message: fromUtf8(message) })
          .then(() => false)
          .catch((error: { code: string }) => /^endpoint-(full|closed)$/.test(error.code));
        if (!failed) break;
        await sleep(50);
      }
    }
  })();
  for (const endMs = Date.now() + 60_000; came.length < sent.length && Date.now() < endMs;) {
    const result = await client.read(found).catch(() => null);
    if (result && !cycles.has(result.cycleId)) {
      cycles.add(result.cycleId);
      came.push(...result.messages.map(({ message }) => toUtf8(message)));
    }
    await sleep(50);
  }
  await sending;
  t.deepEqual(came.toSorted(), sent);
  t.true(cycles.size >= 2);
});

async function resultOf(client: BatchClient): Promise<BatchResult> {
  for (const endMs = Date.now() + 60_000; Date.now() < endMs; await sleep(50)) {
    const result = await client.read(await client.init());
    if (result) return result;
  }
  throw new Error('the cycle did not end');
}
