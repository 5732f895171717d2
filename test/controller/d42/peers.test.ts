/** D4.2 §6.3: each example, with real keys and signatures in its placeholders. */
import test from 'ava';
import { combinedPeer, singlePeer } from '../../../src/api/peer.ts';
import { createIdentity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { type PrivateController, privateController, sharedStore } from '../private-controller.ts';
import { agree, type Answer, dataOf, get, HASH, send, TIME } from './example.ts';

const store = sharedStore(test);
const info = { operation: 'create', resource: 'peer' };

/** Creates a peer of two owners, as the example does. */
async function create(bed: PrivateController, path = '/peers') {
  const owners = [createIdentity(native), createIdentity(native)];
  const [owner1 = '', owner2 = ''] = owners.map((owner) => owner.peerId).toSorted();
  const made = combinedPeer(native, {
    name: 'peer1',
    backend: 'SPHINXMIX',
    params: { BODY_LEN: 1024, GROUP: 'X25519', HEADER_LEN: 192 },
    owners: [owner1, owner2],
    rule: 'all',
  });
  const data = {
    key_data: made.key_data,
    key_id: made.key_id,
    status: 'READY',
    owners: [{ owner_key_id: owner1 }, { owner_key_id: owner2 }],
    key_type: 0,
    // Not in D4.2's request, but in its answer.
    key_type_params: made.key_type_params,
    name: 'peer1',
  };
  const by_consensus = await agree(bed, owners, { data, info });
  const answer = await send(bed, `POST ${path}`, owners[0]!, { data, info, by_consensus });
  return { answer, data, by_consensus };
}

function timeOf(answer: Answer): string {
  const [line] = dataOf(answer)['consensus_logs'] as { timestamp: string }[];
  return line?.timestamp ?? '';
}

for (const slash of ['', '/']) {
  test(`§6.3.1 POST /peers${slash}: create a peer with owners; §6.3.2 GET /peers/ID${slash}: its info`, async (t) => {
    const bed = await privateController(t, store());
    const { answer, data, by_consensus } = await create(bed, `/peers${slash}`);
    t.is(answer.status, 201);
    t.regex(data.key_id, HASH);
    const read = await get(bed, `/peers/${data.key_id}${slash}`);
    t.regex(timeOf(read), TIME);
    t.deepEqual(read, {
      status: 200,
      body: {
        data: {
          key_data: data.key_data,
          key_id: data.key_id,
          status: 'READY',
          name: 'peer1',
          key_type: 0,
          key_type_params: data.key_type_params,
          owners: data.owners,
          consensus_logs: [
            {
              timestamp: timeOf(read),
              status: 'READY',
              consensus_id: by_consensus.consensus_id,
            },
          ],
        },
      },
    });
    t.deepEqual(answer.body, read.body, '201 is answered with what GET returns');
  });

  test(`§6.3.3 GET /peers${slash}: list peers`, async (t) => {
    const bed = await privateController(t, store());
    t.deepEqual(await get(bed, `/peers${slash}`), { status: 200, body: [] });
    const { answer, data } = await create(bed);
    const other = await create(bed);
    const all = { status: 200, body: [answer.body, other.answer.body] };
    t.deepEqual(await get(bed, `/peers${slash}`), all);
    t.deepEqual((await get(bed, `/peers${slash}?key_id=${data.key_id}`)).body, [answer.body]);
  });
}

test('§6.3.1 a consensus is provided for the simple case of a peer with no owners as well', async (t) => {
  const bed = await privateController(t, store());
  const peer = createIdentity(native);
  const { owners: _, ...data } = singlePeer(peer.peerId, 'peer1');
  const without = await send(bed, 'POST /peers', peer, { data, info });
  t.is(without.status, 403);
  t.is((without.body as { reason: string }).reason, 'consensus-missing');
  const by_consensus = await agree(bed, [peer], { data, info });
  const answer = await send(bed, 'POST /peers', peer, { data, info, by_consensus });
  t.is(answer.status, 201);
  t.deepEqual(dataOf(answer), {
    ...data,
    owners: [],
    consensus_logs: [
      { timestamp: timeOf(answer), status: 'READY', consensus_id: by_consensus.consensus_id },
    ],
  });
});

test('§6.3.2 GET of a peer that is not there is 404', async (t) => {
  const bed = await privateController(t, store());
  t.is((await get(bed, '/peers/13C18335A029BEC5')).status, 404);
});
