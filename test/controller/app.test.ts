import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { createController } from '../../controller/app.ts';
import { ERRORS } from '../../src/errors.ts';
import { signRequest, STALE_MS } from '../../src/api/signed.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import {
  endpointOf,
  openEndpoint,
  postTo,
  privateController,
  refusedWith,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const CREATE = { data: {}, info: { resource: 'negotiation', operation: 'create' } };

test('a refusal is a problem document of RFC 9457, and the log names its reason', async (t) => {
  const bed = await privateController(t, store());
  const answer = await bed.fetch('/panoramix/negotiations/secret-id');
  t.is(answer.status, 404);
  t.is(answer.headers.get('content-type'), 'application/problem+json');
  t.deepEqual(answer.body, {
    type: 'urn:panoramix:problem:negotiation-unknown',
    title: ERRORS['negotiation-unknown'].text,
    status: 404,
    reason: 'negotiation-unknown',
  });
  const [line] = bed.log;
  t.is(line?.reason, 'negotiation-unknown');
  t.false(JSON.stringify(bed.log).includes('secret-id'));
});

test('what is not there has its reason too', async (t) => {
  const bed = await privateController(t, store());
  const reason = async (method: string, path: string): Promise<string | null> =>
    (await bed.fetch(path, { method })).reason;
  for (const path of ['/', '/panoramix', '/panoramix/', '/panoramix/votes', '/peers', '/x/%zz']) {
    t.is(await reason('GET', path), 'path-unknown', path);
  }
  t.is(await reason('GET', '/panoramix/negotiations'), 'method-refused');
  t.is(await reason('DELETE', '/panoramix/peers/x'), 'method-refused');
  t.is(await reason('PUT', '/panoramix/endpoint/x'), 'method-refused');
  t.is(await reason('GET', '/panoramix/peers/%zz'), 'peer-unknown');
  t.is(await reason('GET', '/panoramix/peers/%00'), 'peer-unknown');
});

const bodies: readonly (readonly [string, string | Uint8Array<ArrayBuffer>, string])[] = [
  ['nothing', '', 'json-malformed'],
  ['no JSON', '<xml/>', 'json-malformed'],
  ['a duplicate key', '{"data":{},"data":{}}', 'json-malformed'],
  ['a prototype', '{"__proto__":{}}', 'json-malformed'],
  ['a hundred thousand brackets', '['.repeat(100_000), 'json-malformed'],
  ['bytes that are no text', new Uint8Array(1000).fill(0xff), 'json-malformed'],
  ['a number', '7', 'request-malformed'],
  ['null', 'null', 'request-malformed'],
  ['a list', '[]', 'request-malformed'],
  ['an empty object', '{}', 'request-malformed'],
  ['a meta that is no object', '{"meta":[]}', 'request-malformed'],
  ['no signature', '{"data":{},"info":{},"meta":{"key_data":"x"}}', 'signature-missing'],
  ['a signature that is none', '{"meta":{"key_data":"x","signature":"y"}}', 'signature-invalid'],
  ['three megabytes', ' '.repeat(3_000_000), 'body-too-large'],
];

for (const [what, body, reason] of bodies) {
  test(`a body of ${what} is refused at every door, and the controller goes on`, async (t) => {
    const bed = await privateController(t, store());
    for (const [method, path] of [
      ['POST', 'negotiations'],
      ['POST', 'contributions'],
      ['POST', 'peers'],
      ['PATCH', 'peers/x'],
      ['POST', 'endpoints'],
      ['PATCH', 'endpoint/x'],
      ['POST', 'messages'],
    ] as const) {
      const answer = await bed.fetch(`/panoramix/${path}`, { method, body });
      t.is(answer.reason, reason, path);
    }
    t.is((await bed.fetch('/health')).status, 200);
  });
}

test('a body of a million values is refused before anybody pays for reading it', async (t) => {
  const bed = await privateController(t, store());
  const meta = { key_data: 'x', signature: 'y' };
  const body = `{"data":[${'0,'.repeat(1_000_000)}0],"meta":${JSON.stringify(meta)}}`;
  const answer = await bed.fetch('/panoramix/contributions', { method: 'POST', body });
  t.is(answer.reason, 'json-malformed');
});

