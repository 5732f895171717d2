import test from 'ava';
import { BATCH, BATCH_SIZE_MAX } from '../../src/api/endpoint.ts';
import { batchHash, messageHash, postedInto } from '../../src/api/message.ts';
import { native } from '../../src/crypto/native.ts';
import { type Batch, foundTogether, openGateway, openLink } from './batch-party.ts';
import {
  endpointOf,
  openEndpoint,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const BOXES = ['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX'] as const;

async function contents(batch: Batch): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const box of BOXES) found[box] = await batch.texts(box);
  return found;
}

test('a batch goes through D4.2’s cycle, what is not named stays, and the next cycle takes it', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 2);
  const [sender, recipient] = [await bed.peer(), bed.client().identity.peerId];
  const hashes: string[] = [];
  for (const text of ['1', '2', '3', '4', '5']) hashes.push(await batch.post(sender, text));
  t.deepEqual((await contents(batch))['INBOX'], ['1', '2', '3', '4', '5']);

  const named = [hashes[4], hashes[0], hashes[2]].map(String).toSorted();
  let endpoint = await batch.change({ status: 'CLOSED', message_hashes: named });
  t.is(endpoint.inbox_hash, batchHash(native, named));
  t.is(endpoint.last_message_id, 5);
  t.is(endpoint.outbox_hash, undefined);
  t.deepEqual(await contents(batch), {
    INBOX: ['2', '4'],
    ACCEPTED: ['1', '3', '5'],
    PROCESSBOX: [],
    OUTBOX: [],
  });
  await refusedWith(t, 'endpoint-closed', batch.post(sender, '6'));

  const [, other] = batch.owners;
  const results = ['a', 'b', 'c'].map((text) => ({ recipient, text }));
  const given = await batch.process(other ?? batch.first, results);
  t.deepEqual((await contents(batch))['PROCESSBOX'], ['a', 'b', 'c']);
  const published = given.slice(0, 2).toSorted();
  const proof = { message_hashes: published, process_proof: 'the processing proof' };
  endpoint = await batch.change({ status: 'PROCESSED', ...proof });
  t.is(endpoint.outbox_hash, batchHash(native, published));
  t.is(endpoint.process_proof, 'the processing proof');
  t.is(endpoint.inbox_hash, batchHash(native, named));
  t.deepEqual(await contents(batch), {
    INBOX: ['2', '4'],
    ACCEPTED: ['1', '3', '5'],
    PROCESSBOX: [],
    OUTBOX: ['a', 'b'],
  });
  t.deepEqual(await sender.getEndpoint(batch.id), endpoint, 'everybody sees the hashes');
  await refusedWith(t, 'endpoint-closed', batch.post(sender, '6'));

  endpoint = await batch.change({ status: 'OPEN' });
  t.deepEqual(
    [endpoint.inbox_hash, endpoint.outbox_hash, endpoint.process_proof, endpoint.last_message_id],
    [undefined, undefined, undefined, undefined],
  );
  t.deepEqual(await contents(batch), {
    INBOX: ['2', '4'],
    ACCEPTED: [],
    PROCESSBOX: [],
    OUTBOX: [],
  });
  const next = [hashes[1], hashes[3], await batch.post(sender, '6')].map(String).toSorted();
  endpoint = await batch.change({ status: 'CLOSED', message_hashes: next });
  t.is(endpoint.inbox_hash, batchHash(native, next));
  t.is(endpoint.last_message_id, 9, 'ids are counted over all boxes');
  t.deepEqual(
    endpoint.consensus_logs.map((line) => line.status),
    ['OPEN', 'CLOSED', 'PROCESSED', 'OPEN', 'CLOSED'],
  );
});

