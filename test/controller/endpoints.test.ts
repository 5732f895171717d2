import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { DONE_MS_MAX } from '../../controller/negotiations/rules.ts';
import { combinedPeer } from '../../src/api/peer.ts';
import { emptyInboxHash, messageHash, runningInboxHash } from '../../src/api/message.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  changeStatus,
  endpointOf,
  openEndpoint,
  postTo,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const CREATE = { resource: 'endpoint', operation: 'create' };

test('an endpoint is opened and read as D4.2 §6.4 shows it, under both spellings', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const data = endpointOf(owner.identity.peerId, 'ep_1', { size_min: 10, size_max: 1000 });
  const consensus = await owner.decideAlone({ data, info: CREATE });
  const answer = await bed.send('POST', '/panoramix/endpoints/', owner.identity, {
    data,
    info: CREATE,
    by_consensus: { consensus_id: consensus, consensus_type: 'structural' },
  });
  t.is(answer.status, 201);
  for (const path of ['endpoint/ep_1', 'endpoint/ep_1/', 'endpoints/ep_1', 'endpoints/ep_1/']) {
    t.deepEqual((await bed.fetch(`/panoramix/${path}`)).body, answer.body);
  }
  const { data: read } = answer.body as { data: { consensus_logs: { timestamp: string }[] } };
  t.deepEqual(read, {
    ...data,
    public: false,
    senders: 'peers',
    consensus_logs: [
      { timestamp: read.consensus_logs[0]?.timestamp, status: 'OPEN', consensus_id: consensus },
    ],
  } as never);
});

test('endpoints are listed, and filtered by fields', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [await bed.peer(), await bed.peer()];
  await openEndpoint(one, endpointOf(one.identity.peerId, 'a'));
  await openEndpoint(two, endpointOf(two.identity.peerId, 'b'));
  const ids = async (filter?: Record<string, string>): Promise<string[]> =>
    (await one.listEndpoints(filter)).map((endpoint) => endpoint.endpoint_id);
  t.deepEqual(await ids(), ['a', 'b']);
  t.deepEqual(await ids({ peer_id: two.identity.peerId, status: 'OPEN' }), ['b']);
  t.deepEqual(await ids({ status: 'CLOSED' }), []);
});

test('an endpoint needs its peer, its one owner and a type that we mix', async (t) => {
  const bed = await privateController(t, store());
  const [owner, stranger] = [await bed.peer(), await bed.peer()];
  const mine = endpointOf(owner.identity.peerId, 'mine');
  await refusedWith(t, 'consensus-insufficient', openEndpoint(stranger, mine));
  await refusedWith(t, 'peer-unknown', openEndpoint(owner, { ...mine, peer_id: '4'.repeat(64) }));
  const other = { ...mine, endpoint_type: 'TELEPATHY' };
  await refusedWith(t, 'endpoint-type-unknown', openEndpoint(owner, other));
  for (const wrong of [{ endpoint_id: 'Ep-1' }, { size_max: 0 }, { size_min: 9, size_max: 8 }]) {
    await refusedWith(t, 'request-malformed', openEndpoint(owner, { ...mine, ...wrong }));
  }
  await openEndpoint(owner, mine);
  const taken = { ...mine, description: 'another' };
  await refusedWith(t, 'endpoint-exists', openEndpoint(owner, taken));
});

test('a continuous endpoint of two owners is refused', async (t) => {
  const bed = await privateController(t, store());
  const owners = [bed.client(), bed.client()].toSorted((left, right) =>
    left.identity.peerId < right.identity.peerId ? -1 : 1,
  );
  const peer = combinedPeer(native, {
    name: 'two',
    backend: 'SPHINXMIX',
    params: {},
    owners: owners.map((owner) => owner.identity.peerId),
    rule: 'all',
  });
  const [first] = owners as [(typeof owners)[0]];
  const info = { resource: 'peer', operation: 'create' };
  await first.createPeer(peer, await agreeTogether(owners, { data: peer, info }));
  const data = endpointOf(peer.key_id, 'both');
  const consensus = await agreeTogether(owners, { data, info: CREATE });
  await refusedWith(t, 'endpoint-owners', first.createEndpoint(data, consensus));
});

