import test from 'ava';
import {
  OPEN_MS_MAX,
  OPEN_PER_KEY_MAX,
  UNNAMED_LENGTH_MAX,
} from '../../controller/negotiations/rules.ts';
import {
  acceptedText,
  type ContributionBody,
  parseContributionText,
  TEXT_LENGTH_MAX,
} from '../../src/api/contribution.ts';
import { verifyConsensus } from '../../src/api/negotiation.ts';
import { signText } from '../../src/api/signed.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  type PrivateController,
  privateController,
  proposalText,
  refusedWith,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
type Client = ReturnType<PrivateController['client']>;
const BODY = { data: { a: 'text' }, info: { resource: 'peer', operation: 'create' } };
const CREATE = { data: {}, info: { resource: 'negotiation', operation: 'create' } };

test('a negotiation begins as D4.2 §6.2.2 shows it', async (t) => {
  const bed = await privateController(t, store());
  const answer = await bed.send('POST', '/panoramix/negotiations', createIdentity(native), CREATE);
  t.is(answer.status, 201);
  const { data } = answer.body as { data: { id: string } };
  t.regex(data.id, /^[A-Za-z0-9_-]{43}$/);
  t.deepEqual(data, {
    id: data.id,
    text: null,
    status: 'OPEN',
    timestamp: null,
    consensus: null,
    signings: [],
  } as never);
  const read = await bed.fetch(`/panoramix/negotiations/${data.id}/`);
  t.is(read.status, 200);
  t.deepEqual(read.body, answer.body);
});

test('the same request again begins no second negotiation', async (t) => {
  const bed = await privateController(t, store());
  const identity = createIdentity(native);
  const context = { nowMs: bed.now(), catalogUrl: bed.url };
  const { signRequest } = await import('../../src/api/signed.ts');
  const body = JSON.stringify(signRequest(native, identity, CREATE, context));
  const answers = await Promise.all(
    Array.from({ length: 10 }, () =>
      bed.fetch('/panoramix/negotiations', { method: 'POST', body }),
    ),
  );
  t.is(new Set(answers.map((answer) => JSON.stringify(answer.body))).size, 1);
  const other = await bed.send('POST', '/panoramix/negotiations', identity, CREATE);
  t.notDeepEqual(other.body, answers[0]?.body);
});

test('a contribution is listed as D4.2 §6.2.4 shows it, oldest first, the last of each as latest', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [bed.client(), bed.client()];
  const id = await one.createNegotiation();
  const texts = [1, 2, 3].map((round) => proposalText(id, BODY, { round }));
  const [first, second, third] = texts as [string, string, string];
  const contributed = await one.contribute(id, first);
  t.deepEqual(contributed, {
    id: contributed.id,
    negotiation_id: id,
    text: first,
    latest: true,
    signer_key_id: one.identity.peerId,
    signature: signText(native, one.identity, first),
  });
  await two.contribute(id, second);
  await one.contribute(id, third);
  for (const filter of ['negotiation_id', 'negotiation']) {
    const { body } = await bed.fetch(`/panoramix/contributions/?${filter}=${id}`);
    const list = (body as { data: { text: string; latest: boolean } }[]).map(({ data }) => data);
    t.deepEqual(
      list.map((data) => data.text),
      texts,
    );
    t.deepEqual(
      list.map((data) => data.latest),
      [false, true, true],
    );
  }
});

test('a list without the negotiation is refused', async (t) => {
  const bed = await privateController(t, store());
  t.is((await bed.fetch('/panoramix/contributions')).reason, 'query-malformed');
  const unknown = 'x'.repeat(43);
  const answer = await bed.fetch(`/panoramix/contributions?negotiation=${unknown}`);
  t.is(answer.reason, 'negotiation-unknown');
});

test('a peer alone comes to a consensus that convinces, found by both of its ids', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const consensus = await client.decideAlone(BODY);
  const record = await client.getNegotiation(consensus);
  const verified = verifyConsensus(native, record);
  t.true(verified.ok);
  if (!verified.ok || record === null) return;
  t.is(verified.consensus.consensusId, consensus);
  t.deepEqual(verified.consensus.signers, [client.identity.peerId]);
  t.deepEqual(verified.consensus.body.data, BODY.data);
  t.deepEqual(await client.getNegotiation(record.id), record);
});