test('a message keeps id, hash and text while it moves', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 1 });
  const sender = await bed.peer();
  const hash = await batch.post(sender, 'A'.repeat(45_000));
  const read = async (box: (typeof BOXES)[number]) =>
    (await batch.first.listMessages({ endpointId: batch.id, box }))[0];
  const before = await read('INBOX');
  t.is(before?.messageHash, hash);
  await batch.change({ status: 'CLOSED', message_hashes: [hash] });
  t.deepEqual(await read('ACCEPTED'), before);
  const [given = ''] = await batch.process(batch.first, [
    { recipient: sender.identity.peerId, text: 'B' },
  ]);
  const processed = await read('PROCESSBOX');
  await batch.change({ status: 'PROCESSED', message_hashes: [given] });
  const out = await read('OUTBOX');
  t.deepEqual(out, processed);
  t.is(out?.sender, batch.peerId, 'this_peer, as D4.2 §6.5.2 has it');
  const { recipient = '', text = '', serial: of = '' } = out ?? {};
  const box = postedInto('OUTBOX');
  const fields = { endpoint_id: batch.id, box, sender: batch.peerId, recipient, text, serial: of };
  t.is(messageHash(native, fields), given);
});

test('a closing names between size_min and size_max messages, all of the INBOX', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 2, { size_min: 2, size_max: 3 });
  const sender = await bed.peer();
  const hashes = [await batch.post(sender, '1'), await batch.post(sender, '2')];
  const closing = (...named: string[]) =>
    batch.change({ status: 'CLOSED', message_hashes: named.toSorted() });
  await refusedWith(t, 'batch-size', closing(String(hashes[0])));
  await refusedWith(t, 'message-missing', closing(String(hashes[0]), 'a'.repeat(64)));
  await refusedWith(t, 'batch-size', closing(...hashes, 'a'.repeat(64), 'b'.repeat(64)));
  hashes.push(await batch.post(sender, '3'));
  await refusedWith(t, 'endpoint-full', batch.post(sender, '4'));
  t.deepEqual(await batch.texts('INBOX'), ['1', '2', '3'], 'refusals moved nothing');
  await t.notThrowsAsync(closing(...hashes));
});

test('a result names at most what was accepted, all of the PROCESSBOX', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 1 });
  const sender = await bed.peer();
  const hash = await batch.post(sender, '1');
  await batch.change({ status: 'CLOSED', message_hashes: [hash] });
  const recipient = sender.identity.peerId;
  const given = await batch.process(batch.first, [
    { recipient, text: 'a' },
    { recipient, text: 'b' },
  ]);
  const publishing = (...named: string[]) =>
    batch.change({ status: 'PROCESSED', message_hashes: named.toSorted() });
  await refusedWith(t, 'batch-size', publishing(...given));
  await refusedWith(t, 'message-missing', publishing(hash));
  t.deepEqual(await batch.texts('PROCESSBOX'), ['a', 'b']);
  await publishing(...given.slice(1));
  t.deepEqual(await batch.texts('OUTBOX'), ['b']);
});

test('each status takes its own fields and no others', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 0 });
  for (const data of [
    { status: 'CLOSED' },
    { status: 'CLOSED', message_hashes: [], last_message_id: 0 },
    { status: 'CLOSED', message_hashes: [], process_proof: '' },
    { status: 'FULL', message_hashes: [] },
    { status: 'FULL', last_message_id: 0 },
  ] as const) {
    await refusedWith(t, 'request-malformed', batch.change(data as never));
  }
  await refusedWith(t, 'status-refused', batch.change({ status: 'PROCESSED', message_hashes: [] }));
  await refusedWith(t, 'status-refused', batch.change({ status: 'OPEN' }));
  await batch.change({ status: 'CLOSED', message_hashes: [] });
  await refusedWith(t, 'request-malformed', batch.change({ status: 'PROCESSED' }));
  await refusedWith(t, 'status-refused', batch.change({ status: 'OPEN' }));
  const endpoint = await batch.change({ status: 'PROCESSED', message_hashes: [] });
  t.is(endpoint.process_proof, undefined);
  t.is(endpoint.outbox_hash, batchHash(native, []));
});

