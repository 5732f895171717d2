import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { problemOf } from '../../src/api/problem.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { type ErrorCode, PanoramixError } from '../../src/errors.ts';

const message = {
  endpointId: 'mix_1',
  recipient: 'a'.repeat(64),
  text: 'cipher',
  serial: '0'.repeat(32),
};

/** A controller that says whatever it likes. */
async function hostile(t: ExecutionContext, answer: RequestListener): Promise<ControllerClient> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const identity = createIdentity(native);
  return new ControllerClient({ url, identity, primitives: native, timeoutMs: 500 });
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    return error instanceof PanoramixError ? error.code : 'unexpected';
  }
}

test('the reason of a problem document becomes the code of the error', async (t) => {
  for (const reason of ['endpoint-closed', 'endpoint-full', 'storage-pressure'] as const) {
    const client = await hostile(t, (_, response) => {
      const document = problemOf(reason);
      response.writeHead(document.status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(document));
    });
    t.is(await codeOf(client.postMessage(message)), reason);
  }
});

const answers: readonly (readonly [string, RequestListener, ErrorCode])[] = [
  ['another port', (request) => request.socket.destroy(), 'controller-unreachable'],
  ['nothing at all', () => undefined, 'controller-unreachable'],
  ['headers and then nothing', (_, response) => response.write(' '), 'controller-unreachable'],
  ['a page of a proxy', say(502, '<html>Bad gateway</html>'), 'controller-unreachable'],
  ['a reason that we do not know', say(503, '{"reason":"no"}'), 'controller-unreachable'],
  ['a refusal without a reason', say(404, 'Not found'), 'answer-malformed'],
  ['no JSON', say(200, 'ok'), 'answer-malformed'],
  ['a duplicate key', say(200, '{"data":[],"data":[]}'), 'answer-malformed'],
  ['another shape', say(200, '[{"data":{"id":"1"}}]'), 'answer-malformed'],
  ['an empty answer', say(200, ''), 'answer-malformed'],
  ['a redirect', redirect, 'controller-unreachable'],
];

for (const [what, answer, code] of answers) {
  test(`a controller that answers with ${what} is an error, never a bug`, async (t) => {
    const client = await hostile(t, answer);
    const list = client.listMessages({ endpointId: 'mix_1', box: 'INBOX' });
    t.is(await codeOf(list), code);
  });
}

test('an answer without end is given up', async (t) => {
  const megabyte = Buffer.alloc(1024 * 1024, ' ');
  let sent = 0;
  const client = await hostile(t, (_, response) => {
    const more = (error?: Error | null): void => {
      sent++;
      if (!error) response.write(megabyte, more);
    };
    more();
  });
  const patient = new ControllerClient({
    url: client.url,
    identity: createIdentity(native),
    primitives: native,
    timeoutMs: 20_000,
  });
  t.is(await codeOf(patient.getNodes('x')), 'answer-malformed');
  t.true(sent < 200);
});

test('a hostile controller cannot answer a packet with much to read', async (t) => {
  for (const status of [201, 503]) {
    const long = await hostile(t, say(status, `"${'x'.repeat(1024 * 1024)}"`));
    t.is(await codeOf(long.postMessage(message)), 'answer-malformed');
    const values = await hostile(t, say(status, `[${'0,'.repeat(400_000)}0]`));
    const code = status === 201 ? 'answer-malformed' : 'controller-unreachable';
    t.is(await codeOf(values.postMessage(message)), code);
  }
});

test('nobody at the port is unreachable', async (t) => {
  const identity = createIdentity(native);
  const client = new ControllerClient({ url: 'http://127.0.0.1:1', identity, primitives: native });
  t.is(await codeOf(client.listPeers()), 'controller-unreachable');
});

test('a caller who has had enough ends a long poll', async (t) => {
  const client = await hostile(t, () => undefined);
  const stop = new AbortController();
  const startMs = performance.now();
  const list = client.listMessages({
    endpointId: 'mix_1',
    box: 'INBOX',
    waitMs: 30_000,
    signal: stop.signal,
  });
  setTimeout(() => stop.abort(), 50);
  t.is(await codeOf(list), 'controller-unreachable');
  t.true(performance.now() - startMs < 5_000);
});

test('what is not there is null, where a caller may ask for it', async (t) => {
  t.is(await (await hostile(t, problem('peer-unknown'))).getPeer('x'), null);
  t.is(await (await hostile(t, problem('negotiation-unknown'))).getNegotiation('x'), null);
  t.is(await (await hostile(t, problem('endpoint-unknown'))).getEndpoint('x'), null);
  const path = await hostile(t, problem('path-unknown'));
  t.is(await codeOf(path.getPeer('x')), 'path-unknown');
});

test('the URL may be given in any spelling, and portable primitives serve as well', (t) => {
  for (const url of ['https://host:8000', 'https://host:8000/panoramix/']) {
    const identity = createIdentity(portable);
    const client = new ControllerClient({ url, identity, primitives: portable });
    t.is(client.url, 'https://host:8000/');
  }
});

function problem(reason: ErrorCode): RequestListener {
  return say(404, JSON.stringify(problemOf(reason)));
}

function say(status: number, body: string): RequestListener {
  return (_, response) => {
    response.writeHead(status);
    response.end(body);
  };
}

function redirect(...[, response]: Parameters<RequestListener>): void {
  response.writeHead(302, { location: 'http://127.0.0.1:1/' });
  response.end();
}
