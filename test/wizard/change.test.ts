/** Changes of a mixnet that its owners have founded, on a real controller. */
import test, { type ExecutionContext } from 'ava';
import { PanoramixError } from '../../src/errors.ts';
import type { Mixnet } from '../../src/wizard/options.ts';
import { refuseChange } from '../../src/wizard/change-review.ts';
import { withdrawChange } from '../../src/wizard/change.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { changer, foundationOf, told, type Changer } from './change-parties.ts';
import { createParty, foundWithAll, type TestParty } from './parties.ts';

const store = sharedStore(test);
const GATEWAY = { roles: ['gateway'], domains: ['alpha.example'] } as const;
const MIX = { roles: ['mix'], domains: [] } as const;

interface Founded {
  readonly url: string;
  readonly parties: readonly TestParty[];
  readonly owners: readonly [Changer, Changer, Changer];
  readonly mixnet: Mixnet;
}

/** Three owners, the first a gateway; two of them are needed for a change. */
async function founded(t: ExecutionContext): Promise<Founded> {
  const { url } = await privateController(t, store());
  const { parties, mixnets } = await foundWithAll(t, url, [GATEWAY, MIX, MIX], {
    params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 32_768 },
  });
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const owners = parties.map((party) => changer(party, ending.signal));
  return {
    url,
    parties,
    owners: owners as unknown as Founded['owners'],
    mixnet: mixnets[0] as Mixnet,
  };
}

test('a change that one proposes holds once the rule is met, whoever is away', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [proposer, reviewer, away] = owners;
  const [{ client }] = parties as [TestParty];
  const proposing = proposer.propose({ add_domains: ['new.example'], set: { delay_mean_ms: 300 } });
  const { negotiationId } = await told(proposer, 'change-proposed');
  t.is((await foundationOf(client, mixnet.mixnetId)).log.size, 1);
  t.is(proposer.operator.read().change?.negotiation_id, negotiationId, 'for the node to name');
  t.deepEqual(await reviewer.review(negotiationId), {
    outcome: 'applied',
    mixnetId: mixnet.mixnetId,
  });
  const shown = await told(reviewer, 'change-proposed');
  t.is(shown.proposer, proposer.peerId);
  t.deepEqual(
    shown.lines.map(({ text }) => text),
    [`new.example is served by ${proposer.peerId.slice(0, 8)}…`, 'delay_mean_ms: from 200 to 300'],
  );
  t.deepEqual(await proposing, { outcome: 'applied', mixnetId: mixnet.mixnetId });
  const { head, log } = await foundationOf(client, mixnet.mixnetId);
  t.is(log.size, 2);
  t.is(head.traffic.delay_mean_ms, 300);
  t.deepEqual(head.nodes.find((node) => node.peer_id === proposer.peerId)?.domains, [
    'alpha.example',
    'new.example',
  ]);
  t.is(proposer.operator.read().change, undefined);
  t.is((await away.review(negotiationId)).outcome, 'applied', 'who comes late finds it done');
});

test('who was invited joins a live mixnet as an owner, with the node that he wished for', async (t) => {
  const { url, owners, parties, mixnet } = await founded(t);
  const [proposer, reviewer] = owners;
  const [{ client }] = parties as [TestParty];
  const guest = changer(createParty(t, url, MIX));
  const proposing = proposer.propose({ invite: 1 });
  const [invitation] = (await told(proposer, 'change-invitations')).invitations as [string];
  const joining = guest.join(invitation, { roles: ['gateway'], domains: ['guest.example'] });
  const { negotiationId } = await told(proposer, 'change-proposed');
  const signed = await reviewer.review(negotiationId);
  t.true(signed.outcome === 'signed' || signed.outcome === 'applied');
  const joined = await joining;
  await proposing;
  t.is(joined.mixnetUrl, mixnet.mixnetUrl, 'the URL stays');
  t.is(joined.mixnetId, mixnet.mixnetId);
  const { present, head } = await foundationOf(client, mixnet.mixnetId);
  t.true(present.owners.includes(guest.peerId));
  t.deepEqual(present.rule, { m: 3, n: 4 });
  t.deepEqual(head.nodes.find((node) => node.peer_id === guest.peerId)?.domains, ['guest.example']);
  const shown = await client.getPeer(mixnet.mixnetId);
  t.is(shown?.owners.length, 4);

  const next = guest.propose({ weight: 7 });
  const { negotiationId: second } = await told(guest, 'change-proposed', guest.events.length);
  await owners[1].review(second);
  await owners[2].review(second);
  await next;
  t.is((await foundationOf(client, mixnet.mixnetId)).log.size, 3, 'he changes it like any other');
});

