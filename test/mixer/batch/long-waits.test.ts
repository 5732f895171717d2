/** A cycle may wait for its minimum longer than a controller keeps a negotiation that nobody looks at. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fromUtf8 } from '../../../src/bytes.ts';
import { BatchClient } from '../../../src/client/batch-mixnet.ts';
import { native } from '../../../src/crypto/native.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { D42_PARAMS, foundTogether, run, type Owner } from './owners.ts';

const store = sharedStore(test);
const params = { ...D42_PARAMS, GROUP: 'X25519' as const };

test('cycles go on where the negotiation that was to follow has ended while nothing came', async (t) => {
  const controller = await privateController(t, store());
  const together = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { sizeMin: 2 },
  });
  const [coordinator] = together.owners as [Owner];
  const node = coordinator.node();
  node.start();
  const proposed = await soon(() => coordinator.state.read()?.proposed_negotiation_id);
  await node.stop();
  const { redis, prefix } = controller.store;
  t.is(await redis.del(`${prefix}:api:negotiation:${proposed}`), 1);
  for (const owner of together.owners) run(t, owner);
  const { mixnetUrl } = together.mixnet;
  const client = new BatchClient({ mixnetUrl, primitives: native });
  for (let cycle = 1; cycle <= 2; cycle++) {
    const mixnet = await client.init();
    for (const message of ['one', 'two']) {
      await client.send(mixnet, { message: fromUtf8(message) });
    }
    await soon(() => (coordinator.state.read()?.batch?.closings ?? 0) >= cycle || undefined);
    await soon(async () => (await client.statusOf(mixnet)) === 'OPEN' || undefined);
  }
  t.pass();
});

test('owners of a batch mixnet are no strangers to a controller that goes by their state files', async (t) => {
  const controller = await privateController(t, store());
  const stops = { name: 'stop', sizeMin: 1, sizeMax: 20, public: true };
  for (const more of [{ gateway: {} }, { stops }]) {
    const { owners } = await foundTogether(t, controller.url, store(), { params, ...more });
    const keys = owners.map((owner) => owner.identity.peerId).toSorted();
    for (const owner of owners) t.deepEqual(owner.state.read()?.nodes, keys);
  }
});

async function soon<Value>(look: () => Promise<Value | undefined> | Value | undefined) {
  for (const endMs = Date.now() + 30_000; Date.now() < endMs; await sleep(20)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error('it did not come');
}
