/** Attempts to agree that come to no end, owners who mislead the others, and weeks without anybody. */
import test, { type ExecutionContext } from 'ava';
import { contributionText, parseContributionText } from '../../src/api/contribution.ts';
import { native } from '../../src/crypto/native.ts';
import { ownEntry } from '../../src/mixer/position.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import {
  allHold,
  foundOn,
  LIFETIME_MS,
  positionOf,
  runNode,
  until,
  type Founded,
  type FoundedNode,
  type RunningNode,
} from './founded.ts';

const redis = sharedStore(test);
const DAY_MS = 86_400_000;

/** A text about the next snapshot, as a hostile owner may write it. */
async function say(
  node: FoundedNode,
  negotiationId: string,
  body: { readonly data: object; readonly info?: object },
  meta: object,
): Promise<void> {
  const text = contributionText({
    info: {},
    ...body,
    meta: {
      accept: false,
      signers: [],
      negotiation_id: negotiationId,
      round: 1,
      time: new Date().toISOString(),
      ...meta,
    },
  });
  await node.client.contribute(negotiationId, text);
}

function numbers(nodes: readonly RunningNode[]): (number | undefined)[] {
  return nodes.map(({ store }) => store.last()?.number);
}

/** What was said of one event, of all nodes. */
function reasonsOf(nodes: readonly RunningNode[], event: string): string[] {
  return nodes
    .flatMap(({ said }) => said)
    .flatMap((one) => (one.event === event ? [one.reason ?? ''] : []));
}

/** The state as the last start left it: where all nodes are to agree next. */
function nextOf(node: FoundedNode): string {
  return node.state.read()?.next_negotiation_id ?? '';
}

async function started(
  t: ExecutionContext,
  count: number,
): Promise<{ founded: Founded; nodes: RunningNode[] }> {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, count);
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await allHold(nodes, 1);
  const next = (): Set<string> => new Set(founded.nodes.map(nextOf));
  await until('all know where they agree next', () => next().size === 1);
  return { founded, nodes };
}

async function stopAll(nodes: readonly RunningNode[]): Promise<void> {
  await Promise.all(nodes.map(({ epochs }) => epochs.stop()));
}

/** Makes the controller forget negotiations, as it does seven days after the last word in them. */
async function forget(founded: Founded, ids: readonly string[]): Promise<void> {
  const { redis: client, prefix } = founded.bed.store;
  for (const id of ids) {
    const removed = await client.del(`${prefix}:api:negotiation:${id}`);
    if (removed !== 1) throw new Error('there is no such negotiation');
  }
}

test.serial(
  'two owners who composed different texts at once are through with the next number',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    const [absent, ...present] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    // Without any patience each of the two composes what it sees; the third is away, so neither text is enough.
    const nodes = present.map((node) =>
      runNode(t, founded, node, { patienceMs: 0, textMs: 1_500 }),
    );
    await until('both have signed a text of their own', async () => {
      const said = await absent.client.listContributions(founded.negotiationId);
      const accepted = said.filter(({ text }) => parseContributionText(text)?.meta.accept === true);
      return accepted.length >= 2 || numbers(nodes).some((number) => number !== undefined);
    });
    await allHold(nodes, 1);
    const [held] = nodes.map(({ store }) => store.last());
    t.is(held?.previousHash, founded.mixnetId);
    t.deepEqual(
      nodes.flatMap(({ report }) => Object.keys(report.findings.two_faced)),
      [],
    );
  },
);

