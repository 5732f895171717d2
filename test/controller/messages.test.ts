import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { Arrivals } from '../../controller/messages/arrivals.ts';
import { LIST_LIMIT_MAX, messageHash, POST_LIST_MAX } from '../../src/api/message.ts';
import type { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import {
  changeStatus,
  endpointOf,
  openEndpoint,
  postTo,
  type PrivateController,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
type Party = ReturnType<PrivateController['client']>;

const INBOX = { endpointId: 'mix_1', box: 'INBOX' as const };

async function mixPosition(bed: PrivateController, more = {}): Promise<[Party, Party]> {
  const [owner, sender] = [await bed.peer(), await bed.peer()];
  await openEndpoint(owner, endpointOf(owner.identity.peerId, 'mix_1', more));
  return [owner, sender];
}

function post(from: ControllerClient, owner: Party, text: string, of = serial()): Promise<void> {
  const recipient = owner.identity.peerId;
  return postTo(from, { endpointId: 'mix_1', recipient, text, serial: of });
}

async function texts(owner: Party, query = {}): Promise<string[]> {
  return (await owner.listMessages({ ...INBOX, ...query })).map((message) => message.text);
}

test('a message that a peer posts is what the owner reads', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const message = { text: 'A'.repeat(45_000), serial: serial() };
  await post(sender, owner, message.text, message.serial);
  const fields = {
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    ...message,
  };
  const hash = messageHash(native, { endpoint_id: 'mix_1', box: 'INBOX', ...fields });
  t.deepEqual(await owner.listMessages(INBOX), [{ id: 1, ...fields, messageHash: hash }]);
});

test('posting is answered with a receipt that tells neither id nor count', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const data = {
    endpoint_id: 'mix_1',
    box: 'INBOX' as const,
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text: 'encrypted message',
  };
  const answer = await bed.send('POST', '/panoramix/messages', sender.identity, {
    data,
    info: { operation: 'create', resource: 'message' },
  });
  t.is(answer.status, 201);
  const hash = messageHash(native, { ...data, serial: '' });
  const receipt = { endpoint_id: 'mix_1', box: 'INBOX', message_hash: hash };
  t.deepEqual(answer.body, { data: receipt }, "D4.2's example, which has no serial");
});

test('a repeated POST stores nothing twice, also at the same moment, also after it was read', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const own = serial();
  await Promise.all(Array.from({ length: 20 }, () => post(sender, owner, 'once', own)));
  t.deepEqual(await texts(owner), ['once']);
  await owner.releaseMessages({ ...INBOX, upTo: 1 });
  await post(sender, owner, 'once', own);
  t.deepEqual(await texts(owner), []);
  await post(sender, owner, 'once', serial());
  t.deepEqual(await texts(owner), ['once'], 'another serial is another message');
});

test('a repeat is answered 201 after the endpoint has closed, a new message is not', async (t) => {
  const bed = await privateController(t, store());
  const owner = await bed.peer();
  const sender = await bed.peer();
  const endpoint = await openEndpoint(owner, endpointOf(owner.identity.peerId, 'mix_1'));
  const own = serial();
  await post(sender, owner, 'in time', own);
  const names = { endpoint_id: 'mix_1', last_message_id: 1 };
  await changeStatus(owner, endpoint, { ...names, status: 'CLOSED' });
  await t.notThrowsAsync(post(sender, owner, 'in time', own));
  await refusedWith(t, 'endpoint-closed', post(sender, owner, 'too late'));
});

test('ids are counted without gaps, whoever posts at the same moment', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const other = await bed.peer();
  await Promise.all(
    Array.from({ length: 100 }, (_, n) => post(n % 2 ? sender : other, owner, `${n}`)),
  );
  const messages = await owner.listMessages({ ...INBOX, limit: 200 });
  t.deepEqual(
    messages.map((message) => message.id),
    Array.from({ length: 100 }, (_, n) => n + 1),
  );
  t.is(new Set(messages.map((message) => message.text)).size, 100);
});

test('a list goes on after an id, up to a limit', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  for (let n = 1; n <= 5; n++) await post(sender, owner, `${n}`);
  t.deepEqual(await texts(owner, { limit: 2 }), ['1', '2']);
  t.deepEqual(await texts(owner, { after: 2, limit: 2 }), ['3', '4']);
  t.deepEqual(await texts(owner, { after: 4 }), ['5']);
  t.deepEqual(await texts(owner, { after: 5 }), []);
  await refusedWith(t, 'query-malformed', texts(owner, { limit: LIST_LIMIT_MAX + 1 }));
  await refusedWith(t, 'query-malformed', texts(owner, { after: -1 }));
});

