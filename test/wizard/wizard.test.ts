import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { decideByOptions } from '../../src/wizard/decisions.ts';
import { createParty, FIVE_NODES, foundWithAll, invitationsOf, type TestParty } from './parties.ts';

const store = sharedStore(test);
const TRAFFIC = {
  delay_mean_ms: 1,
  ticks_per_second: 1,
  loops_per_second: 0.5,
  mixes_per_route: 1,
  expiry_ms: 60_000,
};

test('five owners found a mixnet, each knowing the URL and an invitation only', async (t) => {
  const controller = await privateController(t, store());
  const { parties, mixnets } = await foundWithAll(t, controller.url);
  const [first] = mixnets;
  for (const mixnet of mixnets) t.deepEqual(mixnet, first);
  const { mixnetId, mixnetUrl } = first as NonNullable<typeof first>;
  t.is(mixnetUrl, `${controller.url}panoramix/peers/${mixnetId}/`);

  const nodes = await (parties[0] as (typeof parties)[0]).client.getNodes(mixnetId);
  const read = readFoundation(nodes, mixnetId, native);
  if (!read.ok) return t.fail(read.reason);
  const { terms, log } = read.foundation;
  const ids = parties.map((party) => party.identity.peerId).toSorted();
  t.deepEqual(terms.owners, ids);
  t.deepEqual(terms.rule, { m: 3, n: 5 });
  const [entry] = [...log.values()];
  t.deepEqual(
    entry?.nodes.map((node) => node.peer_id),
    ids,
  );
  const beta = entry?.nodes.find((node) => node.domains.includes('beta.example'));
  t.deepEqual(beta?.domains, ['beta-too.example', 'beta.example']);
  return t.is(beta?.peer_id, parties[2]?.identity.peerId);
});

test('the state file is private, tells where to go on, and keeps no invitation', async (t) => {
  const controller = await privateController(t, store());
  const { parties, mixnets } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 3), {
    traffic: {
      delay_mean_ms: 1,
      ticks_per_second: 1,
      loops_per_second: 0.5,
      mixes_per_route: 1,
      expiry_ms: 60_000,
    },
  });
  for (const party of parties) {
    const path = join(party.dataDir, 'mixnet.json');
    t.is(statSync(path).mode & 0o777, 0o600);
    const state = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    t.is(state['next_negotiation_id'], mixnets[0]?.nextNegotiationId);
    t.false('tokens' in state || 'invitation' in state || 'proposed_negotiation_id' in state);
  }
  const before = parties.map((party) => party.events.length);
  t.deepEqual(await parties[1]?.join('no longer needed'), mixnets[0]);
  t.is(parties[1]?.events.length, before[1]);
});

test('one owner alone founds at once', async (t) => {
  const controller = await privateController(t, store());
  const party = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  t.regex((await party.found({})).mixnetId, /^[0-9a-f]{64}$/);
});

test('what became public names the next negotiation by its hash alone', async (t) => {
  const controller = await privateController(t, store());
  const { parties, mixnets } = await foundWithAll(t, controller.url, FIVE_NODES.slice(0, 2), {
    traffic: {
      delay_mean_ms: 1,
      ticks_per_second: 1,
      loops_per_second: 0.5,
      mixes_per_route: 1,
      expiry_ms: 60_000,
    },
  });
  const { mixnetId, nextNegotiationId } = mixnets[0] as (typeof mixnets)[0];
  const nodes = JSON.stringify(await parties[0]?.client.getNodes(mixnetId));
  t.false(nodes.includes(nextNegotiationId));
  t.true(nodes.includes('next_negotiation_hash'));
  const stranger = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  const { founding } = JSON.parse(nodes) as { founding: { id: string } };
  await t.throwsAsync(stranger.client.listContributions(founding.id), { code: 'reader-refused' });
});

test('two who claim one domain are refused, and both read why', async (t) => {
  const controller = await privateController(t, store());
  const wish = { roles: ['gateway'], domains: ['alpha.example'] } as const;
  const parties = [wish, wish].map((node) => createParty(t, controller.url, node));
  const [coordinator, other] = parties as [(typeof parties)[0], (typeof parties)[0]];
  const traffic = {
    delay_mean_ms: 1,
    ticks_per_second: 1,
    loops_per_second: 0.5,
    mixes_per_route: 1,
    expiry_ms: 60_000,
  };
  const confirmed = { confirmed: ['alpha.example'] };
  const founding = coordinator.found({ invitations: 1, traffic, domains: confirmed });
  const joining = other.join((await invitationsOf(coordinator))[0] as string);
  const [theirs, ours] = await Promise.all([
    t.throwsAsync(founding, { code: 'agreement-refused' }),
    t.throwsAsync(joining, { code: 'agreement-aborted' }),
  ]);
  for (const error of [theirs, ours]) {
    t.regex(error?.message ?? '', /alpha\.example is claimed by/);
  }
});