test('all owners must have agreed, nobody else, on the last status', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 3, { size_min: 0 });
  const data = { status: 'CLOSED' as const, message_hashes: [] };
  for (const among of [batch.owners.slice(1), [...batch.owners, await bed.peer()]]) {
    const consensus = await batch.agree(data, among);
    await refusedWith(t, 'consensus-insufficient', batch.apply(data, consensus, among[0]));
  }
  const full = await batch.agree({ status: 'FULL' });
  const closed = await batch.agree(data);
  await batch.apply({ status: 'FULL' }, full);
  await refusedWith(t, 'consensus-not-last', batch.apply(data, closed));
  await refusedWith(t, 'consensus-mismatch', batch.apply({ status: 'OPEN' }, closed));
  const path = `/panoramix/endpoint/${batch.id}/`;
  const without = await bed.send('PATCH', path, batch.first.identity, {
    data: { endpoint_id: batch.id, ...data },
    info: { resource: 'endpoint', operation: 'partial_update', on_last_consensus_id: full },
  });
  t.is(without.reason, 'consensus-missing');
});

test('a FULL batch takes no messages, and opens again with what it has', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 2);
  const sender = await bed.peer();
  await batch.post(sender, '1');
  await batch.change({ status: 'FULL' });
  await refusedWith(t, 'endpoint-full', batch.post(sender, '2'));
  await batch.change({ status: 'OPEN' });
  await batch.post(sender, '2');
  t.deepEqual(await batch.texts('INBOX'), ['1', '2']);
});

test('the PROCESSBOX takes messages of owners, in the peer’s name, while the batch is closed', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 2, { size_min: 0, size_max: 2 });
  const stranger = await bed.peer();
  const [one, two] = batch.owners as [Batch['first'], Batch['first']];
  const message = (text: string) => ({ recipient: stranger.identity.peerId, text });
  await refusedWith(t, 'box-closed', batch.process(one, [message('early')]));
  await batch.change({ status: 'CLOSED', message_hashes: [] });
  await refusedWith(t, 'box-refused', batch.process(stranger, [message('foreign')]));
  const own = { ...message('own'), box: 'PROCESSBOX' as const, serial: serial() };
  const asHimself = { endpoint_id: batch.id, sender: one.identity.peerId, ...own };
  await refusedWith(t, 'key-foreign', one.postMessages([asHimself]));
  for (const box of ['ACCEPTED', 'OUTBOX'] as const) {
    await refusedWith(t, 'box-refused', one.postMessages([{ ...asHimself, box }]));
  }
  await batch.process(one, [message('1'), message('2')]);
  const more = batch.process(one, [message('3')]);
  await refusedWith(t, 'endpoint-full', more);
  await batch.process(two, [message('4'), message('5')]);
  t.deepEqual(
    await batch.texts('PROCESSBOX'),
    ['1', '2', '4', '5'],
    'one owner keeps out no other',
  );
});

test('repeats of a message change nothing, wherever it is now', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 1 });
  const sender = await bed.peer();
  const own = serial();
  const hash = await batch.post(sender, 'once', own);
  const keptSerial = serial();
  const kept = await batch.post(sender, 'kept', keptSerial);
  await Promise.all([1, 2, 3].map(() => batch.post(sender, 'once', own)));
  t.deepEqual(await batch.texts('INBOX'), ['once', 'kept']);
  await batch.change({ status: 'CLOSED', message_hashes: [hash] });
  await t.notThrowsAsync(batch.post(sender, 'once', own), 'it was stored, and that is the answer');
  await batch.change({ status: 'PROCESSED', message_hashes: [] });
  await batch.change({ status: 'OPEN' });
  t.is(await batch.post(sender, 'once', own), hash);
  t.deepEqual(await batch.texts('INBOX'), ['kept']);
  // As after so many messages that no repeat of this one is remembered; but it is still there.
  const { redis, prefix } = bed.store;
  t.is(await redis.zrem(`${prefix}:api:seen:${batch.id}`, kept), 1);
  const inbox = () => batch.first.listMessages({ endpointId: batch.id, box: 'INBOX' });
  const before = await inbox();
  t.is(await batch.post(sender, 'kept', keptSerial), kept);
  t.deepEqual(await inbox(), before, 'not even its id');
  await batch.change({ status: 'CLOSED', message_hashes: [kept] });
});

