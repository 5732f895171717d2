import test from 'ava';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { killedAt } from './killed.ts';
import { createParty, invitationsOf } from './parties.ts';

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
