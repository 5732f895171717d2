/** D4.2 §6.2: each example, with real keys and signatures in its placeholders. */
import test from 'ava';
import { verifyConsensus } from '../../../src/api/negotiation.ts';
import { signText } from '../../../src/api/signed.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import {
  type PrivateController,
  privateController,
  proposalText,
  sharedStore,
} from '../private-controller.ts';
import { begin, contribute, dataOf, get, HASH, send, TIME } from './example.ts';

const store = sharedStore(test);
const BODY = { data: { name: 'a text describing a peer creation' }, info: { operation: 'create' } };

for (const slash of ['', '/']) {
  test(`§6.2.1 POST /negotiations${slash}: initiate a negotiation, whose id is hard to guess`, async (t) => {
    const bed = await privateController(t, store());
    const answer = await send(bed, `POST /negotiations${slash}`, createIdentity(native), {
      data: {},
      info: { resource: 'negotiation', operation: 'create' },
    });
    t.is(answer.status, 201);
    const { id } = dataOf(answer);
    t.regex(String(id), /^[A-Za-z0-9_-]{43}$/, '32 bytes');
    t.deepEqual((await get(bed, `/negotiations/${String(id)}`)).body, answer.body);
  });

  test(`§6.2.2 GET /negotiations/ID${slash}: details of an open negotiation`, async (t) => {
    const bed = await privateController(t, store());
    const id = await begin(bed, createIdentity(native));
    const none = { text: null, timestamp: null, consensus: null, signings: [] };
    t.deepEqual(await get(bed, `/negotiations/${id}${slash}`), {
      status: 200,
      body: { data: { id, status: 'OPEN', ...none } },
    });
  });
}

/** Two peers who agree on a text. */
async function agreed(bed: PrivateController) {
  const peers = [createIdentity(native), createIdentity(native)].toSorted((left, right) =>
    left.peerId < right.peerId ? -1 : 1,
  ) as [Identity, Identity];
  const id = await begin(bed, peers[0]);
  const text = proposalText(id, BODY, { accept: true, signers: peers.map((one) => one.peerId) });
  for (const peer of peers) await contribute(bed, peer, id, text);
  return { id, peers, text };
}

test('§6.2.2 GET /negotiations/ID: details of one that is done, by its id or its consensus id', async (t) => {
  const bed = await privateController(t, store());
  const { id, peers, text } = await agreed(bed);
  const answer = await get(bed, `/negotiations/${id}`);
  const { timestamp, consensus } = dataOf(answer);
  t.regex(String(timestamp), TIME);
  t.regex(String(consensus), HASH);
  t.deepEqual(answer, {
    status: 200,
    body: {
      data: {
        id,
        text,
        status: 'DONE',
        timestamp,
        consensus,
        signings: peers.map((peer) => ({
          signer_key_id: peer.peerId,
          signature: signText(native, peer, text),
        })),
      },
    },
  });
  t.true(verifyConsensus(native, dataOf(answer)).ok, 'and it convinces by itself');
  for (const path of [`${id}/`, String(consensus), `${String(consensus)}/`]) {
    t.deepEqual(await get(bed, `/negotiations/${path}`), answer);
  }
});

for (const path of ['/contributions', '/contributions/']) {
  test(`§6.2.3 POST ${path}: contribute to a negotiation`, async (t) => {
    const bed = await privateController(t, store());
    const peer = createIdentity(native);
    const id = await begin(bed, peer);
    const text = proposalText(id, BODY, { accept: false, signers: [] });
    const answer = await contribute(bed, peer, id, text, path);
    t.is(answer.status, 201);
    const { id: contribution } = dataOf(answer);
    t.is(typeof contribution, 'number');
    t.deepEqual(dataOf(answer), {
      id: contribution,
      negotiation_id: id,
      text,
      latest: true,
      signer_key_id: peer.peerId,
      signature: signText(native, peer, text),
    });
    t.is(dataOf(await get(bed, `/negotiations/${id}`))['status'], 'OPEN', 'nothing is accepted');
  });

  for (const filter of ['negotiation', 'negotiation_id']) {
    test(`§6.2.4 GET ${path}?${filter}=ID: list contributions to a negotiation`, async (t) => {
      const bed = await privateController(t, store());
      const peers = [createIdentity(native), createIdentity(native)] as const;
      const id = await begin(bed, peers[0]);
      const said = [];
      for (const [peer, round] of [
        [peers[0], 1],
        [peers[1], 2],
        [peers[0], 3],
      ] as const) {
        const text = proposalText(id, BODY, { round });
        const contribution = dataOf(await contribute(bed, peer, id, text))['id'];
        const signature = signText(native, peer, text);
        const common = { id: contribution, negotiation_id: id, text, latest: round > 1 };
        said.push({ data: { ...common, signer_key_id: peer.peerId, signature } });
      }
      t.deepEqual(await get(bed, `${path}?${filter}=${id}`), { status: 200, body: said });
      t.is((await get(bed, path)).status, 400, 'filtering by negotiation id is required');
    });
  }
}

test('§6.2.3 the same text of all who take part, with accept, completes it; then no more is accepted', async (t) => {
  const bed = await privateController(t, store());
  const { id, peers, text } = await agreed(bed);
  t.is(dataOf(await get(bed, `/negotiations/${id}`))['status'], 'DONE');
  const more = await contribute(bed, peers[0], id, text.replace('peer creation', 'peer'));
  t.is(more.status, 409);
  t.is((more.body as { reason: string }).reason, 'negotiation-done');
});

test('§6.2.3 note: the original contributor alone may come to a single-peer consensus', async (t) => {
  const bed = await privateController(t, store());
  const peer = createIdentity(native);
  const id = await begin(bed, peer);
  await contribute(bed, peer, id, proposalText(id, BODY, { accept: true }));
  const { status, signings } = dataOf(await get(bed, `/negotiations/${id}`));
  t.is(status, 'DONE');
  t.deepEqual(
    (signings as { signer_key_id: string }[]).map((one) => one.signer_key_id),
    [peer.peerId],
  );
});
