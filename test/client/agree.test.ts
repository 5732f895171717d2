import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { contributionText, type ContributionData } from '../../src/api/contribution.ts';
import { agree, retrying, type Agreement, type Draft, type Party } from '../../src/client/agree.ts';
import type { ControllerClient } from '../../src/client/controller.ts';
import { readMeeting, type Statement } from '../../src/client/meeting.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { privateController, sharedStore } from '../controller/private-controller.ts';

const store = sharedStore(test);
const INFO = { resource: 'test', operation: 'agree' };

type Client = ControllerClient & { readonly identity: Identity };

function partyOf(t: ExecutionContext, client: Client, over: Partial<Party> = {}): Party {
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  return {
    client,
    primitives: native,
    peerId: client.identity.peerId,
    now: Date.now,
    pollMs: 10,
    wait: (delayMs) => sleep(delayMs, undefined, { signal: ending.signal }),
    ...over,
  };
}

/** An agreement on `data`: opens with a wish, composes what it is given, signs what review allows. */
function agreementOn(negotiationId: string, over: Partial<Agreement> = {}): Agreement {
  return {
    negotiationId,
    opening: () => ({ data: { wish: 'any' }, info: INFO }),
    compose: () => null,
    review: () => null,
    signed: null,
    remember: () => undefined,
    onRefusal: 'wait',
    ...over,
  };
}

/** Composes once everybody has spoken. */
function composing(data: object, signers: readonly string[]): Pick<Agreement, 'compose'> {
  return {
    compose: ({ statements }) => {
      const spoke = new Set(statements.map((said) => said.signer));
      return signers.every((signer) => spoke.has(signer)) ? { data, info: INFO, signers } : null;
    },
  };
}

/** An accepted text, contributed without the engine. */
async function say(
  client: Client,
  negotiationId: string,
  draft: Draft,
  signers: readonly string[],
  expires = new Date(Date.now() + 60_000),
): Promise<void> {
  const meta = {
    accept: true,
    signers: signers.toSorted(),
    negotiation_id: negotiationId,
    round: 1,
    time: new Date().toISOString(),
    expires: expires.toISOString(),
  };
  await client.contribute(negotiationId, contributionText({ ...draft, meta }));
}

test('all parties end with the same consensus, signed by all', async (t) => {
  const controller = await privateController(t, store());
  const clients = await Promise.all([controller.peer(), controller.peer(), controller.peer()]);
  const signers = clients.map((client) => client.identity.peerId).toSorted();
  const id = await clients[0].createNegotiation();
  const signed: string[] = [];
  const agreed = await Promise.all(
    clients.map((client, index) =>
      agree(
        partyOf(t, client),
        agreementOn(id, {
          ...(index === 0 && composing({ agreed: 1 }, signers)),
          remember: (text) => void signed.push(text),
        }),
      ),
    ),
  );
  for (const { consensus } of agreed) {
    t.deepEqual(consensus, agreed[0]?.consensus);
    t.deepEqual(consensus.signers, signers);
    t.deepEqual(consensus.body.data, { agreed: 1 });
  }
  t.deepEqual(new Set(signed), new Set([agreed[0]?.consensus.text]));
  t.is(signed.length, 3);
});

test('a text is remembered before it is sent, and after a restart no other is signed', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId].toSorted();
  const id = await one.createNegotiation();
  let remembered = '';
  const dying = agree(
    partyOf(t, one),
    agreementOn(id, {
      compose: () => ({ data: { text: 'first' }, info: INFO, signers }),
      remember: (text) => {
        remembered = text;
        throw new PanoramixError('config-invalid', 'killed');
      },
    }),
  );
  await t.throwsAsync(dying, { message: /killed/ });
  const texts = (await one.listContributions(id)).map((contribution) => contribution.text);
  t.false(texts.includes(remembered));

  const again = agree(
    partyOf(t, one),
    agreementOn(id, {
      compose: () => ({ data: { text: 'second' }, info: INFO, signers }),
      signed: remembered,
    }),
  );
  const other = agree(partyOf(t, two), agreementOn(id));
  const [{ consensus }] = await Promise.all([again, other]);
  t.is(consensus.text, remembered);
});

test('a refusal is signed and said once, and a better text is taken after it', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId];
  const id = await one.createNegotiation();
  const agreeing = agree(partyOf(t, two), agreementOn(id, { review: goodOnly }));
  await say(one, id, { data: { good: false }, info: INFO }, signers);
  const refusals = async (): Promise<readonly ContributionData[]> =>
    (await one.listContributions(id)).filter(({ text }) => text.includes('not-good'));
  while ((await refusals()).length === 0) await sleep(20);
  // A party that was killed and comes again reads its own refusal and does not repeat it.
  const ending = new AbortController();
  const wait = (delayMs: number): Promise<void> =>
    sleep(delayMs, undefined, { signal: ending.signal });
  const again = agree(partyOf(t, two, { wait }), agreementOn(id, { review: goodOnly }));
  await sleep(200);
  ending.abort();
  await t.throwsAsync(again, { name: 'AbortError' });
  const said = await refusals();
  t.is(said.length, 1);
  t.is(said[0]?.signer_key_id, two.identity.peerId);
  await say(one, id, { data: { good: true }, info: INFO }, signers);
  t.deepEqual((await agreeing).consensus.body.data, { good: true });
});

