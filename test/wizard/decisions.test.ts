import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fingerprintOf } from '../../src/client/fingerprint.ts';
import { native } from '../../src/crypto/native.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import type { Decisions } from '../../src/wizard/decisions.ts';
import type { FoundOptions, JoinOptions } from '../../src/wizard/options.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { createParty, invitationsOf, type TestParty } from './parties.ts';
import { aborting, scripted, slowly, type Asked } from './scripted.ts';

const store = sharedStore(test);
const MIX = { roles: ['mix'], domains: [] } as const;
const TRAFFIC = {
  delay_mean_ms: 1,
  ticks_per_second: 1,
  loops_per_second: 0.5,
  mixes_per_route: 1,
  expiry_ms: 60_000,
};

interface Scene {
  readonly parties: readonly TestParty[];
  readonly asked: readonly (readonly Asked[])[];
  /** What became of each. */
  readonly ends: readonly PromiseSettledResult<{ readonly mixnetId: string }>[];
}

/** Plays a founding by operators who decide as their scripts say; the first coordinates. */
async function play(
  t: ExecutionContext,
  scripts: readonly Partial<Decisions>[],
  more: { readonly found?: Partial<FoundOptions>; readonly join?: Partial<JoinOptions> } = {},
): Promise<Scene> {
  const controller = await privateController(t, store());
  const parties = scripts.map(() => createParty(t, controller.url, MIX));
  const operators = scripts.map((script) => scripted(script));
  const [coordinator, ...others] = parties as [TestParty, ...TestParty[]];
  const founding = coordinator.found({
    invitations: others.length,
    traffic: TRAFFIC,
    decisions: (operators[0] as (typeof operators)[0]).decisions,
    ...more.found,
  });
  const invitations = await invitationsOf(coordinator);
  const joining = others.map((party, index) =>
    party.join(invitations[index] as string, {
      decisions: (operators[index + 1] as (typeof operators)[0]).decisions,
      ...more.join,
    }),
  );
  const ends = await Promise.allSettled([founding, ...joining]);
  return { parties, ends, asked: operators.map(({ asked }) => asked) };
}

/** The foundation that all have signed, checked as any client would. */
async function foundationOf(t: ExecutionContext, { parties, ends }: Scene) {
  const ids = new Set(
    ends.map((end) => (end.status === 'fulfilled' ? end.value.mixnetId : end.reason)),
  );
  t.is(ids.size, 1, [...ids].map(String).join('\n'));
  const [mixnetId] = [...ids] as [string];
  const nodes = await (parties[0] as TestParty).client.getNodes(mixnetId);
  const read = readFoundation(nodes, mixnetId, native);
  if (!read.ok) throw new Error(read.reason);
  const [entry] = read.foundation.log.values();
  if (!entry) throw new Error('no entry');
  return { terms: read.foundation.terms, entry };
}

function failed(t: ExecutionContext, scene: Scene, code: string, says: RegExp): void {
  for (const [index, end] of scene.ends.entries()) {
    if (end.status === 'fulfilled') return t.fail(`party ${index} founded something`);
    const error = end.reason as { code?: string; message: string };
    t.is(error.code, code, `party ${index}: ${error.message}`);
    t.regex(error.message, says);
  }
}

function kinds(asked: readonly Asked[] | undefined): string[] {
  return (asked ?? []).map(({ kind }) => kind);
}

const BODY_4096 = { answer: 'counter', changes: { params: { BODY_LEN: 4096 } } } as const;

test('each operator is asked once about terms, owners and nodes, and sees who is meant', async (t) => {
  const scene = await play(t, [{}, {}, {}]);
  await foundationOf(t, scene);
  t.deepEqual(kinds(scene.asked[0]), ['owners', 'nodes']);
  t.deepEqual(kinds(scene.asked[1]), ['proposedTerms', 'owners', 'nodes']);
  const ids = scene.parties.map((party) => party.identity.peerId);
  const owners = scene.asked[2]?.[1]?.question['owners'] as {
    peerId: string;
    fingerprint: string;
    isSelf: boolean;
    isCoordinator: boolean;
  }[];
  t.deepEqual(
    owners.map((owner) => owner.peerId),
    ids.toSorted(),
  );
  for (const owner of owners) {
    t.is(owner.fingerprint, fingerprintOf(native, owner.peerId));
    t.regex(owner.fingerprint, /^([0-9a-f]{4} ){7}[0-9a-f]{4}$/);
    t.is(owner.isSelf, owner.peerId === ids[2]);
    t.is(owner.isCoordinator, owner.peerId === ids[0]);
  }
});

