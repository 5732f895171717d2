import test from 'ava';
import { consensusId, verifyConsensus } from '../../src/api/negotiation.ts';
import { combinedPeer, nodesJson, singlePeer, type FoundingTerms } from '../../src/api/peer.ts';
import { hashText } from '../../src/api/signed.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  type PrivateController,
  privateController,
  refusedWith,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const CREATE = { resource: 'peer', operation: 'create' };
const SIX_FOURS = '4'.repeat(64);

type Party = ReturnType<PrivateController['client']>;

test('a peer is registered and read as D4.2 §6.3 shows it', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const key = client.identity.peerId;
  const data = singlePeer(key, 'peer1');
  const consensus = await client.decideAlone({ data, info: CREATE });
  const answer = await bed.send('POST', '/panoramix/peers/', client.identity, {
    data,
    info: CREATE,
    by_consensus: { consensus_id: consensus, consensus_type: 'structural' },
  });
  t.is(answer.status, 201);
  const read = await bed.fetch(`/panoramix/peers/${key}/`);
  t.deepEqual(read.body, answer.body);
  const { data: peer } = read.body as { data: { consensus_logs: { timestamp: string }[] } };
  t.deepEqual(peer, {
    key_data: key,
    key_id: key,
    status: 'READY',
    name: 'peer1',
    key_type: 27,
    key_type_params: '',
    owners: [],
    consensus_logs: [
      { timestamp: peer.consensus_logs[0]?.timestamp, status: 'READY', consensus_id: consensus },
    ],
  } as never);
});

test('peers are listed, and filtered by fields', async (t) => {
  const bed = await privateController(t, store());
  const one = await bed.peer('one');
  await bed.peer('two');
  const names = async (filter?: Record<string, string>): Promise<string[]> =>
    (await one.listPeers(filter)).map((peer) => peer.name);
  t.deepEqual(await names(), ['one', 'two']);
  t.deepEqual(await names({ name: 'two' }), ['two']);
  t.deepEqual(await names({ key_id: one.identity.peerId, status: 'READY' }), ['one']);
  t.deepEqual(await names({ status: 'GONE' }), []);
  await refusedWith(t, 'query-malformed', one.listPeers({ owners: 'x' }));
  await refusedWith(t, 'query-malformed', one.listPeers({ toString: 'x' }));
});

test('registering again is harmless, also at the same moment', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  await Promise.all([1, 2, 3, 4].map(() => client.registerPeer('me')));
  await client.registerPeer('me');
  t.is((await client.listPeers()).length, 1);
});

test('a peer needs a consensus of its own key on exactly this', async (t) => {
  const bed = await privateController(t, store());
  const [client, other] = [bed.client(), bed.client()];
  const data = singlePeer(client.identity.peerId, 'me');
  const body = { data, info: CREATE };
  const without = await bed.send('POST', '/panoramix/peers', client.identity, body);
  t.is(without.status, 403);
  t.is(without.reason, 'consensus-missing');
  await refusedWith(t, 'consensus-unknown', client.createPeer(data, SIX_FOURS));
  const consensus = await client.decideAlone(body);
  const renamed = { ...data, name: 'another' };
  await refusedWith(t, 'consensus-mismatch', client.createPeer(renamed, consensus));
  await refusedWith(t, 'not-a-signer', other.createPeer(data, consensus));
  const theirs = await other.decideAlone(body);
  await refusedWith(t, 'key-foreign', other.createPeer(data, theirs));
  t.is(await client.getPeer(client.identity.peerId), null, 'nothing has been made so far');
  await t.notThrowsAsync(client.createPeer(data, consensus), 'refusals did not use it up');
});

test('a consensus that is not for peers makes none', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const data = singlePeer(client.identity.peerId, 'me');
  const info = { resource: 'endpoint', operation: 'create' };
  const consensus = await client.decideAlone({ data, info });
  await refusedWith(t, 'consensus-mismatch', client.createPeer(data, consensus));
});