test('who is no owner reads an OUTBOX only where it is public, or what is for a peer of his', async (t) => {
  const bed = await privateController(t, store());
  const [owner, next, client, stranger] = [
    await bed.peer(),
    await bed.peer(),
    bed.client(),
    await bed.peer(),
  ];
  const combined = await foundTogether(bed, 2);
  const link = await openLink(
    owner,
    endpointOf(owner.identity.peerId, 'link_1', { endpoint_type: BATCH, size_min: 1 }),
  );
  const hashes = await Promise.all(['1', '2', '3'].map((text) => link.post(stranger, text)));
  await link.change({ status: 'CLOSED', message_hashes: hashes.toSorted() });
  const given = await link.process(owner, [
    { recipient: next.identity.peerId, text: 'next' },
    { recipient: client.identity.peerId, text: 'client' },
    { recipient: combined.peerId, text: 'combined' },
  ]);
  await link.change({ status: 'PROCESSED', message_hashes: given.toSorted() });
  const read = async (reader: typeof owner, recipient?: string, box = 'OUTBOX' as const) =>
    (await reader.listMessages({ endpointId: 'link_1', box, ...(recipient && { recipient }) })).map(
      (message) => message.text,
    );
  t.deepEqual(await read(next, next.identity.peerId), ['next']);
  t.deepEqual(await read(client, client.identity.peerId), ['client']);
  for (const each of combined.owners) {
    t.deepEqual(await read(each, combined.peerId), ['combined']);
  }
  t.deepEqual(await read(owner, next.identity.peerId), ['next'], 'a filter for the owner');
  t.deepEqual(await read(owner), ['next', 'client', 'combined']);
  await refusedWith(t, 'reader-refused', read(next));
  await refusedWith(t, 'reader-refused', read(stranger, next.identity.peerId));
  await refusedWith(t, 'reader-refused', read(stranger, combined.peerId));
  for (const box of ['INBOX', 'ACCEPTED', 'PROCESSBOX'] as const) {
    const path = { endpointId: 'link_1', box, recipient: next.identity.peerId };
    await refusedWith(t, 'reader-refused', next.listMessages(path));
  }
  const path = `/panoramix/messages?endpoint_id=link_1&box=OUTBOX`;
  t.is((await bed.fetch(path)).reason, 'signature-missing');
});

test('a public OUTBOX is for everybody, and no other box of it is', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 1, public: true });
  const sender = await bed.peer();
  const hash = await batch.post(sender, '1');
  await batch.change({ status: 'CLOSED', message_hashes: [hash] });
  const recipient = sender.identity.peerId;
  const given = await batch.process(batch.first, [{ recipient, text: 'a' }]);
  await batch.change({ status: 'PROCESSED', message_hashes: given });
  const fetched = async (box: string) =>
    await bed.fetch(`/panoramix/messages/?box=${box}&endpoint_id=${batch.id}`);
  const { body } = await fetched('OUTBOX');
  t.deepEqual(body, [
    {
      data: {
        endpoint_id: batch.id,
        box: 'OUTBOX',
        id: 2,
        sender: batch.peerId,
        recipient,
        text: 'a',
        serial: (body as { data: { serial: string } }[])[0]?.data.serial,
        message_hash: given[0],
      },
    },
  ] as never);
  for (const box of ['INBOX', 'ACCEPTED', 'PROCESSBOX']) {
    t.is((await fetched(box)).reason, 'signature-missing');
  }
});

