import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { contributionText, parseContributionText } from '../../src/api/contribution.ts';
import type { ControllerClient } from '../../src/client/controller.ts';
import { native } from '../../src/crypto/native.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import type { Decisions, MissingQuestion } from '../../src/wizard/decisions.ts';
import type { FoundOptions, JoinOptions, NodeWish } from '../../src/wizard/options.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { until } from '../redis/private-redis.ts';
import { startLoopbackDns } from './loopback-dns.ts';
import { createParty, invitationsOf, type TestParty } from './parties.ts';
import { aborting, scripted } from './scripted.ts';

const store = sharedStore(test);
const MIX: NodeWish = { roles: ['mix'], domains: [] };
const TRAFFIC = {
  delay_mean_ms: 1,
  ticks_per_second: 1,
  loops_per_second: 0.5,
  mixes_per_route: 1,
  expiry_ms: 60_000,
};
const PATIENCE_MS = 400;
/** A coordinator who goes on without the second guest alone, once the first one is there. */
function goingOn(isSecond: (question: MissingQuestion) => boolean): Partial<Decisions> {
  return {
    missing: (question) => {
      const isAlone = question.present.length === 1 && isSecond(question);
      return Promise.resolve({ answer: isAlone ? 'go-on-without' : 'wait' });
    },
  };
}
const NEVER_CAME = goingOn(({ invitations }) => invitations.length === 1);
const DOES_NOT_SIGN = goingOn(({ silent }) => silent.length === 1);
/** An operator who has gone home. */
const NEVER = (): Promise<never> => new Promise(() => undefined);

interface Stage {
  readonly parties: readonly [TestParty, TestParty, TestParty];
  readonly invitations: readonly [string, string];
  readonly negotiationId: string;
  readonly founding: ReturnType<TestParty['found']>;
}

/** A coordinator who has invited two, and the two who have not come yet. */
async function invite(
  t: ExecutionContext,
  script: Partial<Decisions> = {},
  more: Partial<FoundOptions> = {},
  nodes: readonly NodeWish[] = [MIX, MIX, MIX],
): Promise<Stage> {
  const controller = await privateController(t, store());
  const parties = nodes.map((node) => createParty(t, controller.url, node)) as unknown as [
    TestParty,
    TestParty,
    TestParty,
  ];
  const { decisions } = scripted(script);
  const options = { invitations: 2, traffic: TRAFFIC, decisions, patienceMs: PATIENCE_MS };
  const founding = parties[0].found({ ...options, ...more });
  founding.catch(() => undefined);
  const invitations = (await invitationsOf(parties[0])) as unknown as [string, string];
  return { parties, invitations, negotiationId: invitations[0].split('|')[0] as string, founding };
}

function deciding(script: Partial<Decisions>): Pick<JoinOptions, 'decisions'> {
  return { decisions: scripted(script).decisions };
}

async function foundation(party: TestParty, mixnetId: string) {
  const read = readFoundation(await party.client.getNodes(mixnetId), mixnetId, native);
  if (!read.ok) throw new Error(read.reason);
  const [entry] = read.foundation.log.values();
  return { terms: read.foundation.terms, nodes: entry?.nodes.map((node) => node.peer_id) };
}

function ids(...parties: readonly TestParty[]): string[] {
  return parties.map((party) => party.identity.peerId).toSorted();
}

test('a guest who never comes is gone on without, by a rule of those who are there', async (t) => {
  const { parties, invitations, founding } = await invite(t, NEVER_CAME);
  const [mixnet] = await Promise.all([founding, parties[1].join(invitations[0])]);
  const { terms } = await foundation(parties[0], mixnet.mixnetId);
  t.deepEqual(terms.owners, ids(parties[0], parties[1]));
  t.deepEqual(terms.rule, { m: 2, n: 2 });
  await t.throwsAsync(parties[2].join(invitations[1]), { code: 'invitation-used' });
});

test('a guest who comes when his invitation is given up, and the rest still waits, is told so', async (t) => {
  const { parties, invitations, founding } = await invite(t, { ...NEVER_CAME, owners: NEVER });
  const joining = parties[1].join(invitations[0]);
  for (const run of [founding, joining]) run.catch(() => undefined);
  await until(() => parties[0].events.some(({ event }) => event === 'without'));
  await until(() => parties[1].events.filter(({ event }) => event === 'proposed').length > 1);
  await t.throwsAsync(parties[2].join(invitations[1]), { code: 'invitation-withdrawn' });
});