test('the same consensus again gets the first answer, another body a refusal', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const data = singlePeer(client.identity.peerId, 'me');
  const consensus = await client.decideAlone({ data, info: CREATE });
  const first = await client.createPeer(data, consensus);
  t.deepEqual(await client.createPeer(data, consensus), first);
  const renamed = { ...data, name: 'another' };
  await refusedWith(t, 'consensus-used', client.createPeer(renamed, consensus));
  const again = await client.decideAlone({ data: renamed, info: CREATE });
  await refusedWith(t, 'peer-exists', client.createPeer(renamed, again));
});

test('what was agreed cannot be applied after it has expired', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const data = singlePeer(client.identity.peerId, 'me');
  const expires = new Date(bed.now() + 60_000).toISOString();
  const consensus = await agreeTogether([client], { data, info: CREATE }, { expires });
  bed.skew(60_001);
  const late = bed.send('POST', '/panoramix/peers', client.identity, {
    data,
    info: CREATE,
    by_consensus: { consensus_id: consensus, consensus_type: 'structural' },
  });
  t.is((await late).reason, 'consensus-expired');
  bed.skew(0);
  await t.notThrowsAsync(client.createPeer(data, consensus));
});

test('a peer whose fields do not fit its key is refused', async (t) => {
  const bed = await privateController(t, store());
  const client = bed.client();
  const data = singlePeer(client.identity.peerId, 'me');
  for (const wrong of [
    { key_data: 'another' },
    { key_type: 0 as const },
    { key_type_params: '{}' },
    { owners: [{ owner_key_id: client.identity.peerId }] },
  ]) {
    const wronged = { ...data, ...wrong };
    const consensus = await client.decideAlone({ data: wronged, info: CREATE });
    await refusedWith(t, 'peer-malformed', client.createPeer(wronged, consensus));
  }
});

test('one part of a list that was agreed on is applied by its number', async (t) => {
  const bed = await privateController(t, store());
  const client = await bed.peer();
  const endpoint = { ...endpointData(client), endpoint_id: 'two' };
  const data = [endpointData(client), endpoint];
  const info = { resource: 'endpoint', operation: 'create' };
  const consensus = await client.decideAlone({ data, info: [info, info] });
  const apply = (part: number | undefined, of: unknown) =>
    bed.send('POST', '/panoramix/endpoints', client.identity, {
      data: of,
      info,
      by_consensus: {
        consensus_id: consensus,
        consensus_type: 'structural',
        ...(part !== undefined && { consensus_part: part }),
      },
    });
  t.is((await apply(undefined, data[0])).reason, 'consensus-mismatch');
  t.is((await apply(0, data[1])).reason, 'consensus-mismatch');
  t.is((await apply(2, data[1])).reason, 'consensus-mismatch');
  t.is((await apply(1, data[1])).status, 201);
  t.is((await apply(0, data[0])).status, 201);
  t.is((await apply(0, data[0])).status, 201);
  t.is((await client.listEndpoints()).length, 2);
});

test('owners found a combined peer whose id is the hash of its founding text', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, peer, consensus } = await found(bed, 3);
  t.is(mixnetId, hashText(native, peer.key_data));
  const read = await bed.client().getPeer(mixnetId);
  t.deepEqual(
    read?.owners,
    owners.map((one) => ({ owner_key_id: one.identity.peerId })),
  );
  t.deepEqual(
    read?.consensus_logs.map((line) => line.consensus_id),
    [consensus],
  );
  t.is(read?.key_type, 0);
});

test('a combined peer needs all its owners, and nobody else', async (t) => {
  const bed = await privateController(t, store());
  const parties = partiesOf(bed, 3);
  const stranger = bed.client();
  const data = combinedPeer(native, terms(parties));
  for (const signers of [parties.slice(1), [...parties, stranger]]) {
    const consensus = await agreeTogether(signers, { data, info: CREATE });
    const [applicant] = signers as [Party];
    await refusedWith(t, 'consensus-insufficient', applicant.createPeer(data, consensus));
  }
  t.is(await stranger.getPeer(data.key_id), null);
});