test('the same opening again gets the first answer, at the same moment too', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const data = endpointOf(owner.identity.peerId, 'ep');
  const consensus = await owner.decideAlone({ data, info: CREATE });
  const opened = await Promise.all([1, 2, 3].map(() => owner.createEndpoint(data, consensus)));
  t.is(new Set(opened.map((one) => JSON.stringify(one))).size, 1);
  const other = { ...data, endpoint_id: 'other' };
  await refusedWith(t, 'consensus-used', owner.createEndpoint(other, consensus));
});

test('a peer has at most 16 endpoints that are not processed', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const peerId = owner.identity.peerId;
  for (let n = 0; n < 15; n++) await openEndpoint(owner, endpointOf(peerId, `ep_${n}`));
  const last = await openEndpoint(owner, endpointOf(peerId, 'ep_15'));
  const more = endpointOf(peerId, 'ep_16');
  await refusedWith(t, 'endpoints-too-many', openEndpoint(owner, more));
  const names = { endpoint_id: 'ep_15', last_message_id: 0 };
  const closed = await changeStatus(owner, last, { ...names, status: 'CLOSED' });
  await refusedWith(t, 'endpoints-too-many', openEndpoint(owner, more));
  await changeStatus(owner, closed, { ...names, status: 'PROCESSED' });
  await t.notThrowsAsync(openEndpoint(owner, more));
});

test('an endpoint goes OPEN, FULL, CLOSED, PROCESSED, and each line of its log says by what', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = [await bed.peer(), await bed.peer()];
  const recipient = owner.identity.peerId;
  const post = async (text: string): Promise<string> => {
    const message = { recipient, text, serial: serial() };
    await postTo(sender, { endpointId: 'ep', ...message });
    return messageHash(native, {
      ...message,
      endpoint_id: 'ep',
      box: 'INBOX',
      sender: sender.identity.peerId,
    });
  };
  let endpoint = await openEndpoint(owner, endpointOf(recipient, 'ep'));
  const hashes = [await post('one'), await post('two')];
  await owner.releaseMessages({ endpointId: 'ep', box: 'INBOX', upTo: 1 });
  endpoint = await changeStatus(owner, endpoint, { endpoint_id: 'ep', status: 'FULL' });
  await refusedWith(t, 'endpoint-full', post('three'));
  endpoint = await changeStatus(owner, endpoint, { endpoint_id: 'ep', status: 'OPEN' });
  hashes.push(await post('three'));

  const last = (await owner.getEndpoint('ep'))?.last_message_id;
  t.is(last, 3);
  t.is((await sender.getEndpoint('ep'))?.last_message_id, undefined);
  const names = { endpoint_id: 'ep', last_message_id: 3 };
  await refusedWith(
    t,
    'last-message-mismatch',
    changeStatus(owner, endpoint, { ...names, status: 'CLOSED', last_message_id: 2 }),
  );
  endpoint = await changeStatus(owner, endpoint, { ...names, status: 'CLOSED' });
  t.is(endpoint.last_message_id, 3);
  t.is(endpoint.inbox_hash, runningInboxHash(native, emptyInboxHash(native, 'ep'), hashes));
  t.deepEqual(await sender.getEndpoint('ep'), endpoint);
  await refusedWith(t, 'endpoint-closed', post('four'));

  const processed = { ...names, status: 'PROCESSED' as const };
  await refusedWith(t, 'messages-unreleased', changeStatus(owner, endpoint, processed));
  const left = await owner.listMessages({ endpointId: 'ep', box: 'INBOX' });
  t.deepEqual(
    left.map((message) => message.text),
    ['two', 'three'],
    'CLOSED drops nothing',
  );
  await owner.releaseMessages({ endpointId: 'ep', box: 'INBOX', upTo: 3 });
  endpoint = await changeStatus(owner, endpoint, processed);
  t.deepEqual(
    endpoint.consensus_logs.map((line) => line.status),
    ['OPEN', 'FULL', 'OPEN', 'CLOSED', 'PROCESSED'],
  );
  const keys = await bed.store.redis.keys(`${bed.store.prefix}:api:*:ep*`);
  t.deepEqual(keys, [`${bed.store.prefix}:api:endpoint:ep`], 'boxes are gone');
  await refusedWith(t, 'endpoint-closed', post('five'));
});