test('a negotiation ends when all who contributed have signed the same accepted text', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, three] = [bed.client(), bed.client(), bed.client()];
  const id = await one.createNegotiation();
  for (const party of [one, two, three]) await party.contribute(id, proposalText(id, BODY));
  const text = proposalText(id, BODY, { accept: true });
  await one.contribute(id, text);
  await two.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  await three.contribute(id, text);
  const record = await one.getNegotiation(id);
  t.is(record?.status, 'DONE');
  t.is(record?.signings.length, 3);
  t.true(verifyConsensus(native, record).ok);
});

test('one who changes his mind holds up the end', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [bed.client(), bed.client()];
  const id = await one.createNegotiation();
  await two.contribute(id, proposalText(id, BODY));
  const text = proposalText(id, BODY, { accept: true });
  await one.contribute(id, text);
  await one.contribute(id, proposalText(id, BODY, { round: 2 }));
  await two.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  await one.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'OPEN', 'a text sent before changes nothing');
});

test('a negotiation waits for signers who have not said anything yet, and takes no others', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, stranger] = [bed.client(), bed.client(), bed.client()];
  const id = await one.createNegotiation();
  const signers = [one.identity.peerId, two.identity.peerId].toSorted();
  const text = proposalText(id, BODY, { accept: true, signers });
  await one.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  await refusedWith(t, 'not-a-signer', stranger.contribute(id, text));
  await refusedWith(t, 'not-a-signer', stranger.contribute(id, proposalText(id, BODY)));
  await two.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'DONE');
});

test('a stranger who has learned the id can neither end a negotiation nor hold it up', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, stranger] = [bed.client(), bed.client(), bed.client()];
  const id = await one.createNegotiation();
  const alone = { accept: true, signers: [stranger.identity.peerId] };
  await stranger.contribute(id, proposalText(id, BODY, alone));
  t.is((await one.getNegotiation(id))?.status, 'OPEN', 'nor shut the others out');
  await stranger.contribute(id, proposalText(id, BODY, { accept: true }));
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  const text = proposalText(id, BODY, { accept: true, signers: keysOf(one, two) });
  await two.contribute(id, text);
  await refusedWith(t, 'not-a-signer', stranger.contribute(id, text));
  await one.contribute(id, text);
  const record = await one.getNegotiation(id);
  t.deepEqual(
    record?.signings.map((signing) => signing.signer_key_id),
    keysOf(one, two),
  );
  t.true(verifyConsensus(native, record).ok);
});

test('strangers may fill a negotiation, and those whom its opener names still sign', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [bed.client(), bed.client()];
  const id = await one.createNegotiation();
  const data = 'x'.repeat(TEXT_LENGTH_MAX - 1024);
  const long = (round: number): string => proposalText(id, { ...BODY, data }, { round });
  let sum = 0;
  for (let keys = 0; sum <= UNNAMED_LENGTH_MAX - TEXT_LENGTH_MAX; keys++) {
    const stranger = bed.client();
    for (let round = 0; round < 4; round++, sum += TEXT_LENGTH_MAX) {
      await stranger.contribute(id, long(round));
    }
    await refusedWith(t, 'negotiation-full', stranger.contribute(id, long(4)));
  }
  await refusedWith(t, 'negotiation-full', two.contribute(id, long(0)));
  const text = proposalText(id, BODY, { accept: true, signers: keysOf(one, two) });
  await one.contribute(id, text);
  await two.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'DONE');
});

