import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { exitForDomain, openEndpoint } from '../../src/mixnet/directory.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import {
  allHold,
  foundOn,
  LIFETIME_MS,
  positionOf,
  runNode,
  until,
  type FoundedNode,
} from './founded.ts';

const redis = sharedStore(test);

test.serial(
  'five nodes agree on a directory with nobody watching, and all hold the same',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 5);
    const nodes = founded.nodes.map((node) => runNode(t, founded, node));
    await allHold(nodes, 1);
    const held = nodes[0]?.store.last();
    t.is(held?.number, 1);
    t.is(held?.previousHash, founded.mixnetId);
    t.is(held && exitForDomain(held, 'alpha.example')?.peerId, founded.nodes[0]?.peerId);
    for (const node of held?.nodes ?? []) t.truthy(openEndpoint(node, bed.now()));
    await until('all go on to one negotiation', () => {
      const next = new Set(founded.nodes.map(({ state }) => state.read()?.next_negotiation_id));
      return next.size === 1 && !next.has(founded.negotiationId);
    });
  },
);

test.serial('the next snapshot is agreed on after a third of the life of the last', async (t) => {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, 3);
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await allHold(nodes, 1);
  bed.skew(LIFETIME_MS / 3 - 60_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(nodes[0]?.store.last()?.number, 1);
  for (const number of [2, 3, 4]) {
    bed.skew(((number - 1) * LIFETIME_MS) / 3 + 60_000);
    await allHold(nodes, number);
    t.is(nodes[0]?.store.last()?.number, number);
  }
});

test.serial('a node that is started again holds its directory, and asks for nothing', async (t) => {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, 3);
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await allHold(nodes, 1);
  await Promise.all(nodes.map(({ epochs }) => epochs.stop()));
  const again = runNode(t, founded, founded.nodes[0] as FoundedNode, {
    position: () => nodes[0]?.position ?? positionOf(bed),
  });
  t.true(again.store.current().ok);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.deepEqual(
    again.said.filter(({ event }) => event === 'epoch-begins'),
    [],
  );
  const seen = JSON.parse(
    readFileSync(join(again.node.dataDir, 'directory-seen.json'), 'utf8'),
  ) as Record<string, { number: number }>;
  t.is(seen[founded.mixnetId]?.number, 1);
});

test.serial('nodes stopped at any moment of the agreement go on where they were', async (t) => {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, 3);
  for (const delayMs of [5, 30, 60, 90, 120]) {
    const nodes = founded.nodes.map((node) => runNode(t, founded, node));
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await Promise.all(nodes.map(({ epochs }) => epochs.stop()));
  }
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await allHold(nodes, 1);
  t.true(nodes.every(({ report }) => Object.keys(report.findings.two_faced).length === 0));
});

test.serial(
  'a node signs one entry for a number, whatever has changed when it is started again',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    const [early, ...others] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    const before = runNode(t, founded, early);
    await until('it has said its entry', async () => {
      return (await early.client.listContributions(founded.negotiationId)).length > 0;
    });
    await before.epochs.stop();
    // A key was opened meanwhile: the entry of this number stays, the next number's has it.
    const later = runNode(t, founded, early);
    const rest = others.map((node) => runNode(t, founded, node));
    await allHold([later, ...rest], 1);
    const entryOf = (): string | undefined =>
      rest[0]?.store.last()?.nodes.find(({ peerId }) => peerId === early.peerId)?.endpoints[0]
        ?.endpointId;
    t.is(entryOf(), before.position.endpoints[0]?.endpointId);
    t.deepEqual(rest[0]?.report.findings.two_faced, {});
    bed.skew(LIFETIME_MS / 10 + 1_000);
    await allHold([later, ...rest], 2);
    t.is(entryOf(), later.position.endpoints[0]?.endpointId);
    const reasons = later.said.filter(({ event }) => event === 'epoch-begins');
    t.true(reasons.some(({ reason }) => reason === 'own-entry-changed'));
  },
);

test.serial(
  'what the directory has too much is left for the next epoch, what it lacks is not',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    const nodes = founded.nodes.map((node) => runNode(t, founded, node));
    await allHold(nodes, 1);
    bed.skew(LIFETIME_MS / 10 + 1_000);
    const [one] = nodes as [(typeof nodes)[0]];
    one.position = { ...one.position, endpoints: [] };
    await new Promise((resolve) => setTimeout(resolve, 400));
    t.is(one.store.last()?.number, 1);
    one.position = { ...one.position, paused: true };
    await allHold(nodes, 2);
    const said = nodes[1]?.store.last()?.nodes.find(({ peerId }) => peerId === one.node.peerId);
    t.like(said, { paused: true });
  },
);

test.serial(
  'one owner who is away stops nothing, and gets into the next snapshot when he comes',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    const [absent, ...present] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    const nodes = present.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
    await allHold(nodes, 1);
    const missing = nodes[0]?.store.last()?.nodes.find(({ peerId }) => peerId === absent.peerId);
    t.deepEqual(missing?.endpoints, []);

    // A week of it: every third hour a snapshot, of two of three.
    for (let day = 1; day <= 7; day++) {
      bed.skew(day * 86_400_000);
      const number = (nodes[0]?.store.last()?.number ?? 0) + 1;
      await allHold(nodes, number);
    }
    bed.skew(7 * 86_400_000 + LIFETIME_MS / 10 + 1_000);
    const late = runNode(t, founded, absent, { patienceMs: 400 });
    const number = (nodes[0]?.store.last()?.number ?? 0) + 1;
    await allHold([...nodes, late], number);
    t.true(late.store.last()?.nodes.every((node) => node.endpoints.length === 1));
  },
);

test.serial('a node that says where it is and dies holds up no snapshot', async (t) => {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, 3);
  const [dying, ...others] = founded.nodes as [FoundedNode, ...FoundedNode[]];
  const gone = runNode(t, founded, dying);
  await until('it has said its entry', async () => {
    return (await dying.client.listContributions(founded.negotiationId)).length > 0;
  });
  await gone.epochs.stop();
  const nodes = others.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
  await allHold(nodes, 1);
  t.true(
    nodes[0]?.store.last()?.nodes.every((node) => node.endpoints.length === 1),
    'its entry is in',
  );
});

test.serial('while no controller answers, a node waits, and goes on when it does', async (t) => {
  let pressed: 'open' | 'settle-only' = 'open';
  const { redis: client, prefix } = redis();
  const bed = await privateController(t, redis(), {
    store: { redis: client, prefix: `${prefix}:pressed`, pressure: () => pressed },
  });
  const founded = await foundOn(t, bed, 3);
  pressed = 'settle-only';
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await new Promise((resolve) => setTimeout(resolve, 300));
  pressed = 'open';
  await allHold(nodes, 1);
  t.pass();
});

test.serial(
  'a node that has left the log asks for nothing, and the others go on without it',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 4);
    const nodes = founded.nodes.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
    await allHold(nodes, 1);
    const left = founded.nodes[3]?.peerId;
    await founded.change((entry) => ({
      ...entry,
      nodes: entry.nodes.filter(({ peer_id: id }) => id !== left),
    }));
    // On a busy machine the next snapshot may have been begun before anybody knew.
    await until('the others have left it out', () =>
      nodes.slice(0, 3).every(({ store }) => store.last()?.nodes.length === 3),
    );
    await until('it says so', () =>
      (nodes[3]?.said ?? []).some(({ event }) => event === 'epoch-outside'),
    );
    t.is(nodes[0]?.store.last()?.nodes.length, 3);
  },
);