test('statuses do not go back, and every change names the last consensus', async (t) => {
  const bed = await privateController(t, store());
  const [owner, other] = [await bed.peer(), await bed.peer()];
  const endpoint = await openEndpoint(owner, endpointOf(owner.identity.peerId, 'ep'));
  const names = { endpoint_id: 'ep', last_message_id: 0 };
  await refusedWith(
    t,
    'status-refused',
    changeStatus(owner, endpoint, { ...names, status: 'PROCESSED' }),
  );
  await refusedWith(
    t,
    'consensus-insufficient',
    changeStatus(other, endpoint, { ...names, status: 'CLOSED' }),
  );
  const closed = await changeStatus(owner, endpoint, { ...names, status: 'CLOSED' });
  for (const status of ['OPEN', 'FULL', 'CLOSED'] as const) {
    await refusedWith(t, 'status-refused', changeStatus(owner, closed, { ...names, status }));
  }
  await refusedWith(
    t,
    'consensus-not-last',
    changeStatus(owner, endpoint, { ...names, status: 'PROCESSED' }),
  );
});

test('a change without a consensus, as in the example of D4.2 §6.4.2, is refused', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  await openEndpoint(owner, endpointOf(owner.identity.peerId, 'identifier'));
  const answer = await bed.send('PATCH', '/panoramix/endpoint/identifier', owner.identity, {
    data: {
      endpoint_id: 'identifier',
      status: 'PROCESSED',
      message_hashes: ['a'.repeat(64)],
      process_proof: 'the processing proof',
    },
    info: {
      operation: 'partial_update',
      resource: 'endpoint',
      on_last_consensus_id: 'b'.repeat(64),
    },
  });
  t.is(answer.status, 403);
  t.is(answer.reason, 'consensus-missing');
});

test('a path that names another endpoint than the data is refused', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  await openEndpoint(owner, endpointOf(owner.identity.peerId, 'a'));
  const answer = await bed.send('PATCH', '/panoramix/endpoint/a', owner.identity, {
    data: { endpoint_id: 'b', status: 'CLOSED' },
    info: { resource: 'endpoint', operation: 'partial_update' },
  });
  t.is(answer.reason, 'request-malformed');
  t.is((await bed.fetch('/panoramix/endpoint/b')).reason, 'endpoint-unknown');
});

test('closing while messages come in never loses one that was answered with 201', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = [await bed.peer(), await bed.peer()];
  const recipient = owner.identity.peerId;
  for (let round = 0; round < 10; round++) {
    const id = `ep_${round}`;
    const endpoint = await openEndpoint(owner, endpointOf(recipient, id));
    const stored: Promise<boolean>[] = [];
    for (let n = 0; n < 20; n++) {
      const message = { endpointId: id, recipient, text: `${n}`, serial: serial() };
      stored.push(
        postTo(sender, message).then(
          () => true,
          () => false,
        ),
      );
    }
    const full = await changeStatus(owner, endpoint, { endpoint_id: id, status: 'FULL' });
    const count = (await Promise.all(stored)).filter(Boolean).length;
    const last = (await owner.getEndpoint(id))?.last_message_id ?? -1;
    const names = { endpoint_id: id, last_message_id: last };
    const closed = await changeStatus(owner, full, { ...names, status: 'CLOSED' });
    const left = await owner.listMessages({ endpointId: id, box: 'INBOX' });
    t.is(left.length, count);
    t.is(closed.last_message_id, count);
    if (last > 0) await owner.releaseMessages({ endpointId: id, box: 'INBOX', upTo: last });
    await changeStatus(owner, closed, { ...names, status: 'PROCESSED' });
  }
});