test('a guest who has joined and does not sign is gone on without, and two texts are never signed in one place', async (t) => {
  const { parties, invitations, negotiationId, founding } = await invite(t, DOES_NOT_SIGN);
  const vanishing = parties[2].join(invitations[1], deciding({ owners: NEVER }));
  const [mixnet, other] = await Promise.all([
    founding,
    parties[1].join(invitations[0]),
    t.throwsAsync(vanishing, { code: 'invitation-withdrawn' }),
  ]);
  t.deepEqual(other, mixnet);
  const { terms } = await foundation(parties[0], mixnet.mixnetId);
  t.deepEqual(terms.owners, ids(parties[0], parties[1]));
  const texts = (await parties[2].client.listContributions(negotiationId)).filter(
    ({ text }) => parseContributionText(text)?.meta.accept,
  );
  t.is(new Set(texts.map(({ text }) => text)).size, 1);
  // Whoever has signed here before is no owner of anything by it: the vanished one’s signature is missing.
  t.false(texts.some(({ signer_key_id: signer }) => signer === parties[2].identity.peerId));
});

test('an owner who does not name his node is gone on without as far as the rule goes, and ends without a node', async (t) => {
  const second: { peerId?: string } = {};
  const script = goingOn(
    ({ about, silent }) => about === 'nodes' && silent[0]?.peerId === second.peerId,
  );
  const { parties, invitations, founding } = await invite(t, script);
  second.peerId = parties[2].identity.peerId;
  const [mixnet, , leftOut] = await Promise.all([
    founding,
    parties[1].join(invitations[0]),
    parties[2].join(invitations[1], deciding({ nodes: NEVER })),
  ]);
  const { terms, nodes } = await foundation(parties[0], mixnet.mixnetId);
  t.is(terms.owners.length, 3);
  t.deepEqual(nodes, ids(parties[0], parties[1]));
  t.deepEqual(leftOut, mixnet);
  t.true(parties[2].events.some(({ event }) => event === 'left-out'));
});

test('a coordinator who has waited enough may stop all, and is asked again where he waits', async (t) => {
  let waited = 0;
  const { parties, invitations, founding } = await invite(t, {
    missing: () =>
      waited++ < 2 ? Promise.resolve({ answer: 'wait' }) : aborting('nobody comes')(),
  });
  await Promise.all([
    t.throwsAsync(founding, { code: 'agreement-aborted', message: /nobody comes/ }),
    t.throwsAsync(parties[1].join(invitations[0]), { code: 'agreement-aborted' }),
  ]);
  t.is(waited, 3);
});

test('who signs two different texts is named by all, and everybody stops', async (t) => {
  const { parties, invitations, negotiationId, founding } = await invite(t);
  const hostile = parties[2];
  const signTwo = async (): Promise<never> => {
    const said = await hostile.client.listContributions(negotiationId);
    const composed = said.find(({ text }) => parseContributionText(text)?.meta.accept);
    const body = composed && parseContributionText(composed.text);
    if (!body) throw new Error('nothing is composed yet');
    for (const round of [77, 78]) {
      const text = contributionText({ ...body, meta: { ...body.meta, round } });
      await hostile.client.contribute(negotiationId, text);
    }
    return await NEVER();
  };
  const cheating = hostile.join(invitations[1], deciding({ owners: signTwo }));
  cheating.catch(() => undefined);
  const errors = await Promise.all([
    t.throwsAsync(founding, { code: 'signer-equivocates' }),
    t.throwsAsync(parties[1].join(invitations[0])),
  ]);
  for (const error of errors) {
    t.true(error?.message.includes(hostile.identity.peerId.slice(0, 8)), error?.message);
    t.regex(error?.message ?? '', /signer-equivocates/);
  }
});

test('a controller that shows a token’s proof again under its own key joins nothing', async (t) => {
  const { parties, invitations, negotiationId, founding } = await invite(t);
  const joining = parties[1].join(invitations[0]);
  const eve = parties[2];
  await eve.client.registerPeer('eve');
  let seen: string | undefined;
  await until(async () => {
    const said = await eve.client.listContributions(negotiationId);
    seen = said
      .map(({ text }) => text)
      .find((text) => parseContributionText(text)?.meta.invitation);
    return seen !== undefined;
  });
  await eve.client.contribute(negotiationId, seen as string);
  await sleep(400);
  const counts = parties[0].events.flatMap((event) =>
    event.event === 'joined' ? event.joined : [],
  );
  t.is(Math.max(...counts), 1);
  const late = createParty(t, eve.client.url, MIX);
  const [mixnet] = await Promise.all([founding, joining, late.join(invitations[1])]);
  const { terms } = await foundation(late, mixnet.mixnetId);
  t.deepEqual(terms.owners, ids(parties[0], parties[1], late));
});