test('a contributor’s refusal reaches the coordinator with its reason', async (t) => {
  const controller = await privateController(t, store());
  const [coordinator, other] = [0, 1].map(() =>
    createParty(t, controller.url, { roles: ['mix'], domains: [] }),
  ) as [ReturnType<typeof createParty>, ReturnType<typeof createParty>];
  const founding = coordinator.found({ invitations: 1 });
  const joining = other.join((await invitationsOf(coordinator))[0] as string, {
    decisions: decideByOptions({
      reviewTerms: (terms) => (terms.params.BODY_LEN === 2048 ? 'body-len-too-small' : null),
    }),
  });
  const [theirs, ours] = await Promise.all([t.throwsAsync(founding), t.throwsAsync(joining)]);
  for (const error of [theirs, ours]) {
    t.is((error as PanoramixError).code, 'agreement-aborted');
    t.regex(error?.message ?? '', /body-len-too-small/);
  }
});

test('an invitation serves one peer, and the second one is told so before it says anything', async (t) => {
  const controller = await privateController(t, store());
  const [coordinator, first, second, late] = Array.from({ length: 4 }, () =>
    createParty(t, controller.url, { roles: ['mix'], domains: [] }),
  ) as [TestParty, TestParty, TestParty, TestParty];
  const founding = coordinator.found({ invitations: 2, traffic: TRAFFIC });
  const [used, free] = (await invitationsOf(coordinator)) as [string, string];
  const joining = first.join(used);
  const [negotiationId] = used.split('|') as [string];
  await until(async () => (await late.client.listContributions(negotiationId)).length === 2);
  for (const party of [second, late]) {
    const error = await t.throwsAsync(party.join(used), { code: 'invitation-used' });
    t.true(error?.message.includes(first.identity.peerId.slice(0, 8)));
  }
  t.is((await late.client.listContributions(negotiationId)).length, 2);
  // Who was refused comes again with another invitation, and from the same folder.
  const [mixnet] = await Promise.all([founding, joining, second.join(free)]);
  // Who comes when all is over cannot read any more who was faster.
  const after = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  await t.throwsAsync(after.join(used), { code: 'invitation-used' });
  t.regex(mixnet.mixnetId, /^[0-9a-f]{64}$/);
});

for (const [what, invitation] of [
  ['no invitation', 'hello'],
  ['half of one', 'TLCWFVt8Y3gnvvtYNVRM0uM4paQZaUwTRA-HtOnBVM4|'],
] as const) {
  test(`joining with ${what} is refused before anything is sent`, async (t) => {
    const party = createParty(t, 'http://127.0.0.1:1/', { roles: ['mix'], domains: [] });
    await t.throwsAsync(party.join(invitation), { code: 'invitation-invalid' });
  });
}

test('an invitation to a negotiation that is not there says so', async (t) => {
  const controller = await privateController(t, store());
  const party = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  const nowhere = `${'A'.repeat(43)}|${'A'.repeat(43)}`;
  await t.throwsAsync(party.join(nowhere), { code: 'negotiation-unknown' });
});

test('parameters that cannot carry the path are refused before anything is sent, with the sum', async (t) => {
  const party = createParty(t, 'http://127.0.0.1:1/', { roles: ['mix'], domains: [] });
  const error = await t.throwsAsync(
    party.found({ params: { GROUP: 'X25519', HEADER_LEN: 128, BODY_LEN: 2048 } }),
    { code: 'config-invalid' },
  );
  t.regex(error?.message ?? '', /HEADER_LEN 128.*\d/);
});

test('another key’s state file is not taken over', async (t) => {
  const controller = await privateController(t, store());
  const party = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  const other = createParty(t, controller.url, { roles: ['mix'], domains: [] });
  const stop = new AbortController();
  const founding = party.found({ invitations: 1, signal: stop.signal });
  await invitationsOf(party);
  stop.abort();
  await t.throwsAsync(founding);
  const statePath = join(party.dataDir, 'mixnet.json');
  await t.throwsAsync(other.found({ invitations: 1, statePath }), { code: 'config-invalid' });
});