test.serial(
  'a text that ran out before enough had signed it is given up by all for the next number',
  async (t) => {
    const { founded, nodes } = await started(t, 3);
    const [one, two, three] = founded.nodes as [FoundedNode, FoundedNode, FoundedNode];
    await stopAll(nodes);
    founded.bed.skew(LIFETIME_MS / 3 + 1_000);
    const negotiationId = nextOf(one);
    // The first composes and signs, and vanishes before anybody else has signed.
    const gone = runNode(t, founded, one, { patienceMs: 0, textMs: 800 });
    const shortly = runNode(t, founded, two, { patienceMs: 600_000, textMs: 800 });
    await until('one has signed', async () => {
      const said = await three.client.listContributions(negotiationId);
      return said.some(({ text }) => parseContributionText(text)?.meta.accept === true);
    });
    await stopAll([gone, shortly]);
    const signed = one.state.read()?.signed[negotiationId];
    if (signed !== undefined && shortly.store.last()?.number === 1) {
      await new Promise((resolve) => setTimeout(resolve, 900));
    }
    const again = founded.nodes.map((node) => runNode(t, founded, node));
    await allHold(again, 2);
    const held = again[0]?.store.last();
    t.true(
      held?.previousHash === nodes[0]?.store.last()?.snapshotHash,
      'it follows the last applied',
    );
  },
);

/** Lets nodes go on as if the agreed text had named another negotiation, and theirs were the next best. */
function misled(honest: readonly FoundedNode[], bogus: string): void {
  for (const { state } of honest) {
    const next = state.read()?.next_negotiation_id ?? '';
    state.update({
      places: [
        { negotiation_id: bogus, number: 2 },
        { negotiation_id: next, number: 3 },
      ],
      next_negotiation_id: bogus,
    });
  }
}

test.serial('an owner who names a negotiation that does not exist stops nobody', async (t) => {
  const { founded, nodes } = await started(t, 3);
  await stopAll(nodes);
  const honest = founded.nodes.slice(1);
  misled(honest, 'B'.repeat(43));
  founded.bed.skew(LIFETIME_MS / 3 + 1_000);
  const others = honest.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
  await allHold(others, 3);
  t.true(reasonsOf(others, 'epoch-abandoned').includes('negotiation-unknown'));
  t.true(others.every(({ store }) => store.current().ok));
});

test.serial(
  'an owner who names an ended negotiation as the next one leads nobody in circles',
  async (t) => {
    const { founded, nodes } = await started(t, 3);
    await stopAll(nodes);
    const [hostile, ...honest] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    for (const { state } of honest) {
      const next = nextOf({ state } as FoundedNode);
      state.update({
        places: [
          { negotiation_id: founded.negotiationId, number: 2 },
          { negotiation_id: next, number: 3 },
        ],
        next_negotiation_id: founded.negotiationId,
      });
    }
    t.is((await hostile.client.getNegotiation(founded.negotiationId))?.status, 'DONE');
    founded.bed.skew(LIFETIME_MS / 3 + 1_000);
    const others = honest.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
    await allHold(others, 3);
    t.true(reasonsOf(others, 'epoch-abandoned').includes('negotiation-foreign'));
  },
);

test.serial(
  'an owner whose negotiation is open to others, or needs more, stops nobody',
  async (t) => {
    const { founded, nodes } = await started(t, 3);
    await stopAll(nodes);
    const [hostile, ...honest] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    const bogus = await hostile.client.createNegotiation({ signers: [hostile.peerId], needed: 1 });
    for (const { state } of honest) {
      const next = nextOf({ state } as FoundedNode);
      state.update({
        places: [
          { negotiation_id: bogus, number: 2 },
          { negotiation_id: next, number: 3 },
        ],
        next_negotiation_id: bogus,
      });
    }
    founded.bed.skew(LIFETIME_MS / 3 + 1_000);
    const others = honest.map((node) => runNode(t, founded, node, { patienceMs: 400 }));
    await allHold(others, 3);
    t.true(reasonsOf(others, 'epoch-abandoned').includes('negotiation-foreign'));
  },
);

