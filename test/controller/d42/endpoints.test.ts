/** D4.2 §6.4: each example, with real keys and signatures in its placeholders; `/endpoint/ID` and `/endpoints/ID`. */
import { createHash } from 'node:crypto';
import test from 'ava';
import { type PrivateController, privateController, sharedStore } from '../private-controller.ts';
import { foundTogether } from '../batch-party.ts';
import { agree, type Answer, dataOf, get, HASH, send, TIME } from './example.ts';

const store = sharedStore(test);
const info = { operation: 'create', resource: 'endpoint' };
const PATHS = [
  '/endpoint/identifier',
  '/endpoint/identifier/',
  '/endpoints/identifier',
  '/endpoints/identifier/',
];
/** Beyond D4.2 (design §7): who reads the OUTBOX, who posts. */
const BEYOND = { public: false, senders: 'peers' };

/** The example's endpoint, of a peer of two owners. */
async function create(bed: PrivateController, path = '/endpoints') {
  const { owners, peerId } = await foundTogether(bed, 2);
  const identities = owners.map((owner) => owner.identity);
  const data = {
    peer_id: peerId,
    endpoint_id: 'identifier',
    endpoint_type: 'ZEUS_SK_MIX',
    endpoint_params: '',
    description: 'a description',
    status: 'OPEN',
    size_min: 10,
    size_max: 1000,
  };
  const by_consensus = await agree(bed, identities, { data, info });
  const [first, second] = identities as [(typeof identities)[0], (typeof identities)[0]];
  const answer = await send(bed, `POST ${path}`, first, { data, info, by_consensus });
  return { answer, data, first, second, identities, peerId, opened: by_consensus.consensus_id };
}

type Created = Awaited<ReturnType<typeof create>>;

/** An agreed PATCH. */
async function update(
  bed: PrivateController,
  { first, identities }: Created,
  path: string,
  data: object,
  last: string,
): Promise<{ readonly answer: Answer; readonly consensus: string }> {
  const change = {
    data: { endpoint_id: 'identifier', ...data },
    info: {
      operation: 'partial_update',
      resource: 'endpoint',
      on_last_consensus_id: last,
    },
  };
  const by_consensus = await agree(bed, identities, change);
  const answer = await send(bed, `PATCH ${path}`, first, { ...change, by_consensus });
  return { answer, consensus: by_consensus.consensus_id };
}

/** Posts so many messages; their hashes. */
async function post(
  bed: PrivateController,
  { first, peerId }: Created,
  box: 'INBOX' | 'PROCESSBOX',
  count: number,
): Promise<string[]> {
  const hashes: string[] = [];
  for (let n = 1; n <= count; n++) {
    const sender = box === 'INBOX' ? first.peerId : peerId;
    const recipient = box === 'INBOX' ? peerId : first.peerId;
    const data = { endpoint_id: 'identifier', box, sender, recipient, text: `message ${n}` };
    const message = { operation: 'create', resource: 'message' };
    const answer = await send(bed, 'POST /messages', first, { data, info: message });
    hashes.push(String(dataOf(answer)['message_hash']));
  }
  return hashes.toSorted();
}

/** SHA-256 of the canonical text of sorted hashes (design §7), by other means than the controller's. */
function hashOf(hashes: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(hashes)).digest('hex');
}

function timesOf(answer: Answer): string[] {
  const lines = dataOf(answer)['consensus_logs'] as { timestamp: string }[];
  return lines.map((line) => line.timestamp);
}

for (const slash of ['', '/']) {
  test(`§6.4.1 POST /endpoints${slash}: create a peer endpoint`, async (t) => {
    const bed = await privateController(t, store());
    const { answer, data, opened } = await create(bed, `/endpoints${slash}`);
    t.is(answer.status, 201);
    const [timestamp = ''] = timesOf(answer);
    t.regex(timestamp, TIME);
    const consensus_logs = [{ timestamp, status: 'OPEN', consensus_id: opened }];
    t.deepEqual(dataOf(answer), { ...data, ...BEYOND, consensus_logs });
    for (const path of PATHS) {
      t.deepEqual(await get(bed, path), { status: 200, body: answer.body });
    }
  });

  test(`§6.4.4 GET /endpoints${slash}: list endpoints`, async (t) => {
    const bed = await privateController(t, store());
    t.deepEqual(await get(bed, `/endpoints${slash}`), { status: 200, body: [] });
    const { answer, peerId } = await create(bed);
    t.deepEqual(await get(bed, `/endpoints${slash}`), { status: 200, body: [answer.body] });
    t.deepEqual((await get(bed, `/endpoints${slash}?peer_id=${peerId}`)).body, [answer.body]);
    t.deepEqual((await get(bed, `/endpoints${slash}?status=CLOSED`)).body, []);
  });
}

for (const path of PATHS) {
  test(`§6.4.2 PATCH ${path}: PROCESSED, with message hashes and proof; §6.4.3 its info when CLOSED`, async (t) => {
    const bed = await privateController(t, store());
    const created = await create(bed);
    const accepted = await post(bed, created, 'INBOX', 10);
    const closing = { status: 'CLOSED', message_hashes: accepted };
    const closed = await update(bed, created, path, closing, created.opened);
    t.is(closed.answer.status, 200);
    const closedInfo = await get(bed, path);
    const [openedAt, closedAt] = timesOf(closedInfo);
    t.deepEqual(closedInfo, {
      status: 200,
      body: {
        data: {
          peer_id: created.peerId,
          endpoint_id: 'identifier',
          endpoint_type: 'ZEUS_SK_MIX',
          endpoint_params: '',
          description: 'a description',
          status: 'CLOSED',
          size_min: 10,
          size_max: 1000,
          inbox_hash: hashOf(accepted),
          last_message_id: 10,
          ...BEYOND,
          consensus_logs: [
            { timestamp: openedAt, status: 'OPEN', consensus_id: created.opened },
            { timestamp: closedAt, status: 'CLOSED', consensus_id: closed.consensus },
          ],
        },
      },
    });
    t.deepEqual(closed.answer.body, closedInfo.body);

    const given = await post(bed, created, 'PROCESSBOX', 1);
    const [processedHash = ''] = given;
    t.regex(processedHash, HASH);
    const publishing = {
      status: 'PROCESSED',
      message_hashes: [processedHash],
      process_proof: 'the processing proof',
    };
    const processed = await update(bed, created, path, publishing, closed.consensus);
    t.is(processed.answer.status, 200);
    const { status, process_proof, outbox_hash, inbox_hash } = dataOf(processed.answer);
    t.deepEqual(
      { status, process_proof, outbox_hash, inbox_hash },
      {
        status: 'PROCESSED',
        process_proof: 'the processing proof',
        outbox_hash: hashOf(given),
        inbox_hash: hashOf(accepted),
      },
    );
    t.deepEqual((await get(bed, path)).body, processed.answer.body);
  });
}

test('§6.4.2 the example as it stands, without by_consensus, changes nothing: it needs the owners', async (t) => {
  const bed = await privateController(t, store());
  const created = await create(bed);
  const answer = await send(bed, 'PATCH /endpoint/identifier', created.first, {
    data: {
      endpoint_id: 'identifier',
      status: 'PROCESSED',
      message_hashes: ['7'.repeat(64)],
      process_proof: 'the processing proof',
    },
    info: {
      operation: 'partial_update',
      resource: 'endpoint',
      on_last_consensus_id: created.opened,
    },
  });
  t.is(answer.status, 403);
  t.is((answer.body as { reason: string }).reason, 'consensus-missing');
  t.deepEqual((await get(bed, '/endpoint/identifier')).body, created.answer.body);
});