test('what is released is gone, in any order of releases, and nothing else', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  for (let n = 1; n <= 5; n++) await post(sender, owner, `${n}`);
  await Promise.all([2, 4, 3, 4].map((upTo) => owner.releaseMessages({ ...INBOX, upTo })));
  t.deepEqual(await texts(owner), ['5']);
  await owner.releaseMessages({ ...INBOX, upTo: 1 });
  t.deepEqual(await texts(owner), ['5']);
  await refusedWith(t, 'last-message-mismatch', owner.releaseMessages({ ...INBOX, upTo: 6 }));
  await post(sender, owner, '6');
  const [, six] = await owner.listMessages(INBOX);
  t.is(six?.id, 6);
});

test('a backlog longer than one step is released whole', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed, { size_max: 2000 });
  await Promise.all(Array.from({ length: 600 }, (_, n) => post(sender, owner, `${n}`)));
  await owner.releaseMessages({ ...INBOX, upTo: 599 });
  t.deepEqual(
    (await owner.listMessages(INBOX)).map((message) => message.id),
    [600],
  );
});

test('a long poll is answered the moment a message arrives', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const tookMs: number[] = [];
  for (let round = 1; round <= 5; round++) {
    const waiting = owner.listMessages({ ...INBOX, after: round - 1, waitMs: 20_000 });
    await delay(50);
    const postedMs = performance.now();
    await post(sender, owner, `${round}`);
    t.deepEqual(
      (await waiting).map((message) => message.text),
      [`${round}`],
    );
    tookMs.push(performance.now() - postedMs);
  }
  // Without being woken each would take what is left of a second; a busy machine holds up some.
  t.true(Math.min(...tookMs) < 500, 'sooner than the fallback');
});

test('a message that arrives while a long poll is looking is not slept over', async (t) => {
  const arrivals = new Arrivals();
  let looks = 0;
  const look = async (): Promise<number[]> => {
    looks++;
    if (looks > 1) return [looks];
    arrivals.notify('mix_1');
    return [];
  };
  const startMs = performance.now();
  const found = await arrivals.until('mix_1', true, 20_000, new AbortController().signal, look);
  t.deepEqual(found, [2]);
  t.true(performance.now() - startMs < 500);
});

test('a long poll notices what another controller has stored', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const twin = await privateController(t, store(), { store: bed.store });
  const there = twin.client(owner.identity);
  const waiting = there.listMessages({ ...INBOX, waitMs: 10_000 });
  await delay(50);
  await post(sender, owner, 'elsewhere');
  t.is((await waiting).length, 1);
});

test('a long poll ends empty when its time is over, or when the client goes', async (t) => {
  const bed = await privateController(t, store());
  const [owner] = await mixPosition(bed);
  const startMs = performance.now();
  t.deepEqual(await owner.listMessages({ ...INBOX, waitMs: 300 }), []);
  const tookMs = performance.now() - startMs;
  t.true(tookMs >= 290 && tookMs < 5_000);
  for (let gone = 0; gone < 40; gone++) {
    const signal = AbortSignal.timeout(20);
    const left = owner.listMessages({ ...INBOX, waitMs: 20_000, signal });
    await refusedWith(t, 'controller-unreachable', left);
  }
  await t.notThrowsAsync(owner.listMessages({ ...INBOX, waitMs: 10 }), 'nobody waits any more');
});

test('more than 16 who wait at one endpoint are refused', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const waiting = Array.from({ length: 17 }, () =>
    owner.listMessages({ ...INBOX, waitMs: 20_000 }).then(
      () => 'read',
      (error: { code: string }) => error.code,
    ),
  );
  await Promise.race(waiting);
  await post(sender, owner, 'wake up');
  const answers = await Promise.all(waiting);
  t.is(answers.filter((answer) => answer === 'readers-too-many').length, 1);
  t.is(answers.filter((answer) => answer === 'read').length, 16);
});