test('an owner and his node are removed by the others', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [proposer, reviewer, away] = owners;
  const proposing = proposer.propose({ remove_owners: [away.peerId] });
  const { negotiationId } = await told(proposer, 'change-proposed');
  await reviewer.review(negotiationId);
  await proposing;
  const { present, head } = await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId);
  t.deepEqual(present.owners, [proposer.peerId, reviewer.peerId].toSorted());
  t.deepEqual(present.rule, { m: 2, n: 2 });
  t.is(head.nodes.length, 2);
  await t.throwsAsync(away.propose({ weight: 2 }), { message: /do not own/ });
});

test('of two changes at once the second is proposed anew on top of the first', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [one, two, three] = owners;
  const [first, second] = [
    one.propose({ weight: 4 }),
    two.propose({ set: { delay_mean_ms: 444 } }),
  ];
  const { negotiationId } = await told(one, 'change-proposed');
  const { negotiationId: overtaken } = await told(two, 'change-proposed');
  await three.review(negotiationId);
  await first;
  t.is((await told(two, 'change-rebased')).negotiationId, overtaken);
  await t.throwsAsync(three.review(overtaken), { message: /came first|taken it back/ });
  const before = two.events.findIndex(({ event }) => event === 'change-rebased');
  await three.review((await told(two, 'change-proposed', before)).negotiationId);
  await second;
  const { head, log } = await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId);
  t.is(log.size, 3);
  t.is(head.traffic.delay_mean_ms, 444);
  t.is(head.nodes.find((node) => node.peer_id === one.peerId)?.weight, 4);
});

test('two who want the same get it once', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [one, two, three] = owners;
  const wish = { set: { delay_mean_ms: 555 } };
  const [first, second] = [one.propose(wish), two.propose(wish)];
  await three.review((await told(one, 'change-proposed')).negotiationId);
  const ended = await Promise.all([first, second]);
  t.deepEqual(ended.map(({ outcome }) => outcome).toSorted(), ['applied', 'nothing-to-do']);
  t.is((await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId)).log.size, 2);
});

test('other values that an owner proposes are adopted or kept', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [one, two] = owners;
  const { client } = parties[0] as TestParty;
  const seen: unknown[] = [];
  const decisions = (answer: 'adopt' | 'keep') => ({
    ...one.options.decisions,
    counterProposal: (question: { differences: unknown }) => {
      seen.push(question.differences);
      return Promise.resolve({ answer });
    },
  });
  const counter = {
    ...two.options.decisions,
    change: () =>
      Promise.resolve({
        answer: 'counter' as const,
        changes: { traffic: { delay_mean_ms: 250 }, rule: 'all' as const },
      }),
  };
  const wish = { weight: 2, set: { delay_mean_ms: 900 } };
  const adopting = one.propose(wish, { decisions: decisions('adopt') });
  const { negotiationId } = await told(one, 'change-proposed');
  const events = one.events.length;
  await t.throwsAsync(two.review(negotiationId, { decisions: counter }), {
    message: /other values/,
  });
  await two.review((await told(one, 'change-proposed', events)).negotiationId);
  await adopting;
  t.deepEqual(seen, [
    [
      { name: 'rule for changes', ours: '2 of 3', theirs: 'all 3' },
      { name: 'delay_mean_ms', ours: 900, theirs: 250 },
    ],
  ]);
  const { head, present } = await foundationOf(client, mixnet.mixnetId);
  t.is(head.traffic.delay_mean_ms, 250);
  t.is(head.nodes.find((node) => node.peer_id === one.peerId)?.weight, 2);
  t.is(present.rule, 'all');

  const keeping = one.propose({ set: { delay_mean_ms: 100 } }, { decisions: decisions('keep') });
  const proposed = await told(one, 'change-proposed', one.events.length);
  await t.throwsAsync(two.review(proposed.negotiationId, { decisions: counter }));
  await t.throwsAsync(keeping, { message: /too many are against it/ });
  t.is((await foundationOf(client, mixnet.mixnetId)).log.size, 2);
});

test('who refuses is named with his reason, and ends it only where the rule cannot be met', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [one, two, three] = owners;
  const proposing = one.propose({ weight: 3 });
  const { negotiationId } = await told(one, 'change-proposed');
  await refuseChange(two.options, 'not this year', negotiationId);
  const heard = await told(one, 'change-refused');
  t.deepEqual([heard.by, heard.reason], [two.peerId, 'not this year']);
  await three.review(negotiationId);
  await proposing;
  t.is((await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId)).log.size, 2);

  const again = one.propose({ weight: 5 });
  const { negotiationId: lost } = await told(one, 'change-proposed', one.events.length);
  await refuseChange(two.options, 'no', lost);
  await refuseChange(three.options, 'never', lost);
  const error = await t.throwsAsync<PanoramixError>(again);
  t.is(error.code, 'agreement-refused');
  t.regex(error.message, /: no; .*: never/);
  t.is(one.operator.read().change, undefined, 'it is no more named to anybody');
});