test('a negotiation by rule ends without those who are away, and takes no strangers', async (t) => {
  const bed = await privateController(t, store());
  const [opener, one, two, three, stranger] = Array.from({ length: 5 }, () => bed.client()) as [
    Client,
    Client,
    Client,
    Client,
    Client,
  ];
  const signers = keysOf(one, two, three);
  const id = await opener.createNegotiation({ signers, needed: 2 });
  for (const party of [one, two, three]) await party.contribute(id, proposalText(id, BODY));
  const text = proposalText(id, BODY, { accept: true });
  await refusedWith(t, 'not-a-signer', stranger.contribute(id, text));
  await refusedWith(t, 'not-a-signer', opener.contribute(id, text));
  await one.contribute(id, text);
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  await three.contribute(id, proposalText(id, BODY, { accept: true, signers: keysOf(three) }));
  t.is((await one.getNegotiation(id))?.status, 'OPEN', 'one who names himself does not end it');
  await two.contribute(id, text);
  const record = await one.getNegotiation(id);
  t.deepEqual(
    record?.signings.map((signing) => signing.signer_key_id),
    keysOf(one, two),
  );
  t.true(verifyConsensus(native, record).ok);
});

test('whom a negotiation requires must be among those who end it', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, guest] = [bed.client(), bed.client(), bed.client()];
  const id = await one.createNegotiation({
    signers: keysOf(one, two, guest),
    needed: 2,
    required: keysOf(guest),
  });
  const text = proposalText(id, BODY, { accept: true });
  await one.contribute(id, text);
  await two.contribute(id, text);
  const open = await one.getNegotiation(id);
  t.like(open, { status: 'OPEN', needed: 2, required: keysOf(guest) }, 'without the guest');
  await guest.contribute(id, text);
  const record = await one.getNegotiation(id);
  t.deepEqual(
    record?.signings.map((signing) => signing.signer_key_id),
    keysOf(one, two, guest),
  );
});

test('a rule that nobody can meet, or of nobody, is refused', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const [first, second] = keysOf(client, bed.client()) as [string, string];
  for (const among of [
    { signers: [first], needed: 2 },
    { signers: [first], needed: 0 },
    { signers: [], needed: 1 },
    { signers: [second, first], needed: 1 },
    { signers: [first, first], needed: 1 },
    { signers: ['x'], needed: 1 },
    { signers: [first] },
    { needed: 1 },
    { required: [first] },
    { signers: [first], needed: 1, required: [second] },
    { signers: [first, second].toSorted(), needed: 1, required: [first, second].toSorted() },
  ]) {
    await refusedWith(t, 'request-malformed', client.createNegotiation(among as never));
  }
});

test('nobody but the opener ends a negotiation by leaving out others who contributed', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [bed.client(), bed.client()];
  const id = await one.createNegotiation();
  await one.contribute(id, proposalText(id, BODY));
  const alone = [two.identity.peerId];
  await two.contribute(id, proposalText(id, BODY, { accept: true, signers: alone }));
  t.is((await one.getNegotiation(id))?.status, 'OPEN');
  const others = [one.identity.peerId];
  const text = proposalText(id, BODY, { accept: true, signers: others });
  await refusedWith(t, 'not-a-signer', two.contribute(id, text));
});

test('an ended negotiation takes nothing more, but repeats are answered', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const id = await client.createNegotiation();
  const text = proposalText(id, BODY, { accept: true });
  const first = await client.contribute(id, text);
  t.deepEqual(await client.contribute(id, text), first);
  await refusedWith(t, 'negotiation-done', client.contribute(id, proposalText(id, BODY)));
});

test('once a negotiation has ended, only those who took part read what was said', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, stranger] = [bed.client(), bed.client(), bed.client()];
  const next = await one.createNegotiation();
  const id = await one.createNegotiation();
  const proposal = proposalText(id, BODY, { next_negotiation_id: next });
  await one.contribute(id, proposal);
  t.is((await stranger.listContributions(id)).length, 1, 'while it is open, who knows the id');
  const body = parseContributionText(proposal) as ContributionBody;
  const text = acceptedText(native, body, [one.identity.peerId, two.identity.peerId]);
  await one.contribute(id, text);
  await two.contribute(id, text);
  t.is((await two.listContributions(id)).length, 3);
  await refusedWith(t, 'reader-refused', stranger.listContributions(id));
  t.is((await bed.fetch(`/panoramix/contributions?negotiation=${id}`)).reason, 'reader-refused');
  const record = await bed.fetch(`/panoramix/negotiations/${id}`);
  t.false(JSON.stringify(record.body).includes(next));
});