test('a signed request is refused where it is stale, for others, or for another door', async (t) => {
  const bed = await privateController(t, store());
  const identity = createIdentity(native);
  const reason = async (path: string, context = {}, body: object = CREATE): Promise<unknown> =>
    (await bed.send('POST', path, identity, body as typeof CREATE, context)).reason;
  const door = '/panoramix/negotiations';
  t.is(await reason(door, { nowMs: bed.now() - STALE_MS - 1_000 }), 'request-stale');
  t.is(await reason(door, { nowMs: bed.now() + STALE_MS + 1_000 }), 'request-stale');
  t.is(await reason(door, { catalogUrl: 'http://127.0.0.1:1/' }), 'catalog-foreign');
  t.is(await reason('/panoramix/peers'), 'request-malformed');
  t.is(await reason(door, {}, { ...CREATE, data: { a: 1 } }), 'request-malformed');
  t.is(await reason(door, {}, { ...CREATE, more: 1 }), 'request-malformed');
  t.is(await reason(door), null);
});

test('every byte of a signed request counts', async (t) => {
  const bed = await privateController(t, store());
  const context = { nowMs: bed.now(), catalogUrl: bed.url };
  const text = JSON.stringify(signRequest(native, createIdentity(native), CREATE, context));
  const post = (body: string) => bed.fetch('/panoramix/negotiations', { method: 'POST', body });
  for (let at = 3; at < text.length; at += 23) {
    const code = text.charCodeAt(at);
    const altered = text.slice(0, at) + String.fromCharCode(code ^ 1) + text.slice(at + 1);
    t.not((await post(altered)).status, 201, `byte ${at}`);
  }
  t.is((await post(text)).status, 201);
});

test('health tells whether Redis answers', async (t) => {
  const bed = await privateController(t, store());
  for (const path of ['/health', '/panoramix/health', '/health/']) {
    const answer = await bed.fetch(path);
    t.is(answer.status, 200);
    t.deepEqual(answer.body, { status: 'ok', storage: 'open' });
  }
});

test('health says what its operator proposes to who creates a mixnet there', async (t) => {
  const proposal = { purpose: 'batch', body_len: 1024 };
  const bed = await privateController(t, store(), { proposal });
  t.deepEqual((await bed.fetch('/health')).body, { status: 'ok', storage: 'open', proposal });
});

test('while storage fills up messages wait first, then everything new, but not what removes', async (t) => {
  let state: 'open' | 'entry-closed' | 'settle-only' = 'open';
  const shared = store();
  const pressed = {
    redis: shared.redis,
    prefix: `${shared.prefix}:pressed`,
    pressure: () => state,
  };
  const bed = await privateController(t, shared, { store: pressed });
  const owner = await bed.peer();
  const recipient = owner.identity.peerId;
  await openEndpoint(owner, endpointOf(recipient, 'ep'));
  const post = () => postTo(owner, { endpointId: 'ep', recipient, text: 'x', serial: serial() });
  await post();
  state = 'entry-closed';
  await refusedWith(t, 'storage-pressure', post());
  const shouted = await bed.fetch('/PANORAMIX/Messages/', { method: 'POST', body: '{}' });
  t.is(shouted.reason, 'storage-pressure');
  await t.notThrowsAsync(owner.createNegotiation());
  state = 'settle-only';
  await refusedWith(t, 'storage-pressure', post());
  await refusedWith(t, 'storage-pressure', owner.createNegotiation());
  t.is((await owner.listMessages({ endpointId: 'ep', box: 'INBOX' })).length, 1);
  await t.notThrowsAsync(owner.releaseMessages({ endpointId: 'ep', box: 'INBOX', upTo: 1 }));
  state = 'open';
  await post();
});

test('pages of any origin may use the API, by signature alone', async (t) => {
  const bed = await privateController(t, store());
  const asked = await bed.fetch('/panoramix/messages', {
    method: 'OPTIONS',
    headers: { origin: 'https://example.org', 'access-control-request-method': 'POST' },
  });
  t.is(asked.status, 204);
  t.is(asked.headers.get('access-control-allow-origin'), '*');
  t.regex(asked.headers.get('access-control-allow-headers') ?? '', /Signature-Input/);
  const read = await bed.fetch('/panoramix/peers');
  t.is(read.headers.get('access-control-allow-origin'), '*');
});

test('a controller may stand below a path of a proxy that peers see and it does not', async (t) => {
  const url = 'https://proxy.example/mix';
  const bed = await privateController(t, store(), { catalogUrl: url });
  const identity = createIdentity(native);
  const client = new ControllerClient({ url, address: bed.url, identity, primitives: native });
  t.is(client.url, 'https://proxy.example/mix/');
  await client.registerPeer('owner');
  await openEndpoint(client, endpointOf(identity.peerId, 'ep'));
  t.deepEqual(await client.listMessages({ endpointId: 'ep', box: 'INBOX' }), []);
  const astray = new ControllerClient({ url: bed.url, identity, primitives: native });
  await refusedWith(t, 'catalog-foreign', astray.createNegotiation());
  const list = astray.listMessages({ endpointId: 'ep', box: 'INBOX' });
  await refusedWith(t, 'signature-invalid', list);
});

