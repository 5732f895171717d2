/** A wizard that changes a mixnet may die at any of its requests: started again it goes on, and one change comes of it. */
import test, { type ExecutionContext } from 'ava';
import type { ControllerClient } from '../../src/client/controller.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { changer, foundationOf, told, type Changer } from './change-parties.ts';
import { killedAt } from './killed.ts';
import { createParty, foundWithAll } from './parties.ts';

const store = sharedStore(test);
const MIX = { roles: ['mix'], domains: [] } as const;
/** More calls than a change takes, some looks at the negotiation included. */
const CALLS = 26;

interface Founded {
  readonly url: string;
  readonly mixnetId: string;
  readonly client: ControllerClient;
  readonly owners: readonly Changer[];
}

async function founded(t: ExecutionContext, count: number): Promise<Founded> {
  const { url } = await privateController(t, store());
  const wishes = Array.from({ length: count }, () => MIX);
  const { parties, mixnets } = await foundWithAll(t, url, wishes);
  const [first] = parties;
  const [mixnet] = mixnets;
  if (!first || !mixnet) throw new Error('nobody founded');
  return {
    url,
    mixnetId: mixnet.mixnetId,
    client: first.client,
    owners: parties.map((party) => changer(party)),
  };
}

/** What a change that was killed leaves is gone on with. */
async function andAgain<Value>(
  first: (client: ControllerClient) => Promise<Value>,
  client: ControllerClient,
  again: () => Promise<Value>,
): Promise<{ readonly value: Value; readonly wasKilled: boolean }> {
  const wasKilled = await first(client).then(
    () => false,
    () => true,
  );
  return { value: await again(), wasKilled };
}

async function reviewAfter(proposer: Changer, reviewer: Changer, before: number): Promise<void> {
  const { negotiationId } = await told(proposer, 'change-proposed', before);
  await reviewer.review(negotiationId);
}

for (const phase of ['before', 'after'] as const) {
  test(`a proposer killed ${phase} any of his requests goes on from there`, async (t) => {
    const { owners, client, mixnetId } = await founded(t, 2);
    const [one, two] = owners as [Changer, Changer];
    for (let call = 1; call <= CALLS; call += 2) {
      const wish = { weight: call + 1 };
      const before = one.events.length;
      const reviewing = reviewAfter(one, two, before);
      const killed = killedAt(client, call, phase);
      await one.propose(wish, { client: killed }).catch(() => undefined);
      const { head } = await foundationOf(client, mixnetId);
      const isDone = head.nodes.some(({ weight }) => weight === wish.weight);
      if (!isDone || one.operator.read().change) {
        const isUnderWay = one.operator.read().change !== undefined;
        await one.propose(isUnderWay ? null : wish);
      }
      await reviewing;
      const { head: after, log } = await foundationOf(client, mixnetId);
      t.is(after.nodes.find(({ peer_id: id }) => id === one.peerId)?.weight, wish.weight);
      t.is(log.size, 2 + (call - 1) / 2, `one change came of call ${call}`);
      t.is(one.operator.read().change, undefined);
    }
  });

  test(`a reviewer killed ${phase} any of his requests goes on from there`, async (t) => {
    const { owners, client, mixnetId } = await founded(t, 2);
    const [one, two] = owners as [Changer, Changer];
    for (let call = 1; call <= 12; call++) {
      const before = one.events.length;
      const proposing = one.propose({ weight: call + 1 });
      const { negotiationId } = await told(one, 'change-proposed', before);
      const { wasKilled, value } = await andAgain(
        (killed) => two.review(negotiationId, { client: killed }),
        killedAt(two.options.client, call, phase),
        () => two.review(negotiationId),
      );
      t.true(wasKilled || call > 4, `call ${call}`);
      t.is(value.outcome, 'applied');
      await proposing;
      t.is((await foundationOf(client, mixnetId)).log.size, 1 + call);
    }
  });

  test(`a guest killed ${phase} any of his requests goes on from there`, async (t) => {
    const { url, owners, client, mixnetId } = await founded(t, 1);
    const [one] = owners as [Changer];
    for (let call = 1; call <= CALLS; call += 3) {
      const { present } = await foundationOf(client, mixnetId);
      const guest = changer(createParty(t, url, MIX));
      const before = one.events.length;
      const proposing = one.propose({ invite: 1, rule: { m: 1, n: present.owners.length + 1 } });
      const [invitation] = (await told(one, 'change-invitations', before)).invitations as [string];
      const { value } = await andAgain(
        (killed) => guest.join(invitation, MIX, { client: killed }),
        killedAt(guest.options.client, call, phase),
        () => guest.join(invitation, MIX),
      );
      await proposing;
      t.is(value.mixnetId, mixnetId);
      t.deepEqual(await guest.join(invitation, MIX), value, 'once more changes nothing');
      const { present: after } = await foundationOf(client, mixnetId);
      t.is(after.owners.length, present.owners.length + 1, `call ${call}`);
      t.true(after.owners.includes(guest.peerId));
    }
  });
}