test.serial(
  'a node that signs two entries for one number is left out, named, and back in the next',
  async (t) => {
    const { founded, nodes } = await started(t, 4);
    const [one, ...others] = nodes as [RunningNode, ...RunningNode[]];
    await one.epochs.stop();
    const { node } = one;
    const negotiationId = nextOf(node);
    const of = { mixnetId: founded.mixnetId, number: 2 };
    for (const paused of [false, true]) {
      const entry = ownEntry(native, node.identity, of, positionOf(founded.bed, { paused }));
      await say(
        node,
        negotiationId,
        { data: { peer_id: of.mixnetId, entry } },
        { round: Number(paused) },
      );
    }
    founded.bed.skew(LIFETIME_MS / 3 + 1_000);
    await allHold(others, 2);
    const said = others[0]?.store.last()?.nodes.find(({ peerId }) => peerId === node.peerId);
    t.deepEqual(said?.endpoints, []);
    for (const { report } of others)
      t.like(report.findings.two_faced, { [node.peerId]: { number: 2 } });
    const named = others.flatMap((other) =>
      other.said.filter(({ event }) => event === 'entry-equivocated'),
    );
    t.is(named.length, others.length, 'each says it once');
  },
);

test.serial(
  'an owner hears of a change that another proposes, and his node notes it',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    let change: string | null = null;
    let madeOn: string | undefined;
    const [proposer, ...others] = founded.nodes as [FoundedNode, ...FoundedNode[]];
    const nodes = [
      runNode(t, founded, proposer, { ownChange: (head) => (head === madeOn ? change : null) }),
      ...others.map((node) => runNode(t, founded, node)),
    ];
    await allHold(nodes, 1);
    madeOn = nodes[0]?.store.last()?.logHead;
    change = 'C'.repeat(43);
    bed.skew(LIFETIME_MS / 10 + 1_000);
    await allHold(nodes, 2);
    await until('all know', () =>
      others.every(({ state }) => state.read()?.pending_changes?.length === 1),
    );
    t.like(others[0]?.state.read()?.pending_changes?.[0], {
      negotiation_id: change,
      proposer: proposer.peerId,
    });
    t.deepEqual(proposer.state.read()?.pending_changes ?? [], []);
    await until('it is told once', () => proposer.state.read()?.announced_change === change);
  },
);

test.serial(
  'all nodes off for longer than negotiations are kept meet again, with nobody watching',
  async (t) => {
    const { founded, nodes } = await started(t, 3);
    await stopAll(nodes);
    const ids = founded.nodes[0]?.state.read()?.places?.map((place) => place.negotiation_id) ?? [];
    founded.bed.skew(9 * DAY_MS);
    await forget(founded, ids);
    const again = founded.nodes.map((node) => runNode(t, founded, node));
    await allHold(again, 2, 30_000);
    t.true(again.every(({ store }) => store.current().ok));
    t.true(again.some(({ said }) => said.some(({ event }) => event === 'epoch-meeting')));
    const before = again[0]?.store.last()?.number ?? 0;
    founded.bed.skew(9 * DAY_MS + LIFETIME_MS / 3 + 1_000);
    await allHold(again, before + 1);
  },
);

test.serial('one that has lost its place comes back to where the others agree', async (t) => {
  const { founded, nodes } = await started(t, 3);
  const [lost, ...others] = nodes as [RunningNode, ...RunningNode[]];
  await lost.epochs.stop();
  lost.node.state.update({ places: [], next_negotiation_id: 'L'.repeat(43) });
  founded.bed.skew(LIFETIME_MS / 3 + 1_000);
  await allHold(others, 2);
  const back = runNode(t, founded, lost.node);
  founded.bed.skew((2 * LIFETIME_MS) / 3 + 2_000);
  await allHold([...others, back], 3, 30_000);
  const held = others[0]?.store.last();
  founded.bed.skew((2 * LIFETIME_MS) / 3 + LIFETIME_MS / 10 + 10_000);
  await until('its entry is in', () =>
    (others[0]?.store.last()?.nodes ?? []).every((node) => node.endpoints.length > 0),
  );
  t.truthy(held);
});