test('a box of many is listed in pages, and for one recipient across them', async (t) => {
  const bed = await privateController(t, store());
  const sender = await bed.peer();
  const owner = await bed.peer();
  const link = await openLink(
    owner,
    endpointOf(owner.identity.peerId, 'many', { endpoint_type: BATCH, size_max: 1500 }),
  );
  const rare = bed.client().identity.peerId;
  await link.change({ status: 'CLOSED', message_hashes: [] });
  const common = owner.identity.peerId;
  await link.process(
    owner,
    Array.from({ length: 1400 }, (_, n) => ({
      recipient: n % 700 === 699 ? rare : common,
      text: `${n}`,
    })),
  );
  const box = { endpointId: 'many', box: 'PROCESSBOX' as const };
  const forRare = await owner.listMessages({ ...box, recipient: rare });
  t.deepEqual(
    forRare.map((message) => message.text),
    ['699', '1399'],
  );
  const seen: number[] = [];
  for (let after = 0; ;) {
    const page = await owner.listMessages({ ...box, after, limit: 200 });
    if (page.length === 0) break;
    seen.push(...page.map((message) => message.id));
    after = page.at(-1)?.id ?? 0;
  }
  t.deepEqual(
    seen,
    Array.from({ length: 1400 }, (_, n) => n + 1),
  );
  t.is((await owner.listMessages({ ...box, limit: 256 })).length, 256);
  await refusedWith(t, 'reader-refused', sender.listMessages(box));
});

test('a batch is not released: its boxes change by consensus alone', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1);
  await batch.post(await bed.peer(), '1');
  const release = batch.first.releaseMessages({ endpointId: batch.id, box: 'INBOX', upTo: 1 });
  await refusedWith(t, 'method-refused', release);
  t.deepEqual(await batch.texts('INBOX'), ['1']);
});

test('owners may post to their endpoint whoever its senders are', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 2, { senders: 'nodes' });
  for (const owner of batch.owners) await t.notThrowsAsync(batch.post(owner, 'a dummy'));
  await refusedWith(t, 'sender-refused', batch.post(await bed.peer(), 'a vote'));
});

test('a batch that could not name all its messages in one text is refused', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const data = endpointOf(owner.identity.peerId, 'big', { endpoint_type: BATCH });
  const tooLarge = { ...data, size_max: BATCH_SIZE_MAX + 1 };
  await refusedWith(t, 'request-malformed', openEndpoint(owner, tooLarge));
  await t.notThrowsAsync(openEndpoint(owner, { ...data, size_max: BATCH_SIZE_MAX }));
});

test('what is processed and not opened again goes, records and all, and stays where it opens', async (t) => {
  const bed = await privateController(t, store());
  const batch = await openGateway(bed, 1, { size_min: 1 });
  const sender = await bed.peer();
  const { redis, prefix } = bed.store;
  const first = batch.lastConsensus;
  const lasting = async (): Promise<boolean[]> => {
    const keys = await redis.keys(`${prefix}:api:*:${batch.id}*`);
    const all = [
      ...keys.filter((key) => !key.includes(':used:')),
      `${prefix}:api:consensus:${first}`,
    ];
    return await Promise.all(all.map(async (key) => (await redis.pttl(key)) === -1));
  };
  const hash = await batch.post(sender, '1');
  await batch.post(sender, '2');
  t.true((await lasting()).every(Boolean));
  await batch.change({ status: 'CLOSED', message_hashes: [hash] });
  const given = await batch.process(batch.first, [{ recipient: batch.peerId, text: 'a' }]);
  t.true((await lasting()).every(Boolean));
  await batch.change({ status: 'PROCESSED', message_hashes: given });
  t.false((await lasting()).some(Boolean));
  await batch.change({ status: 'OPEN' });
  t.true((await lasting()).every(Boolean));
  t.deepEqual(await batch.texts('INBOX'), ['2']);
});