test('one bad text after the other does not use up the words of an unattended run', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId].toSorted();
  const id = await one.createNegotiation();
  const agreeing = agree(
    partyOf(t, two),
    agreementOn(id, { review: ({ body }) => ('bad' in (body.data as object) ? 'bad' : null) }),
  );
  for (let bad = 0; bad < 63; bad++) {
    await say(one, id, { data: { bad }, info: INFO }, signers);
    await sleep(30);
  }
  await say(one, id, { data: { good: true }, info: INFO }, signers);
  t.deepEqual((await agreeing).consensus.body.data, { good: true });
});

test('an operator’s run stops at a text that it does not sign, and says whose and why', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId];
  const id = await one.createNegotiation();
  await say(one, id, { data: {}, info: INFO }, signers);
  const refusing = agree(
    partyOf(t, two),
    agreementOn(id, { review: () => 'not-good', onRefusal: 'stop' }),
  );
  const error = await t.throwsAsync(refusing, { code: 'agreement-refused' });
  t.true(error?.message.includes(one.identity.peerId.slice(0, 8)));
  t.regex(error?.message ?? '', /not-good/);
});

test('what another gives as his reason moves no cursor in the operator’s terminal', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId].toSorted();
  const id = await one.createNegotiation();
  const proposing = agree(
    partyOf(t, one),
    agreementOn(id, { ...composing({ agreed: 1 }, signers), onRefusal: 'stop' }),
  );
  const refusing = agree(
    partyOf(t, two),
    agreementOn(id, { review: () => 'fine\u001b[1A\u001b[2Kall is well', onRefusal: 'stop' }),
  );
  await t.throwsAsync(refusing, { code: 'agreement-refused' });
  await t.throwsAsync(proposing, {
    code: 'agreement-refused',
    message: /does not sign: no readable reason$/,
  });
});

test('a text past its time is not signed', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const signers = [one.identity.peerId, two.identity.peerId];
  const id = await one.createNegotiation();
  await say(one, id, { data: {}, info: INFO }, signers, new Date(Date.now() + 30_000));
  const refusing = agree(
    partyOf(t, two, { now: () => Date.now() + 60_000 }),
    agreementOn(id, { onRefusal: 'stop' }),
  );
  await t.throwsAsync(refusing, { code: 'agreement-refused', message: /text-expired/ });
});

test('what a controller invents or changes is not heard', async (t) => {
  const controller = await privateController(t, store());
  const [one, two] = await Promise.all([controller.peer(), controller.peer()]);
  const id = await one.createNegotiation();
  const other = await one.createNegotiation();
  await say(one, id, { data: { real: true }, info: INFO }, []);
  await say(two, other, { data: { elsewhere: true }, info: INFO }, []);
  const [real] = await one.listContributions(id);
  const [elsewhere] = await two.listContributions(other);
  if (!real || !elsewhere) return t.fail();
  const lying = Object.assign(controller.client(two.identity), {
    listContributions: () =>
      Promise.resolve([
        { ...real, text: real.text.replace('true', 'false') },
        { ...real, signer_key_id: two.identity.peerId },
        { ...real, signature: `A${real.signature.slice(1)}` },
        elsewhere,
        real,
      ]),
  });
  const { statements } = await readMeeting(lying, native, id);
  return t.deepEqual(
    statements.map((said) => said.text),
    [real.text],
  );
});

test('a consensus that does not convince ends nothing', async (t) => {
  const controller = await privateController(t, store());
  const one = await controller.peer();
  const id = await one.createNegotiation();
  const alone = agree(partyOf(t, one), agreementOn(id, composing({}, [one.identity.peerId])));
  await alone;
  const done = await one.getNegotiation(id);
  if (done?.status !== 'DONE') return t.fail();
  const lying = Object.assign(controller.client(createIdentity(native)), {
    getNegotiation: () => Promise.resolve({ ...done, timestamp: '2001-01-01T00:00:00.000Z' }),
  });
  return await t.throwsAsync(readMeeting(lying, native, id), {
    code: 'answer-malformed',
    message: /consensus-id-wrong/,
  });
});

test('temporary errors are tried again with growing pauses, permanent ones are not', async (t) => {
  const pauses: number[] = [];
  const troubles: (string | null)[] = [];
  const client = new Proxy({} as Client, { get: () => ({ peerId: 'a' }) });
  const party = partyOf(t, client, {
    pollMs: 1_000,
    wait: (delayMs) => {
      pauses.push(delayMs);
      return Promise.resolve();
    },
    troubled: (trouble) => troubles.push(trouble?.code ?? null),
  });
  let calls = 0;
  const value = await retrying(party, () => {
    calls++;
    if (calls < 9) throw new PanoramixError('controller-unreachable', 'away');
    return Promise.resolve('there');
  });
  t.is(value, 'there');
  t.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  // Once for all attempts, and again when it went through.
  t.deepEqual(troubles, ['controller-unreachable', null]);
  await t.throwsAsync(retrying(party, refused), { code: 'not-a-signer' });
});

function goodOnly(said: Statement): string | null {
  return (said.body.data as { good?: boolean }).good ? null : 'not-good';
}

function refused(): Promise<never> {
  return Promise.reject(new PanoramixError('not-a-signer', 'refused'));
}
