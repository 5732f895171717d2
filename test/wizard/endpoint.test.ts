import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import type { PacketParams } from '../../src/mixnet/directory-texts.ts';
import { foundBatch, joinAny, type BatchMixnetFound } from '../../src/wizard/batch.ts';
import type { Decisions } from '../../src/wizard/decisions.ts';
import type { WizardEvent } from '../../src/wizard/options.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';
import { createParty, type TestParty } from './parties.ts';
import { aborting, scripted, type Asked } from './scripted.ts';

const store = sharedStore(test);
/** D4.2's (§5.1). */
const PARAMS: PacketParams = { GROUP: 'P-224', HEADER_LEN: 192, BODY_LEN: 1024 };
const GATEWAY = {
  endpointId: 'gateway_1',
  description: 'the mix-net gateway',
  sizeMin: 3,
  sizeMax: 10,
  waitMs: null,
  public: true,
} as const;
const STOPS = { name: 'stop', sizeMin: 3, sizeMax: 10, public: true };
const SIZES = { answer: 'counter', changes: { sizeMin: 5, sizeMax: 20 } } as const;
const ADOPT: Partial<Decisions> = { counterProposal: () => Promise.resolve({ answer: 'adopt' }) };

interface Scene {
  readonly parties: readonly TestParty[];
  readonly asked: readonly (readonly Asked[])[];
  readonly events: readonly (readonly WizardEvent[])[];
  readonly ends: readonly PromiseSettledResult<unknown>[];
}

/** Opens an endpoint of three owners; the first coordinates. */
async function play(
  t: ExecutionContext,
  scripts: readonly Partial<Decisions>[],
  more: { readonly params?: PacketParams; readonly stops?: typeof STOPS } = {},
): Promise<Scene> {
  const controller = await privateController(t, store());
  const parties = scripts.map(() =>
    createParty(t, controller.url, { roles: ['mix'], domains: [] }),
  );
  const operators = scripts.map((script) => scripted(script));
  const events = scripts.map((): WizardEvent[] => []);
  const told = Promise.withResolvers<readonly string[]>();
  const optionsOf = (index: number) => {
    const { client, identity, dataDir } = parties[index] as TestParty;
    return {
      client,
      identity,
      primitives: native,
      statePath: `${dataDir}/mixnet.json`,
      peerName: 'owner',
      pollMs: 20,
      dataDir,
      log: silentLog,
      decisions: (operators[index] as (typeof operators)[0]).decisions,
      progress: (event: WizardEvent): void => {
        events[index]?.push(event);
        if (event.event === 'invitations') told.resolve(event.invitations);
      },
    };
  };
  const founding = foundBatch({
    ...optionsOf(0),
    mixnetName: 'our_mix-net',
    params: more.params ?? PARAMS,
    invitations: scripts.length - 1,
    ...(more.stops ? { stops: more.stops } : { gateway: GATEWAY }),
  });
  const invitations = await Promise.race([told.promise, founding.then(() => [])]);
  const joining = invitations.map((invitation, index) =>
    joinAny({ ...optionsOf(index + 1), invitation }),
  );
  const ends = await Promise.allSettled([founding, ...joining]);
  return { parties, ends, events, asked: operators.map(({ asked }) => asked) };
}

async function openedBy({ parties, ends }: Scene) {
  const [first] = ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value as BatchMixnetFound;
  });
  const endpoint = await (parties[0] as TestParty).client.getEndpoint(first?.endpointId ?? '');
  if (!endpoint) throw new Error('no endpoint');
  return endpoint;
}

function questionOf(scene: Scene, party: number, kind: Asked['kind']): Asked['question'] {
  const asked = scene.asked[party]?.find((one) => one.kind === kind);
  if (!asked) throw new Error(`nobody was asked about ${kind}`);
  return asked.question;
}