test('a founding text that does not fit the fields is refused', async (t) => {
  const bed = await privateController(t, store());
  const parties = partiesOf(bed, 2);
  const data = combinedPeer(native, terms(parties));
  for (const wrong of [
    { key_id: SIX_FOURS },
    { key_data: `${data.key_data} ` },
    { key_data: 'no json' },
    { name: 'another' },
    { key_type_params: '' },
    { owners: data.owners.slice(1) },
  ]) {
    const wronged = { ...data, ...wrong };
    const consensus = await agreeTogether(parties, { data: wronged, info: CREATE });
    const [first] = parties as [Party];
    await refusedWith(t, 'peer-malformed', first.createPeer(wronged, consensus));
  }
});

test('log and snapshots grow by the founding rule, and nodes.json shows the whole chain', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus } = await found(bed, 3);
  const [one, two] = owners as [Party, Party, Party];
  const first = await change(
    [one, two],
    mixnetId,
    { log: { previous: mixnetId, nodes: [1] } },
    consensus,
  );
  const second = await change(
    [one, two],
    mixnetId,
    { log: { previous: first.textHash, nodes: [2] } },
    first.consensus,
  );
  const snapshot = { previous: mixnetId, number: 1, log_head: second.textHash };
  const third = await change([two, one], mixnetId, { snapshot }, consensus);
  const later = { previous: third.textHash, number: 5, log_head: second.textHash };
  const fourth = await change(owners, mixnetId, { snapshot: later }, third.consensus);

  const nodes = nodesJson.parse(await one.getNodes(mixnetId));
  t.is(nodes.mixnet, mixnetId);
  t.is(nodes.founding.consensus, consensus);
  t.deepEqual(
    nodes.log.map((record) => record.consensus),
    [first.consensus, second.consensus],
  );
  t.is(nodes.snapshot?.consensus, fourth.consensus);
  for (const record of [nodes.founding, ...nodes.log, nodes.snapshot]) {
    t.true(verifyConsensus(native, record).ok);
  }
  const peer = await one.getPeer(mixnetId);
  const logged = peer?.consensus_logs.map((line) => line.consensus_id);
  t.deepEqual(logged, [consensus, first.consensus, second.consensus]);
});

test('a change that does not meet the rule, or does not follow the last one, is refused', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus } = await found(bed, 3);
  const [one, two] = owners as [Party, Party, Party];
  const entry = { log: { previous: mixnetId } };
  const refuse = async (
    reason: Parameters<typeof refusedWith>[1],
    ...of: Parameters<typeof change>
  ): Promise<void> => refusedWith(t, reason, change(...of));

  await refuse('consensus-insufficient', [one], mixnetId, entry, consensus);
  const stranger = bed.client();
  await refuse('consensus-insufficient', [one, two, stranger], mixnetId, entry, consensus);
  await refuse('consensus-not-last', [one, two], mixnetId, entry, SIX_FOURS);
  await refuse('chain-broken', [one, two], mixnetId, { log: { previous: SIX_FOURS } }, consensus);
  const early = { snapshot: { previous: mixnetId, number: 1, log_head: mixnetId } };
  await refuse('chain-broken', [one, two], mixnetId, early, consensus);

  const first = await change([one, two], mixnetId, entry, consensus);
  await refuse(
    'consensus-not-last',
    [one, two],
    mixnetId,
    { log: { previous: mixnetId, n: 2 } },
    consensus,
  );
  const snapshot = { previous: mixnetId, number: 3, log_head: first.textHash };
  const taken = await change([one, two], mixnetId, { snapshot }, consensus);
  for (const [number, previous, head] of [
    [3, taken.textHash, first.textHash],
    [2, taken.textHash, first.textHash],
    [4, mixnetId, first.textHash],
    [4, taken.textHash, mixnetId],
  ] as const) {
    const next = { snapshot: { previous, number, log_head: head } };
    await refuse('chain-broken', [one, two], mixnetId, next, taken.consensus);
  }
  const single = await bed.peer();
  const own = { log: { previous: single.identity.peerId } };
  await refuse('peer-malformed', [single], single.identity.peerId, own, consensus);
  await refuse('peer-unknown', [single], SIX_FOURS, own, consensus);
});