test('a counter-proposal that the coordinator adopts is what all sign, after all were asked again', async (t) => {
  let round = 0;
  const scene = await play(t, [
    { counterProposal: () => Promise.resolve({ answer: 'adopt' }) },
    { proposedTerms: () => Promise.resolve(round++ === 0 ? BODY_4096 : { answer: 'accept' }) },
    {},
  ]);
  const { terms } = await foundationOf(t, scene);
  t.is(terms.params.BODY_LEN, 4096);
  const counter = scene.asked[0]?.find(({ kind }) => kind === 'counterProposal');
  t.deepEqual(counter?.question['differences'], [{ name: 'BODY_LEN', ours: 2048, theirs: 4096 }]);
  const from = counter?.question['from'] as { peerId: string };
  t.is(from.peerId, (scene.parties[1] as TestParty).identity.peerId);
  // Who proposed it is not asked what he thinks of it; the third is, and sees what has changed.
  t.is(kinds(scene.asked[1]).filter((kind) => kind === 'proposedTerms').length, 1);
  const last = scene.asked[2]?.findLast(({ kind }) => kind === 'proposedTerms');
  t.like(last?.question['terms'], { params: { BODY_LEN: 4096 } });
});

test('a counter-proposal that the coordinator keeps out is told to who made it, and he decides anew', async (t) => {
  const answers = [BODY_4096, { answer: 'accept' }] as const;
  let round = 0;
  const scene = await play(t, [
    { counterProposal: () => Promise.resolve({ answer: 'keep' }) },
    { proposedTerms: () => Promise.resolve(answers[round++] ?? aborting('again?')()) },
    {},
  ]);
  const { terms } = await foundationOf(t, scene);
  t.is(terms.params.BODY_LEN, 2048);
  const rounds = scene.asked[1]?.filter(({ kind }) => kind === 'proposedTerms') ?? [];
  t.deepEqual(
    rounds.map(({ question }) => question['notAdopted']),
    [false, true],
  );
  t.is(kinds(scene.asked[2]).filter((kind) => kind === 'proposedTerms').length, 1);
});

test('a counter-proposal that cannot work is not sent: its operator is asked again, and told why', async (t) => {
  const wrong = { answer: 'counter', changes: { params: { HEADER_LEN: 65 } } } as const;
  const rule = { answer: 'counter', changes: { rule: { m: 2, n: 7 } } } as const;
  const answers = [wrong, rule, { answer: 'accept' }] as const;
  let round = 0;
  const scene = await play(t, [
    { counterProposal: aborting('nobody should have asked') },
    { proposedTerms: () => Promise.resolve(answers[round++] ?? aborting('again?')()) },
  ]);
  await foundationOf(t, scene);
  const rounds = scene.asked[1]?.filter(({ kind }) => kind === 'proposedTerms') ?? [];
  const why = rounds.map(({ question }) => question['unusable']);
  t.is(why[0], null);
  t.regex(String(why[1]), /HEADER_LEN/);
  t.regex(String(why[2]), /rule is of 7 owners, not 2/);
});

test('two who propose different values are heard one after the other', async (t) => {
  const name = { answer: 'counter', changes: { mixnetName: 'theirs' } } as const;
  const accept = { answer: 'accept' } as const;
  const scene = await play(t, [
    { counterProposal: () => Promise.resolve({ answer: 'adopt' }) },
    {
      proposedTerms: ({ terms }) =>
        Promise.resolve(terms.params.BODY_LEN === 4096 ? accept : BODY_4096),
    },
    {
      proposedTerms: ({ terms }) => Promise.resolve(terms.mixnetName === 'theirs' ? accept : name),
    },
  ]);
  const { terms } = await foundationOf(t, scene);
  t.is(terms.params.BODY_LEN, 4096);
  t.is(terms.name, 'theirs');
});

test('traffic and lifetimes can be counter-proposed for the log, and nodes stay their owners’ affair', async (t) => {
  const changes = { traffic: { ticks_per_second: 3 }, keyLifetimeMs: 40 * 86_400_000 };
  let round = 0;
  const scene = await play(t, [
    { counterProposal: () => Promise.resolve({ answer: 'adopt' }) },
    {
      nodes: () =>
        Promise.resolve(round++ === 0 ? { answer: 'counter', changes } : { answer: 'accept' }),
    },
    {},
  ]);
  const { entry } = await foundationOf(t, scene);
  t.is(entry.traffic.ticks_per_second, 3);
  t.is(entry.key_lifetime_ms, 40 * 86_400_000);
  const counter = scene.asked[0]?.find(({ kind }) => kind === 'counterProposal');
  const differences = (counter as Asked).question['differences'] as { name: string }[];
  t.deepEqual(differences.map(({ name }) => name).toSorted(), [
    'key_lifetime_ms',
    'ticks_per_second',
  ]);
});

