import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { exitForDomain, openEndpoint, type Directory } from '../../src/mixnet/directory.ts';
import { DirectoryStore } from '../../src/mixer/directory-store.ts';
import { Epochs, type EpochOptions } from '../../src/mixer/epoch.ts';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { FIVE_NODES, foundWithAll, type TestParty } from '../wizard/parties.ts';
import { openKeys } from './own-keys.ts';

const redis = sharedStore(test);

/** A node on its own controller: endpoint, directory store, and its part in the agreements. */
async function startNode(
  t: ExecutionContext,
  party: TestParty,
  more: Partial<EpochOptions> = {},
): Promise<{ epochs: Epochs; store: DirectoryStore; directory: Promise<Directory> }> {
  const { client, identity, dataDir } = party;
  const state = new MixnetStateFile(join(dataDir, 'mixnet.json'));
  const keys = await openKeys({ client, identity, store: redis(), dataDir });
  const store = new DirectoryStore({
    dataDir,
    mixnetId: state.read()?.mixnet_id as string,
    primitives: native,
    log: silentLog,
    sources: [client],
  });
  const epochs = new Epochs({
    client,
    identity,
    primitives: native,
    state,
    store,
    log: silentLog,
    pollMs: 20,
    watchMs: 50,
    position: () => ({
      controllerUrl: client.url,
      paused: false,
      endpoints: keys.endpoints().map((endpoint) => {
        return { ...endpoint, publicKey: endpoint.mixKey.publicKey };
      }),
    }),
    ...more,
  });
  const directory = epochs.start();
  directory.catch(() => undefined);
  t.teardown(() => epochs.stop());
  return { epochs, store, directory };
}

test('five nodes agree on a directory with nobody watching, and all hold the same', async (t) => {
  const controller = await privateController(t, redis());
  const { parties, mixnets } = await foundWithAll(t, controller.url);
  const nodes = await Promise.all(parties.map((party) => startNode(t, party)));
  const directories = await Promise.all(nodes.map((node) => node.directory));
  const [first] = directories as [Directory];
  for (const directory of directories) t.deepEqual(directory, first);
  t.is(first.number, 1);
  t.is(first.previousHash, first.mixnetId);
  t.is(exitForDomain(first, 'alpha.example')?.peerId, parties[1]?.identity.peerId);
  for (const node of first.nodes) t.truthy(openEndpoint(node, Date.now()));
  const next = parties.map(
    (party) => new MixnetStateFile(join(party.dataDir, 'mixnet.json')).read()?.next_negotiation_id,
  );
  t.is(new Set(next).size, 1);
  t.not(next[0], mixnets[0]?.nextNegotiationId);
});

test('a node that is started again uses its endpoint and its directory, and asks for nothing', async (t) => {
  const controller = await privateController(t, redis());
  const { parties } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), SMALL);
  const nodes = await Promise.all(parties.map((party) => startNode(t, party)));
  const [before] = await Promise.all(nodes.map((node) => node.directory));
  await Promise.all(nodes.map((node) => node.epochs.stop()));
  const again = await startNode(t, parties[0] as TestParty);
  t.true(again.store.current().ok);
  t.deepEqual(await again.directory, before);
  const seen = JSON.parse(
    readFileSync(join(parties[0]?.dataDir ?? '', 'directory-seen.json'), 'utf8'),
  ) as Record<string, { number: number }>;
  t.is(seen[before?.mixnetId ?? '']?.number, 1);
});

test('nodes stopped at any moment of the agreement go on where they were', async (t) => {
  const controller = await privateController(t, redis());
  const { parties } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), SMALL);
  for (const delayMs of [5, 30, 60, 90, 120]) {
    const nodes = await Promise.all(parties.map((party) => startNode(t, party)));
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await Promise.all(nodes.map((node) => node.epochs.stop()));
  }
  const nodes = await Promise.all(parties.map((party) => startNode(t, party)));
  const [first, ...others] = await Promise.all(nodes.map((node) => node.directory));
  for (const directory of others) t.deepEqual(directory, first);
  t.is(first?.number, 1);
});

test('one owner who is away stops nothing, and gets into the next snapshot when he comes', async (t) => {
  const controller = await privateController(t, redis());
  const { parties } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), SMALL);
  const [absent, ...present] = parties as [TestParty, ...TestParty[]];
  let skewMs = 0;
  const now = (): number => Date.now() + skewMs;
  const options = { patienceMs: 300, now };
  const nodes = await Promise.all(present.map((party) => startNode(t, party, options)));
  const [first] = await Promise.all(nodes.map((node) => node.directory));
  const missing = first?.nodes.find((node) => node.peerId === absent.identity.peerId);
  t.deepEqual(missing?.endpoints, []);
  t.is(first?.number, 1);

  // The others listen for those who ask once a minute has passed.
  skewMs = 61_000;
  const late = await startNode(t, absent, options);
  const agreed = (): boolean =>
    [...nodes, late].every(({ store }) => {
      const current = store.current();
      return current.ok && current.directory.number === 2;
    });
  const deadline = Date.now() + 20_000;
  while (!agreed() && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.true(agreed());
  const current = late.store.current();
  if (!current.ok) return t.fail(current.reason);
  t.is(current.directory.previousHash, first?.snapshotHash ?? '');
  return t.true(current.directory.nodes.every((node) => node.endpoints.length === 1));
});

test('a node that says where it is and dies holds up no snapshot', async (t) => {
  const controller = await privateController(t, redis());
  const { parties } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), SMALL);
  const [dying, ...others] = parties as [TestParty, ...TestParty[]];
  const state = new MixnetStateFile(join(dying.dataDir, 'mixnet.json')).read();
  const negotiationId = state?.next_negotiation_id as string;
  // It composes nothing and signs nothing: its patience outlasts the test.
  const gone = await startNode(t, dying, { pollMs: 20, patienceMs: 600_000 });
  while ((await dying.client.listContributions(negotiationId)).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await gone.epochs.stop();
  const nodes = await Promise.all(others.map((party) => startNode(t, party, { patienceMs: 300 })));
  const directories = await Promise.all(nodes.map((node) => node.directory));
  for (const directory of directories) {
    t.is(directory.number, 1);
    t.true(
      directory.nodes.every((node) => node.endpoints.length === 1),
      'its entry is in',
    );
  }
});

test('while no controller answers, a node waits, and goes on when it does', async (t) => {
  let pressed: 'open' | 'settle-only' = 'open';
  const { redis: client, prefix } = redis();
  const controller = await privateController(t, redis(), {
    store: { redis: client, prefix: `${prefix}:pressed`, pressure: () => pressed },
  });
  const { parties } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), SMALL);
  const first = await startNode(t, parties[0] as TestParty);
  const rest = await Promise.all(parties.slice(1).map((party) => startNode(t, party)));
  pressed = 'settle-only';
  await new Promise((resolve) => setTimeout(resolve, 300));
  pressed = 'open';
  const directories = await Promise.all([first, ...rest].map((node) => node.directory));
  t.is(new Set(directories.map(({ snapshotHash }) => snapshotHash)).size, 1);
});

const SMALL = {
  traffic: {
    delay_mean_ms: 1,
    ticks_per_second: 1,
    loops_per_second: 0.5,
    mixes_per_route: 1,
    expiry_ms: 60_000,
  },
};
