/** An owner who composes at once, or lures others away, and what the others sign all the same. */
import test, { type ExecutionContext } from 'ava';
import { acceptedText, contributionText } from '../../src/api/contribution.ts';
import { native } from '../../src/crypto/native.ts';
import { lookAt } from '../../src/mixer/ground.ts';
import { ownEntry } from '../../src/mixer/position.ts';
import { amongOwners, highestNumber } from '../../src/mixer/places.ts';
import {
  composeSnapshot,
  offerEntry,
  offersIn,
  type SnapshotGround,
} from '../../src/mixer/snapshot.ts';
import { readMeeting } from '../../src/client/meeting.ts';
import type { SignedEntry } from '../../src/mixnet/directory-texts.ts';
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
/** After many attempts each has 32 times as much. */
const QUICK = { patienceMs: 20, textMs: 120 };

/** A hostile owner, who says in a negotiation whatever he likes. */
async function hostileAt(
  { bed, mixnetId }: Founded,
  { node, store }: RunningNode,
  negotiationId: string,
  number: number,
) {
  const { client, identity } = node;
  const look = lookAt(await client.getNodes(mixnetId), store, native);
  const ground: SnapshotGround = { ...look.ground, number };
  const next = await client.createNegotiation(amongOwners(ground));
  const own = ownEntry(native, identity, ground, positionOf(bed));
  const metaOf = (accept: boolean) => ({
    accept,
    signers: [],
    negotiation_id: negotiationId,
    round: 1,
    time: new Date(bed.now()).toISOString(),
    expires: new Date(bed.now() + 60_000).toISOString(),
    next_negotiation_id: next,
  });
  return {
    offer: async (change: string | null = null) => {
      const draft = offerEntry(ground, own, next, change);
      const meta = { ...metaOf(false), ...draft.meta };
      await client.contribute(negotiationId, contributionText({ ...draft, meta }));
    },
    offered: async (): Promise<readonly SignedEntry[]> => {
      const meeting = await readMeeting(client, native, negotiationId);
      return offersIn(native, meeting.statements, ground).entries;
    },
    compose: async (entries: readonly SignedEntry[]) => {
      const { data, info } = composeSnapshot(entries, ground, next, bed.now());
      const text = acceptedText(native, { data, info, meta: metaOf(true) }, []);
      await client.contribute(negotiationId, text);
    },
  };
}

function nextOf({ state }: FoundedNode): string {
  return state.read()?.next_negotiation_id ?? '';
}

/** Three nodes that hold the first snapshot, stopped, when the next one is due; the first is the hostile one. */
async function due(t: ExecutionContext): Promise<{
  readonly founded: Founded;
  readonly nodes: readonly [RunningNode, RunningNode, RunningNode];
}> {
  const bed = await privateController(t, redis());
  const founded = await foundOn(t, bed, 3);
  const nodes = founded.nodes.map((node) => runNode(t, founded, node));
  await allHold(nodes, 1);
  await until('one place', () => new Set(founded.nodes.map(nextOf)).size === 1);
  await Promise.all(nodes.map(({ epochs }) => epochs.stop()));
  bed.skew(LIFETIME_MS / 3 + 1_000);
  return { founded, nodes: nodes as [RunningNode, RunningNode, RunningNode] };
}

test.serial(
  'an owner who composes before another has said where he is does not shut him out',
  async (t) => {
    const { founded, nodes } = await due(t);
    const [hostile, one, slow] = nodes;
    const patience = { patienceMs: 2_000 };
    const first = runNode(t, founded, one.node, patience);
    const said = await hostileAt(founded, hostile, nextOf(one.node), 2);
    await until('one has said where he is', async () => (await said.offered()).length === 1);
    await said.offer();
    await said.compose(await said.offered());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const second = runNode(t, founded, slow.node, patience);

    await allHold([first, second], 2);
    const named = first.store.last()?.nodes.find(({ peerId }) => peerId === slow.node.peerId);
    t.is(named?.endpoints.length, 1);
  },
);

test.serial(
  'an owner who lures another to the highest number keeps nobody from agreeing',
  async (t) => {
    const { founded, nodes } = await due(t);
    const [hostile, lured, other] = nodes;
    const last = hostile.store.last();
    const number = highestNumber(last, founded.bed.now());
    const { client, state } = hostile.node;
    const look = lookAt(await client.getNodes(founded.mixnetId), hostile.store, native);
    const negotiationId = await client.createNegotiation(amongOwners(look.ground));
    await client.sayMeeting(founded.mixnetId, { negotiation_id: negotiationId, number });
    const said = await hostileAt(founded, hostile, negotiationId, number);
    await said.offer();
    t.not(state.read()?.next_negotiation_id, negotiationId);

    const first = runNode(t, founded, lured.node, QUICK);
    await until('it has signed there', () => lured.node.state.read()?.signed_number === number);
    await until('and has gone on', () => nextOf(lured.node) !== negotiationId);
    const second = runNode(t, founded, other.node, QUICK);
    await allHold([first, second], number);
    t.true(second.store.current().ok);
  },
);

test.serial('an owner who names one change after the other fills no log', async (t) => {
  const { founded, nodes } = await due(t);
  const [hostile, one] = nodes;
  const said = await hostileAt(founded, hostile, nextOf(one.node), 2);
  const [before, now] = ['A', 'B'].map((letter) => letter.repeat(43)) as [string, string];
  await said.offer(before);
  await said.offer(now);
  const first = runNode(t, founded, one.node, { patienceMs: 600_000 });
  await until('it has heard', () => one.node.state.read()?.pending_changes?.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(one.node.state.read()?.pending_changes?.[0]?.negotiation_id, now);
  t.is(first.said.filter(({ event }) => event === 'change-proposed').length, 1);
});

test.serial(
  'a node that asks for one snapshot after the other gets a few out of turn',
  async (t) => {
    const bed = await privateController(t, redis());
    const founded = await foundOn(t, bed, 3);
    const nodes = founded.nodes.map((node) => runNode(t, founded, node));
    await allHold(nodes, 1);
    const eager = nodes[2] as RunningNode;
    let skewMs = 0;
    const ask = (): void => {
      skewMs += 61_000;
      bed.skew(skewMs);
      eager.position = positionOf(bed);
    };
    ask();
    await allHold(nodes, 2);
    for (let asked = 0; asked < 8; asked++) {
      ask();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    // Each of the two others heeds it twice, and one of them is enough.
    const number = nodes[0]?.store.last()?.number ?? 0;
    t.true(number <= 5, `${number}`);
    bed.skew(skewMs + LIFETIME_MS / 3);
    await allHold(nodes, number + 1);
  },
);