test('an endpoint that closes at the moment of a post holds it and stays open, or never took it', async (t) => {
  const bed = await privateController(t, store());
  const sender = await bed.peer();
  const outcomes = { closed: 0, stored: 0 };
  for (let round = 0; round < 48; round++) {
    const owner = await bed.peer();
    const recipient = owner.identity.peerId;
    const id = `ep_${round}`;
    const endpoint = await openEndpoint(owner, endpointOf(recipient, id));
    const data = { endpoint_id: id, status: 'CLOSED' as const, last_message_id: 0 };
    const onLastConsensusId = endpoint.consensus_logs.at(-1)?.consensus_id ?? '';
    const info = {
      resource: 'endpoint',
      operation: 'partial_update',
      on_last_consensus_id: onLastConsensusId,
    };
    const consensusId = await owner.decideAlone({ data, info });
    const closing = succeeds(owner.updateEndpoint(data, { consensusId, onLastConsensusId }));
    // Later and later, so that some posts fall between the closing's reading and its writing.
    const untilMs = performance.now() + (round % 24) / 4;
    while (performance.now() < untilMs) await setImmediate();
    const message = { endpointId: id, recipient, text: 'x', serial: serial() };
    const isStored = await succeeds(postTo(sender, message));
    const isClosed = await closing;
    t.false(isClosed && isStored, `round ${round}`);
    outcomes.closed += Number(isClosed);
    outcomes.stored += Number(isStored);
  }
  t.log(outcomes);
});

async function succeeds(promise: Promise<unknown>): Promise<boolean> {
  return await promise.then(
    () => true,
    () => false,
  );
}

test('an agreement serves no second time where its use is forgotten and its record is not', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const { peerId } = owner.identity;
  const data = ['first', 'second'].map((id) => endpointOf(peerId, id));
  const consensus = await owner.decideAlone({ data, info: [CREATE, CREATE] });
  const open = (part: number): ReturnType<typeof bed.send> => {
    const by = { consensus_id: consensus, consensus_type: 'structural' as const };
    const body = { data: data[part], info: CREATE, by_consensus: { ...by, consensus_part: part } };
    return bed.send('POST', '/panoramix/endpoints', owner.identity, body);
  };
  for (const part of [0, 1]) t.is((await open(part)).status, 201);
  // The first ends, and is forgotten after 90 days, with it that it was opened; the second keeps the record.
  const { redis, prefix } = bed.store;
  await redis.del(`${prefix}:api:endpoint:first`, `${prefix}:api:used:${consensus}:0`);
  bed.skew(DONE_MS_MAX);
  t.is((await open(0)).reason, 'consensus-expired');
  t.is((await open(1)).status, 201, 'a repeat that is remembered gets the first answer');
});

test('ids that name the peer they are of cannot be taken before by another', async (t) => {
  const bed = await privateController(t, store());
  const [owner, stranger] = [await bed.peer(), await bed.peer()];
  const prefix = owner.identity.peerId.slice(0, 16);
  const open = (who: typeof owner, id: string) =>
    openEndpoint(who, endpointOf(who.identity.peerId, id));
  for (const id of [`${prefix}_for_ep_gateway_1`, `gateway_${prefix}_2`]) {
    await refusedWith(t, 'endpoint-id-foreign', open(stranger, id));
    await t.notThrowsAsync(open(owner, id));
  }
  const other = stranger.identity.peerId.slice(0, 16);
  await t.notThrowsAsync(
    open(stranger, `${other}_for_ep_gateway_${prefix}_2`),
    'the first decides',
  );
  await t.notThrowsAsync(open(stranger, `mix_${prefix}`), 'at its end it is no name');
});