test('owners come and go by the rule of before, and each new one by his own word', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus, peer } = await found(bed, 3);
  const [one, two, three] = owners as [Party, Party, Party];
  const [guest, stranger] = [bed.client(), bed.client()];
  const joined = { previous: mixnetId, owners: keysOf(one, two, guest), rule: { m: 3, n: 3 } };
  const refuse = async (signers: readonly Party[], log: object): Promise<void> =>
    refusedWith(t, 'consensus-insufficient', change(signers, mixnetId, { log }, consensus));
  await refuse([one, two], joined);
  await refuse([one, guest], joined);
  await refuse([one, two, guest, stranger], joined);
  for (const wrong of [
    { owners: [] },
    { rule: 'all' },
    { owners: keysOf(one) },
    { owners: keysOf(one), rule: { m: 1, n: 2 } },
    { owners: keysOf(one, two).toReversed(), rule: 'all' },
  ]) {
    const of = { log: { previous: mixnetId, ...wrong } };
    await refusedWith(t, 'request-malformed', change([one, two], mixnetId, of, consensus));
  }

  const first = await change([one, two, guest], mixnetId, { log: joined }, consensus);
  const shown = await stranger.getPeer(mixnetId);
  t.deepEqual(
    shown?.owners.map((owner) => owner.owner_key_id),
    joined.owners,
  );
  t.is(shown?.key_data, peer.key_data, 'the founding text stays');
  const entry = { log: { previous: first.textHash } };
  const snapshot = { snapshot: { previous: mixnetId, number: 1, log_head: first.textHash } };
  for (const [of, last] of [
    [snapshot, consensus],
    [entry, first.consensus],
  ] as const) {
    await refusedWith(t, 'consensus-insufficient', change([one, two], mixnetId, of, last));
    const removed = [one, two, guest, three];
    await refusedWith(t, 'consensus-insufficient', change(removed, mixnetId, of, last));
    await t.notThrowsAsync(change([guest, two, one], mixnetId, of, last));
  }
});

test('a log of long texts makes neither the peer nor the list of peers long', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus } = await found(bed, 1);
  let last = { consensus, textHash: mixnetId };
  for (let n = 0; n < 6; n++) {
    const log = { previous: last.textHash, note: 'x'.repeat(500_000) };
    last = await change(owners, mixnetId, { log }, last.consensus);
  }
  const { redis, prefix } = bed.store;
  t.true((await redis.hstrlen(`${prefix}:api:peer:${mixnetId}`, 'j')) < 5_000);
  t.is((await (owners[0] as Party).listPeers()).length, 1);
  const nodes = nodesJson.parse(await (owners[0] as Party).getNodes(mixnetId));
  t.is(nodes.log.length, 6);
  t.is(nodes.log.at(-1)?.consensus, last.consensus);
});

test('a change is applied once, and a repeat gets the first answer', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus } = await found(bed, 2);
  const data = { peer_id: mixnetId, log: { previous: mixnetId } };
  const info = { ...CREATE, operation: 'partial_update', on_last_consensus_id: consensus };
  const agreed = await agreeTogether(owners, { data, info });
  const decision = { consensusId: agreed, onLastConsensusId: consensus };
  const [one, two] = owners as [Party, Party];
  const answers = await Promise.all(
    [one, two, one, two].map((owner) => owner.updatePeer(mixnetId, data, decision)),
  );
  t.is(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
  t.is(nodesJson.parse(await one.getNodes(mixnetId)).log.length, 1);
});

