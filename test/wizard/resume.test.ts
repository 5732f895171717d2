import test from 'ava';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { killedAt } from './killed.ts';
import { createParty, invitationsOf, type TestParty } from './parties.ts';
import { scripted } from './scripted.ts';

const store = sharedStore(test);
const MIX = { roles: ['mix'], domains: [] } as const;
const TRAFFIC = {
  delay_mean_ms: 1,
  ticks_per_second: 1,
  loops_per_second: 0.5,
  mixes_per_route: 1,
  expiry_ms: 60_000,
};
/** More calls than a founding of two takes, looks at the negotiation included. */
const CALLS = 30;

for (const phase of ['before', 'after'] as const) {
  test(`a coordinator killed ${phase} any of its requests goes on from there, and one mixnet comes of it`, async (t) => {
    const controller = await privateController(t, store());
    for (let call = 1; call <= CALLS; call += 2) {
      const [coordinator, other] = [MIX, MIX].map((node) => createParty(t, controller.url, node));
      if (!coordinator || !other) return t.fail();
      const options = { invitations: 1, traffic: TRAFFIC };
      const invited = invitationsOf(coordinator);
      const joining = invited.then((invitations) => other.join(invitations[0] as string));
      const first = coordinator.found({
        ...options,
        client: killedAt(coordinator.client, call, phase),
      });
      const wasKilled = await first.then(
        () => false,
        () => true,
      );
      const mixnet = await coordinator.found(options);
      t.deepEqual(await joining, mixnet, `call ${call}`);
      t.true(wasKilled || call > 20, `call ${call}`);
    }
    return t.pass();
  });

  test(`a contributor killed ${phase} any of its requests goes on from there`, async (t) => {
    const controller = await privateController(t, store());
    for (let call = 1; call <= CALLS; call += 2) {
      const [coordinator, other] = [MIX, MIX].map((node) => createParty(t, controller.url, node));
      if (!coordinator || !other) return t.fail();
      const founding = coordinator.found({ invitations: 1, traffic: TRAFFIC });
      const [invitation] = (await invitationsOf(coordinator)) as [string];
      const killed = { client: killedAt(other.client, call, phase) };
      await other.join(invitation, killed).catch(() => undefined);
      t.deepEqual(await other.join(invitation), await founding, `call ${call}`);
    }
    return t.pass();
  });
}

/** Of a founding with a counter-proposal, which takes longer. */
const ROUNDS_CALLS = 44;
const ROUNDS_STEP = 6;

for (const killed of ['coordinator', 'contributor'] as const) {
  test(`a ${killed} killed at any request of a founding with a counter-proposal goes on, and nobody is asked again what he has answered`, async (t) => {
    const controller = await privateController(t, store());
    for (let call = 3; call <= ROUNDS_CALLS; call += ROUNDS_STEP) {
      const phase = call % 4 === 1 ? 'before' : 'after';
      const [coordinator, other] = [MIX, MIX].map((node) => createParty(t, controller.url, node));
      if (!coordinator || !other) return t.fail();
      const changes = { params: { BODY_LEN: 4096 } };
      const adopting = scripted({ counterProposal: () => Promise.resolve({ answer: 'adopt' }) });
      const countering = scripted({
        proposedTerms: ({ terms }) =>
          Promise.resolve(
            terms.params.BODY_LEN === 4096 ? { answer: 'accept' } : { answer: 'counter', changes },
          ),
      });
      const options = { invitations: 1, traffic: TRAFFIC, decisions: adopting.decisions };
      const dying = (party: TestParty) => ({ client: killedAt(party.client, call, phase) });
      const invited = invitationsOf(coordinator);
      const found = async () => {
        if (killed === 'coordinator') {
          await coordinator.found({ ...options, ...dying(coordinator) }).catch(() => undefined);
        }
        return await coordinator.found(options);
      };
      const join = async () => {
        const [invitation] = (await invited) as [string];
        const { decisions } = countering;
        if (killed === 'contributor') {
          await other.join(invitation, { decisions, ...dying(other) }).catch(() => undefined);
        }
        return await other.join(invitation, { decisions });
      };
      const [mixnet, theirs] = await Promise.all([found(), join()]);
      t.deepEqual(theirs, mixnet, `call ${call}`);
      const peer = await coordinator.client.getPeer(mixnet.mixnetId);
      t.regex(peer?.key_data ?? '', /"BODY_LEN":4096/, `call ${call}`);
      // At most once more: he was killed before what he had answered was on its way.
      for (const { asked } of [adopting, countering]) {
        for (const kind of ['counterProposal', 'proposedTerms', 'nodes'] as const) {
          t.true(asked.filter((one) => one.kind === kind).length <= 2, `call ${call}: ${kind}`);
        }
      }
    }
    return t.pass();
  });
}