test('only the owner reads and releases, and only with a signature', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  await post(sender, owner, 'secret');
  for (const box of ['INBOX', 'ACCEPTED', 'PROCESSBOX', 'OUTBOX'] as const) {
    await refusedWith(t, 'reader-refused', sender.listMessages({ ...INBOX, box }));
    const path = `/panoramix/messages?endpoint_id=mix_1&box=${box}`;
    t.is((await bed.fetch(path)).reason, 'signature-missing');
  }
  await refusedWith(t, 'reader-refused', sender.releaseMessages({ ...INBOX, upTo: 1 }));
  const path = '/panoramix/messages?endpoint_id=mix_1&box=INBOX&up_to=1';
  t.is((await bed.fetch(path, { method: 'DELETE' })).reason, 'signature-missing');
  t.deepEqual(await texts(owner), ['secret']);
  t.deepEqual(await owner.listMessages({ ...INBOX, box: 'OUTBOX' }), []);
  const unknown = owner.listMessages({ ...INBOX, endpointId: 'none' });
  await refusedWith(t, 'endpoint-unknown', unknown);
});

test('a message names its poster, its owner and a box that takes it', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const data = {
    endpoint_id: 'mix_1',
    box: 'INBOX',
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text: 'x',
    serial: serial(),
  };
  const reason = async (change: object): Promise<string | null> => {
    const answer = await bed.send('POST', '/panoramix/messages', sender.identity, {
      data: { ...data, ...change },
      info: { resource: 'message', operation: 'create' },
    });
    return answer.reason;
  };
  t.is(await reason({ sender: owner.identity.peerId }), 'key-foreign');
  t.is(await reason({ recipient: sender.identity.peerId }), 'recipient-foreign');
  t.is(await reason({ box: 'PROCESSBOX' }), 'box-refused');
  t.is(await reason({ box: 'OUTBOX' }), 'box-refused');
  t.is(await reason({ endpoint_id: 'none' }), 'endpoint-unknown');
  for (const malformed of [
    { box: 'LETTERBOX' },
    { serial: 'abc' },
    { text: '' },
    { text: 7 },
    { text: 'x'.repeat(128 * 1024 + 1) },
    { id: 1 },
  ]) {
    t.is(await reason(malformed), 'request-malformed');
  }
  t.deepEqual(await texts(owner), []);
  t.is(await reason({}), null);
});

const senders = [
  ['nodes', { node: true, peer: false, stranger: false }],
  ['peers', { node: true, peer: true, stranger: false }],
  ['anyone', { node: true, peer: true, stranger: true }],
] as const;

for (const [who, welcome] of senders) {
  test(`an endpoint whose senders are ${who} takes messages from them alone`, async (t) => {
    const bed = await privateController(t, store());
    const [owner, peer] = await mixPosition(bed, { senders: who });
    const [node, stranger] = [bed.client(), bed.client(createIdentity(native))];
    bed.nodes.add(node.identity.peerId);
    for (const [name, client] of Object.entries({ node, peer, stranger })) {
      const posted = post(client, owner, name);
      if (welcome[name as keyof typeof welcome]) await t.notThrowsAsync(posted, name);
      else await refusedWith(t, 'sender-refused', posted);
    }
  });
}

test('half of the backlog is kept for nodes, and what is released makes room', async (t) => {
  const bed = await privateController(t, store());
  const [owner, peer] = await mixPosition(bed, { size_max: 4 });
  const node = bed.client();
  bed.nodes.add(node.identity.peerId);
  for (const text of ['1', '2']) await post(peer, owner, text);
  await refusedWith(t, 'endpoint-full', post(peer, owner, '3'));
  for (const text of ['3', '4']) await post(node, owner, text);
  await refusedWith(t, 'endpoint-full', post(node, owner, '5'));
  await owner.releaseMessages({ ...INBOX, upTo: 3 });
  for (const text of ['5', '6', '7']) await post(node, owner, text);
  t.deepEqual(await texts(owner), ['4', '5', '6', '7']);
});

test('a full endpoint says when to come again', async (t) => {
  const bed = await privateController(t, store());
  const [owner, peer] = await mixPosition(bed, { size_max: 1 });
  await post(peer, owner, '1');
  const answer = await bed.send('POST', '/panoramix/messages', peer.identity, {
    data: {
      endpoint_id: 'mix_1',
      box: 'INBOX',
      sender: peer.identity.peerId,
      recipient: owner.identity.peerId,
      text: '2',
      serial: serial(),
    },
    info: { resource: 'message', operation: 'create' },
  });
  t.is(answer.status, 503);
  t.regex(answer.headers.get('retry-after') ?? '', /^\d+$/);
  t.is(answer.headers.get('content-type'), 'application/problem+json');
});