/** Where one may stop, by the question that is asked there. */
const STAGES: readonly [string, number, Partial<Decisions>][] = [
  ['a guest, of the terms', 1, { proposedTerms: aborting('no, thanks') }],
  ['a guest, of the owners', 1, { owners: aborting('no, thanks') }],
  ['a guest, of the nodes', 1, { nodes: aborting('no, thanks') }],
  ['the coordinator, of the owners', 0, { owners: aborting('no, thanks') }],
  ['the coordinator, of the nodes', 0, { nodes: aborting('no, thanks') }],
];

for (const [who, index, script] of STAGES) {
  test(`what ${who} does not want stops all, and everybody reads who and why`, async (t) => {
    const scripts = [{}, {}, {}].map((none, place) => (place === index ? script : none));
    const scene = await play(t, scripts);
    failed(t, scene, 'agreement-aborted', /stopped it: no, thanks/);
    const id = scene.parties[index]?.identity.peerId.slice(0, 8) ?? '';
    for (const [place, end] of scene.ends.entries()) {
      const { message } = (end as PromiseRejectedResult).reason as Error;
      t.true(message.includes(place === index ? 'we have' : id), message);
    }
  });
}

test('a coordinator who does not want a counter-proposal may stop all over it', async (t) => {
  const scene = await play(t, [
    { counterProposal: aborting('too long') },
    { proposedTerms: () => Promise.resolve(BODY_4096) },
    {},
  ]);
  failed(t, scene, 'agreement-aborted', /stopped it: too long/);
});

test('a stop stays one: who is started again is told of it, and signs nothing', async (t) => {
  const controller = await privateController(t, store());
  const [coordinator, guest] = [MIX, MIX].map((node) => createParty(t, controller.url, node)) as [
    TestParty,
    TestParty,
  ];
  const founding = coordinator.found({ invitations: 1, traffic: TRAFFIC });
  const [invitation] = (await invitationsOf(coordinator)) as [string];
  const { decisions } = scripted({ owners: aborting('not them') });
  await Promise.all([
    t.throwsAsync(founding, { code: 'agreement-aborted' }),
    t.throwsAsync(guest.join(invitation, { decisions }), { code: 'agreement-aborted' }),
  ]);
  const before = (await guest.client.listContributions(invitation.split('|')[0] as string)).length;
  await Promise.all([
    t.throwsAsync(coordinator.found({ invitations: 1, traffic: TRAFFIC }), {
      code: 'agreement-aborted',
      message: /not them/,
    }),
    t.throwsAsync(guest.join(invitation), { code: 'agreement-aborted', message: /not them/ }),
  ]);
  const after = await guest.client.listContributions(invitation.split('|')[0] as string);
  t.is(after.length, before);
});

test('what is asked goes on being asked while polling goes on, and is void when the proposal changes', async (t) => {
  const moot: boolean[] = [];
  let thinking = 0;
  const scene = await play(t, [
    { counterProposal: () => Promise.resolve({ answer: 'adopt' }) },
    { proposedTerms: async () => await slowly(BODY_4096, 300) },
    {
      // Thinks so long about the first proposal that the second one has come.
      proposedTerms: async (_question, signal) => {
        if (thinking++ > 0) return { answer: 'accept' };
        await once(signal, 'abort');
        moot.push(signal.aborted);
        await sleep(50);
        return { answer: 'abort', reason: 'an answer to what nobody asks any more' };
      },
      owners: async () => await slowly({ answer: 'accept' }, 500),
    },
  ]);
  const { terms } = await foundationOf(t, scene);
  t.is(terms.params.BODY_LEN, 4096);
  t.deepEqual(moot, [true]);
});

test('an operator’s terminal that fails ends his run and says nothing to the others', async (t) => {
  const controller = await privateController(t, store());
  const [coordinator, guest] = [MIX, MIX].map((node) => createParty(t, controller.url, node)) as [
    TestParty,
    TestParty,
  ];
  const founding = coordinator.found({ invitations: 1, traffic: TRAFFIC });
  const [invitation] = (await invitationsOf(coordinator)) as [string];
  const { decisions } = scripted({ owners: () => Promise.reject(new Error('terminal is gone')) });
  await t.throwsAsync(guest.join(invitation, { decisions }), { message: /terminal is gone/ });
  const mixnets = await Promise.all([founding, guest.join(invitation)]);
  t.deepEqual(mixnets[0], mixnets[1]);
});