test('a change that is taken back is not signed any more', async (t) => {
  const { owners } = await founded(t);
  const [one, two] = owners;
  const proposing = one.propose({ weight: 3 }, { signal: AbortSignal.timeout(2_000) });
  const { negotiationId } = await told(one, 'change-proposed');
  await told(one, 'change-signed');
  await t.throwsAsync(proposing, undefined, 'the wizard was left');
  t.true(await withdrawChange(one.options, 'a slip'));
  await t.throwsAsync(two.review(negotiationId), { message: /a slip/ });
  await t.throwsAsync(two.review(), { message: /heard of no change/ });
});

test('what a node has heard of is reviewed without its id, as long as no other change came first', async (t) => {
  const { owners, parties, mixnet } = await founded(t);
  const [one, two, three] = owners;
  const proposing = one.propose({ weight: 6 });
  const { negotiationId } = await told(one, 'change-proposed');
  const first = await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId);
  const pending = {
    negotiation_id: negotiationId,
    proposer: one.peerId,
    log_head: [...first.log.keys()].at(-1) as string,
  };
  two.state.update({ pending_changes: [pending] });
  three.state.update({ pending_changes: [pending, { ...pending, negotiation_id: 'another' }] });
  await t.throwsAsync(three.review(), { message: /several changes/ });
  t.is((await two.review()).outcome, 'applied');
  await proposing;
  await t.throwsAsync(two.review(), { message: /heard of no change/ });

  const again = one.propose({ weight: 7 });
  const { negotiationId: next } = await told(one, 'change-proposed', one.events.length);
  const present = await foundationOf((parties[0] as TestParty).client, mixnet.mixnetId);
  const head = [...present.log.keys()].at(-1) as string;
  // A node that has not looked since names what is applied already.
  const named = [negotiationId, next].map((id) => ({
    ...pending,
    negotiation_id: id,
    log_head: head,
  }));
  three.state.update({ pending_changes: named });
  t.is((await three.review()).outcome, 'applied');
  await again;
});

test('a domain whose DNS does not name the node is signed by nobody, unless he vouches for it', async (t) => {
  const { owners } = await founded(t);
  const [one, two, three] = owners;
  const proposing = one.propose({ add_domains: ['foreign.example'] });
  const { negotiationId } = await told(one, 'change-proposed');
  const error = await t.throwsAsync<PanoramixError>(two.review(negotiationId, proving(false)));
  t.is(error.code, 'domain-unproved');
  t.regex(error.message, /_panoramix\.foreign\.example .*other-peer \(found: f00d\)/);
  t.is((await told(one, 'change-refused')).by, two.peerId);
  const vouching = { ...three.options.decisions };
  vouching.change = () =>
    Promise.resolve({ answer: 'accept', confirmedDomains: ['foreign.example'] });
  await three.review(negotiationId, { ...proving(false), decisions: vouching });
  await proposing;
  await t.throwsAsync(
    one.propose(
      { node: two.peerId, roles: ['gateway'], add_domains: ['x.example'] },
      proving(false),
    ),
    { code: 'domain-unproved' },
  );
});

test('an invitation that another has used, or that was never made, leads nowhere', async (t) => {
  const { url, owners } = await founded(t);
  const [one] = owners;
  const [first, second] = [changer(createParty(t, url, MIX)), changer(createParty(t, url, MIX))];
  const proposing = one.propose({ invite: 1 }, { signal: AbortSignal.timeout(4_000) });
  const [invitation] = (await told(one, 'change-invitations')).invitations as [string];
  const joining = first.join(invitation, MIX, { signal: AbortSignal.timeout(2_500) });
  await told(one, 'change-proposed');
  await t.throwsAsync(second.join(invitation, MIX, { signal: AbortSignal.timeout(1_000) }));
  t.is(second.state.read()?.mixnet_id, undefined);
  t.is(one.operator.read().change?.guests?.[0]?.peer_id, first.peerId);
  await t.throwsAsync(second.join('nonsense', MIX), { code: 'invitation-invalid' });
  await t.throwsAsync(joining);
  await t.throwsAsync(proposing);
});

function proving(confirmed: boolean): Partial<Changer['options']> {
  return {
    proveDomains: (claims) =>
      Promise.resolve(
        claims.map((claim) => ({
          ...claim,
          outcome: 'other-peer' as const,
          found: ['f00d'],
          confirmed,
          own: false,
        })),
      ),
  };
}