test('of two changes agreed at the same moment one is taken', async (t) => {
  const bed = await privateController(t, store());
  const { owners, mixnetId, consensus } = await found(bed, 2);
  const outcomes = await Promise.allSettled(
    [1, 2, 3].map((n) => change(owners, mixnetId, { log: { previous: mixnetId, n } }, consensus)),
  );
  t.is(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
  t.is(nodesJson.parse(await (owners[0] as Party).getNodes(mixnetId)).log.length, 1);
});

test('/nodes.json leads to the directory where there is one mixnet', async (t) => {
  const bed = await privateController(t, store());
  t.is((await bed.fetch('/nodes.json')).reason, 'mixnet-unknown');
  const { mixnetId } = await found(bed, 1);
  for (const path of ['/nodes.json', '/panoramix/nodes.json']) {
    const answer = await bed.fetch(path);
    t.is(answer.status, 302);
    t.is(answer.headers.get('location'), `/panoramix/peers/${mixnetId}/nodes.json`);
  }
  const fresh = nodesJson.parse((await bed.fetch(`/panoramix/peers/${mixnetId}/nodes.json`)).body);
  t.deepEqual([fresh.log, fresh.snapshot], [[], null]);
  await found(bed, 2);
  t.is((await bed.fetch('/nodes.json')).reason, 'mixnet-unknown');
  const single = await bed.peer();
  const nodes = await bed.fetch(`/panoramix/peers/${single.identity.peerId}/nodes.json`);
  t.is(nodes.reason, 'mixnet-unknown');
  t.is((await bed.fetch(`/panoramix/peers/${SIX_FOURS}/nodes.json`)).reason, 'peer-unknown');
});

function partiesOf(bed: PrivateController, count: number): Party[] {
  return Array.from({ length: count }, () => bed.client(createIdentity(native))).toSorted(
    (left, right) => (left.identity.peerId < right.identity.peerId ? -1 : 1),
  );
}

function keysOf(...parties: readonly Party[]): string[] {
  return parties.map((party) => party.identity.peerId).toSorted();
}

function terms(parties: readonly Party[]): FoundingTerms {
  const n = parties.length;
  return {
    name: 'our mix-net',
    backend: 'SPHINXMIX',
    params: { GROUP: 'X25519', HEADER_LEN: 320, BODY_LEN: 32_768 },
    owners: parties.map((party) => party.identity.peerId),
    rule: { m: Math.floor(n / 2) + 1, n },
  };
}

async function found(bed: PrivateController, count: number) {
  const owners = partiesOf(bed, count);
  const data = combinedPeer(native, terms(owners));
  const consensus = await agreeTogether(owners, { data, info: CREATE });
  const peer = await (owners[0] as Party).createPeer(data, consensus);
  return { owners, mixnetId: peer.key_id, peer, consensus };
}

/** Agrees on a change and applies it; its consensus id, and the hash of its text. */
async function change(
  signers: readonly Party[],
  mixnetId: string,
  of: object,
  onLastConsensusId: string,
): Promise<{ consensus: string; textHash: string }> {
  const [applicant] = signers as [Party];
  const data = { peer_id: mixnetId, ...of };
  const info = {
    resource: 'peer',
    operation: 'partial_update',
    on_last_consensus_id: onLastConsensusId,
  };
  const consensus = await agreeTogether(signers, { data, info });
  await applicant.updatePeer(mixnetId, data, { consensusId: consensus, onLastConsensusId });
  const record = await applicant.getNegotiation(consensus);
  if (record?.status !== 'DONE' || consensusId(native, record) !== consensus) throw new Error();
  return { consensus, textHash: hashText(native, record.text) };
}

function endpointData(client: Party) {
  return {
    peer_id: client.identity.peerId,
    endpoint_id: 'one',
    endpoint_type: 'SPHINXMIX_CONTINUOUS',
    endpoint_params: '',
    description: '',
    status: 'OPEN',
    size_min: 0,
    size_max: 10,
  };
}