test('the owners of a batch mixnet are asked about its gateway once, and see what D4.2 asks for', async (t) => {
  const scene = await play(t, [{}, {}, {}]);
  const endpoint = await openedBy(scene);
  t.like(endpoint, { size_min: 3, size_max: 10 });
  t.deepEqual(
    scene.asked.map((asked) => asked.filter(({ kind }) => kind === 'endpoint').length),
    [0, 1, 1],
  );
  const question = questionOf(scene, 1, 'endpoint');
  t.like(question['terms'], {
    name: 'gateway',
    type: 'SPHINXMIX_GATEWAY',
    sizeMin: 3,
    sizeMax: 10,
    description: 'the mix-net gateway',
  });
});

test('other sizes that the coordinator adopts are those of the gateway, for all', async (t) => {
  let round = 0;
  const scene = await play(t, [
    ADOPT,
    { endpoint: () => Promise.resolve(round++ === 0 ? SIZES : { answer: 'accept' }) },
    {},
  ]);
  t.like(await openedBy(scene), { size_min: 5, size_max: 20 });
  const question = questionOf(scene, 0, 'counterProposal');
  t.deepEqual(question['differences'], [
    { name: 'size_min', ours: 3, theirs: 5 },
    { name: 'size_max', ours: 10, theirs: 20 },
  ]);
});

test('other sizes that the coordinator keeps out leave the gateway as it was proposed', async (t) => {
  let round = 0;
  const endpoint = (): ReturnType<Decisions['endpoint']> =>
    Promise.resolve(round++ === 0 ? SIZES : { answer: 'accept' });
  t.like(await openedBy(await play(t, [{}, { endpoint }, {}])), { size_min: 3, size_max: 10 });
  t.is(round, 2);
});

test('sizes that no gateway can have are not sent, and asked again', async (t) => {
  let round = 0;
  const wrong = { answer: 'counter', changes: { sizeMin: 11 } } as const;
  const endpoint = (): ReturnType<Decisions['endpoint']> =>
    Promise.resolve(round++ === 0 ? wrong : { answer: 'accept' });
  const scene = await play(t, [{ counterProposal: aborting('unasked') }, { endpoint }, {}]);
  t.like(await openedBy(scene), { size_min: 3 });
  const asked = scene.asked[1]?.filter(({ kind }) => kind === 'endpoint') ?? [];
  t.is(asked[1]?.question['unusable'], 'size_min is over size_max');
});

test('an owner who does not want the endpoint stops it, and all read why', async (t) => {
  const { ends } = await play(t, [{}, { endpoint: aborting('too small a crowd') }, {}]);
  for (const end of ends) {
    const error = (end as PromiseRejectedResult).reason as { code: string; message: string };
    t.is(error.code, 'agreement-aborted');
    t.regex(error.message, /too small a crowd/);
  }
});

test('the sizes of stops are agreed on in rounds, too', async (t) => {
  let round = 0;
  const endpoint = (): ReturnType<Decisions['endpoint']> =>
    Promise.resolve(round++ === 0 ? SIZES : { answer: 'accept' });
  const scene = await play(t, [ADOPT, { endpoint }, {}], { stops: STOPS });
  t.like(await openedBy(scene), { size_min: 5, size_max: 20 });
});

test('packets too small for mail found a batch mixnet', async (t) => {
  const params: PacketParams = { GROUP: 'X25519', HEADER_LEN: 192, BODY_LEN: 192 };
  t.like(await openedBy(await play(t, [{}, {}], { params })), { size_min: 3 });
});

test('an operator is told of each step in the numbers and words of D4.2', async (t) => {
  const { events } = await play(t, [{}, {}]);
  const told = (index: number): string[] => [...new Set(events[index]?.map(({ event }) => event))];
  const steps = [
    'invitations',
    'sent',
    'invitations-pending',
    'all-agreed',
    'consensus',
    'founded',
  ];
  t.deepEqual(
    steps.filter((step) => !told(0).includes(step)),
    [],
  );
  t.true(told(1).includes('proposed') && told(1).includes('gateway-opened'));
  const sent = events[0]?.flatMap((event) => (event.event === 'sent' ? [event] : [])) ?? [];
  t.deepEqual(
    sent.map(({ stage, what }) => `${stage} ${what}`),
    ['founding proposal', 'founding accept', 'endpoint proposal', 'endpoint accept'],
  );
  t.true(sent.every(({ contribution }) => contribution > 0));
});