test('what is no contribution is refused with its reason', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const id = await client.createNegotiation();
  const other = await client.createNegotiation();
  const expires = new Date(Date.now() - 1000).toISOString();
  const texts = [
    ['contribution-malformed', 'no json'],
    ['contribution-malformed', ` ${proposalText(id, BODY)}`],
    ['contribution-malformed', proposalText(id, BODY, { signers: ['x'] })],
    ['contribution-foreign', proposalText(other, BODY)],
    ['contribution-expired', proposalText(id, BODY, { expires })],
  ] as const;
  for (const [reason, text] of texts) await refusedWith(t, reason, client.contribute(id, text));
  const unknown = 'x'.repeat(43);
  const lost = client.contribute(unknown, proposalText(unknown, BODY));
  await refusedWith(t, 'negotiation-unknown', lost);
});

test('a text signed by another key than the request is refused', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const id = await client.createNegotiation();
  const text = proposalText(id, BODY);
  const answer = await bed.send('POST', '/panoramix/contributions/', client.identity, {
    data: { negotiation_id: id, text, signature: signText(native, createIdentity(native), text) },
    info: { resource: 'contribution', operation: 'create' },
  });
  t.is(answer.status, 403);
  t.is(answer.reason, 'signature-invalid');
  t.deepEqual(await client.listContributions(id), []);
});

test('a key may have so many negotiations open, and ended ones do not count', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  await client.decideAlone(BODY);
  for (let opened = 0; opened < OPEN_PER_KEY_MAX; opened++) await client.createNegotiation();
  await refusedWith(t, 'negotiations-too-many', client.createNegotiation());
  await t.notThrowsAsync(bed.client().createNegotiation());
});

test('fifty accepts at the same moment end a negotiation once, and lose none', async (t) => {
  const bed = await privateController(t, store());
  const parties = Array.from({ length: 50 }, () => bed.client());
  const [first] = parties as [(typeof parties)[0]];
  const id = await first.createNegotiation();
  const signers = parties.map((party) => party.identity.peerId).toSorted();
  const text = proposalText(id, BODY, { accept: true, signers });
  await Promise.all(parties.map((party) => party.contribute(id, text)));
  const record = await first.getNegotiation(id);
  t.true(verifyConsensus(native, record).ok);
  t.deepEqual(
    record?.signings.map((signing) => signing.signer_key_id),
    signers,
  );
  t.is((await first.listContributions(id)).length, 50);
});

test('two who accept at the same moment, fifty times over, come to one consensus each time', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [bed.client(), bed.client()];
  const consensuses = new Set<string>();
  for (let round = 0; round < 50; round++) {
    const id = await one.createNegotiation();
    const signers = [one.identity.peerId, two.identity.peerId].toSorted();
    const text = proposalText(id, BODY, { accept: true, signers });
    await Promise.all([one.contribute(id, text), two.contribute(id, text)]);
    const record = await one.getNegotiation(id);
    t.true(verifyConsensus(native, record).ok);
    if (record?.status === 'DONE') consensuses.add(record.consensus);
  }
  t.is(consensuses.size, 50);
});

function keysOf(...clients: readonly Client[]): string[] {
  return clients.map(({ identity }) => identity.peerId).toSorted();
}

test('a negotiation stays open as long as one of its named parties looks at it', async (t) => {
  const bed = await privateController(t, store());
  const [one, two, stranger] = [bed.client(), bed.client(), bed.client()];
  const id = await one.createNegotiation({ signers: keysOf(one, two), needed: 2 });
  const { redis, prefix } = bed.store;
  const key = `${prefix}:api:negotiation:${id}`;
  await redis.pexpire(key, 60_000);
  await stranger.listContributions(id);
  t.true((await redis.pttl(key)) <= 60_000, 'not for others who know its id');
  await two.listContributions(id);
  t.true((await redis.pttl(key)) > OPEN_MS_MAX - 60_000);
  const text = proposalText(id, BODY, { accept: true });
  for (const party of [one, two]) await party.contribute(id, text);
  await redis.pexpire(key, 60_000);
  await two.listContributions(id);
  t.true((await redis.pttl(key)) <= 60_000, 'nor once it has ended');
});