test('what breaks off, stalls or is no HTTP ends its own connection only', async (t) => {
  const controller = createController({
    store: { redis: store().redis, prefix: '{panoramix}:raw', pressure: () => 'open' },
    primitives: native,
    catalogUrl: 'http://raw/',
    log: silentLog,
  });
  const server = await controller.listen(0, '127.0.0.1');
  t.teardown(() => controller.close());
  const { port } = server.address() as { port: number };
  const post =
    'POST /panoramix/messages HTTP/1.1\r\nHost: raw\r\nContent-Length: 100000\r\n\r\n{"data"';
  for (const bytes of ['', 'no http\r\n\r\n', 'GET / HTTP/1.1\r\n', post, `${post}\0\0`]) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(bytes);
    await delay(20);
    socket.destroy();
  }
  const stalled = connect(port, '127.0.0.1');
  stalled.write(post);
  t.is((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
  const startMs = performance.now();
  await controller.close();
  t.true(performance.now() - startMs < 5_000, 'a stalled client does not hold up the end');
  stalled.destroy();
});

test('a target that is no URL has its reason, and is no bug', async (t) => {
  const bed = await privateController(t, store());
  const { port, hostname } = new URL(bed.url);
  const socket = connect(Number(port), hostname);
  const answer = new Promise<Buffer>((resolve) => void socket.once('data', resolve));
  socket.write('GET http://[::1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  t.regex(String(await answer), /404 Not Found[^]*path-unknown/);
  t.deepEqual(
    bed.log.map((line) => line.reason),
    ['path-unknown'],
  );
});

test('who sends many requests at once on one connection loses it', async (t) => {
  const bed = await privateController(t, store());
  const { port, hostname } = new URL(bed.url);
  const socket = connect(Number(port), hostname);
  let answers = '';
  socket.on('data', (part) => (answers += String(part)));
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => void socket.once('close', resolve));
  socket.write('GET /panoramix/peers HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
  await closed;
  t.true(answers.split('HTTP/1.1 200').length <= 5);
  t.is((await bed.fetch('/health')).status, 200);
});

test('a thousand slow senders of long bodies do not fill the memory', async (t) => {
  const bed = await privateController(t, store());
  const { port, hostname } = new URL(bed.url);
  const part = Buffer.alloc(1_900_000, ' ');
  const head =
    'POST /panoramix/contributions HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n';
  const answers: string[] = [];
  const sockets = Array.from({ length: 80 }, () => {
    const socket = connect(Number(port), hostname);
    socket.on('data', (bytes) => answers.push(String(bytes)));
    socket.on('error', () => undefined);
    socket.write(head);
    socket.write(part);
    return socket;
  });
  while (answers.length === 0) await delay(20);
  t.regex(answers[0] ?? '', /requests-too-many/);
  t.regex(answers[0] ?? '', /Retry-After/i);
  for (const socket of sockets) socket.destroy();
  await delay(100);
  t.is((await bed.fetch('/panoramix/contributions', { method: 'POST' })).status, 400);
});

test('closing ends long polls at once, with an answer', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const controller = createController({
    store: { redis: store().redis, prefix: '{panoramix}:closing', pressure: () => 'open' },
    primitives: native,
    catalogUrl: url,
    log: silentLog,
  });
  await controller.listen(port, '127.0.0.1');
  const identity = createIdentity(native);
  const client = new ControllerClient({ url, identity, primitives: native });
  await client.registerPeer('owner');
  await openEndpoint(client, endpointOf(identity.peerId, 'ep'));
  const waiting = client.listMessages({ endpointId: 'ep', box: 'INBOX', waitMs: 20_000 });
  await delay(100);
  const startMs = performance.now();
  await controller.close();
  t.deepEqual(await waiting, []);
  t.true(performance.now() - startMs < 3_000);
});

test('a storage that is gone is 503, and never the end of the process', async (t) => {
  const shared = store();
  const redis = shared.redis.duplicate({ enableOfflineQueue: false, retryStrategy: () => null });
  redis.on('error', () => undefined);
  const gone = { redis, prefix: '{panoramix}:gone', pressure: () => 'open' as const };
  const bed = await privateController(t, shared, { store: gone });
  redis.disconnect();
  const client = bed.client();
  await refusedWith(t, 'redis-unavailable', client.createNegotiation());
  await refusedWith(t, 'redis-unavailable', client.listPeers());
  t.is((await bed.fetch('/health')).status, 503);
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