/** A controller that hides from one client what `hides` says, until it is lifted. */
function veiled(client: ControllerClient, hides: (text: string) => boolean) {
  let isVeiled = true;
  const veil = new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'listContributions') return value.bind(target) as unknown;
      return async (id: string): Promise<unknown> => {
        const said = await target.listContributions(id);
        return isVeiled ? said.filter(({ text }) => !hides(text)) : said;
      };
    },
  });
  return {
    client: veil,
    lift: (): void => {
      isVeiled = false;
    },
  };
}

test('a controller that shows people different contributions makes nothing agreed, and delays at most', async (t) => {
  const { parties, invitations, founding } = await invite(
    t,
    { counterProposal: () => Promise.resolve({ answer: 'adopt' }) },
    { patienceMs: 60_000 },
  );
  const counter = { answer: 'counter', changes: { mixnetName: 'second' } } as const;
  // From the second guest everything is hidden that speaks of the adopted terms.
  const veil = veiled(parties[2].client, (text) => text.includes('second'));
  const signed: string[] = [];
  const runs = [
    founding,
    parties[1].join(invitations[0], deciding({ proposedTerms: () => Promise.resolve(counter) })),
    parties[2].join(invitations[1], {
      client: veil.client,
      ...deciding({
        proposedTerms: ({ terms }) => {
          signed.push(terms.mixnetName);
          return Promise.resolve({ answer: 'accept' });
        },
      }),
    }),
  ];
  await sleep(1_500);
  const unsettled = Symbol('unsettled');
  for (const run of runs)
    t.is<unknown, unknown>(await Promise.race([run, Promise.resolve(unsettled)]), unsettled);
  t.deepEqual(signed, ['our_mix-net']);
  veil.lift();
  const [mixnet] = await Promise.all(runs);
  t.deepEqual(signed, ['our_mix-net', 'second']);
  t.is((await foundation(parties[0], mixnet?.mixnetId ?? '')).terms.name, 'second');
});

test('a domain whose record names another peer is signed by nobody, and everybody reads what was found', async (t) => {
  const nodes: NodeWish[] = [MIX, MIX, { roles: ['gateway'], domains: ['bank.example'] }];
  const dns = await startLoopbackDns(t, { txt: { '_panoramix.bank.example': ['d'.repeat(64)] } });
  const domains = { servers: [dns] };
  const { parties, invitations, founding } = await invite(t, {}, { domains }, nodes);
  const errors = await Promise.all([
    t.throwsAsync(founding),
    t.throwsAsync(parties[1].join(invitations[0], { domains })),
    t.throwsAsync(parties[2].join(invitations[1], { domains })),
  ]);
  t.regex(errors[0]?.message ?? '', /^domain-unproved: /);
  for (const error of errors) {
    t.regex(
      error?.message ?? '',
      /_panoramix\.bank\.example TXT does not name .{8}… but dddddddd…/,
    );
  }
  t.true(parties[2].events.every(({ event }) => event !== 'nodes-agreed'));
});

test('a domain is signed whose record names its gateway, or for which every other operator vouches when asked', async (t) => {
  const nodes: NodeWish[] = [MIX, MIX, { roles: ['gateway'], domains: ['a.example', 'b.example'] }];
  const shown: unknown[] = [];
  const vouching: Partial<Decisions> = {
    nodes: (question) => {
      shown.push(question.domains.map(({ domain, outcome }) => [domain, outcome]));
      return Promise.resolve({ answer: 'accept', confirmedDomains: ['b.example'] });
    },
  };
  // The gateway's key is known only now, so its owner's zone comes last: until then nobody looks.
  const controller = await privateController(t, store());
  const parties = nodes.map((node) => createParty(t, controller.url, node)) as unknown as [
    TestParty,
    TestParty,
    TestParty,
  ];
  const record = { '_panoramix.a.example': [parties[2].identity.peerId] };
  const domains = { servers: [await startLoopbackDns(t, { txt: record })] };
  const founding = parties[0].found({
    invitations: 2,
    traffic: TRAFFIC,
    domains,
    ...deciding(vouching),
  });
  const invitations = await invitationsOf(parties[0]);
  const [mixnet] = await Promise.all([
    founding,
    parties[1].join(invitations[0] as string, { domains, ...deciding(vouching) }),
    parties[2].join(invitations[1] as string, { domains }),
  ]);
  const { nodes: named } = await foundation(parties[0], mixnet.mixnetId);
  t.is(named?.length, 3);
  const found = [
    ['a.example', 'proved'],
    ['b.example', 'no-record'],
  ];
  t.deepEqual(shown, [found, found]);
  const warned = parties[2].events.find((event) => event.event === 'own-domains');
  t.deepEqual(warned?.event === 'own-domains' ? warned.domains.map(({ domain }) => domain) : [], [
    'b.example',
  ]);
});