test('who owned an endpoint reads nothing when its id is another’s, long after its end', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [await bed.peer(), await bed.peer()];
  await openEndpoint(one, endpointOf(one.identity.peerId, 'again'));
  const list = (client: typeof one) => client.listMessages({ endpointId: 'again', box: 'INBOX' });
  t.deepEqual(await list(one), []);
  const { redis, prefix } = bed.store;
  t.is(await redis.del(`${prefix}:api:endpoint:again`), 1, 'as when it expires');
  await openEndpoint(two, endpointOf(two.identity.peerId, 'again'));
  bed.skew(61_000);
  await refusedWith(t, 'reader-refused', list(one));
  t.deepEqual(await list(two), []);
});

test('a list is taken message by message, each answered as it would have been alone', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed, { size_max: 6 });
  const message = (change: object = {}) => ({
    endpoint_id: 'mix_1',
    box: 'INBOX',
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text: 'x',
    serial: serial(),
    ...change,
  });
  const send = (data: readonly object[]) =>
    bed.send('POST', '/panoramix/messages/', sender.identity, {
      data,
      info: { resource: 'message', operation: 'create' },
    });
  const first = message({ text: '1' });
  const answer = await send([
    first,
    message({ endpoint_id: 'none' }),
    first,
    message({ sender: owner.identity.peerId }),
    message({ text: '2' }),
    message({ box: 'OUTBOX' }),
    message({ text: '3' }),
    message({ text: '4' }),
  ]);
  t.is(answer.status, 200, 'not all are stored');
  const items = answer.body as { data?: { message_hash: string }; problem?: { reason: string } }[];
  t.deepEqual(
    items.map((item) => item.problem?.reason ?? 'stored'),
    [
      'stored',
      'endpoint-unknown',
      'stored',
      'key-foreign',
      'stored',
      'box-refused',
      'stored',
      'endpoint-full',
    ],
  );
  t.is(items[0]?.data?.message_hash, messageHash(native, first as never));
  t.deepEqual(items[2], items[0], 'a repeat within the list');
  t.deepEqual(await texts(owner), ['1', '2', '3']);
  const again = await send([first, message({ endpoint_id: 'mix_1', text: '1' }), first].slice(2));
  t.is(again.status, 201);
  t.deepEqual(again.body, [{ data: items[0]?.data }] as never);
});

test('a list of none, of too many or of something else is refused whole', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const message = () => ({
    endpoint_id: 'mix_1',
    box: 'INBOX',
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text: 'x',
    serial: serial(),
  });
  for (const data of [
    [],
    Array.from({ length: POST_LIST_MAX + 1 }, message),
    [message(), { ...message(), text: 7 }],
    [message(), [message()]],
    [message(), null],
  ]) {
    const info = { resource: 'message', operation: 'create' };
    const answer = await bed.send('POST', '/panoramix/messages', sender.identity, { data, info });
    t.is(answer.reason, 'request-malformed');
  }
  t.deepEqual(await texts(owner), []);
});

test('a client cuts a long list into requests that are taken', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const posts = Array.from({ length: 150 }, (_, n) => ({
    endpoint_id: 'mix_1',
    box: 'INBOX' as const,
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    // Sixty of the longest are 8 MB; the others are short.
    text: n < 60 ? `${n}:`.padEnd(128 * 1024, '"') : `${n}:`,
    serial: serial(),
  }));
  await sender.postMessages(posts);
  const found: string[] = [];
  for (let after = 0; found.length < posts.length;) {
    const page = await owner.listMessages({ ...INBOX, after, limit: 256 });
    if (page.length === 0) break;
    found.push(...page.map((message) => message.text.split(':')[0] ?? ''));
    after = page.at(-1)?.id ?? 0;
  }
  t.deepEqual(
    found,
    posts.map((_, n) => `${n}`),
  );
});

test('what is refused in a list is the error of the client, and what stood before it is stored', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender] = await mixPosition(bed);
  const message = (text: string, endpoint_id: string) => ({
    endpoint_id,
    box: 'INBOX' as const,
    sender: sender.identity.peerId,
    recipient: owner.identity.peerId,
    text,
    serial: serial(),
  });
  const list = [message('1', 'mix_1'), message('2', 'none'), message('3', 'mix_1')];
  await refusedWith(t, 'endpoint-unknown', sender.postMessages(list));
  t.deepEqual(await texts(owner), ['1', '3']);
});
