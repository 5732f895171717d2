/** Both ways to a controller, fetch and node:http, beside one server that answers well and badly: the same is believed. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { exchange, travelByFetch, type Exchange } from '../../src/client/http.ts';
import { PanoramixError } from '../../src/errors.ts';
import { createNodeHttp } from '../../src/mixer/node-http.ts';
import { createAuthority } from '../network/certificates.ts';

const MB = 1024 * 1024;
const WAYS = { 'node:http': createNodeHttp(), fetch: travelByFetch };

/** What a server does with a request, and what whoever asked gets: an answer, or the reason of an error. */
const ANSWERS: Readonly<
  Record<
    string,
    {
      readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
      readonly gets: unknown;
    }
  >
> = {
  'an answer': { answer: json(201, '{"data":{"id":7}}'), gets: { data: { id: 7 } } },
  'nothing to say': { answer: json(204, ''), gets: null },
  'a refusal by its reason': {
    answer: json(409, '{"type":"about:blank","status":409,"title":"x","reason":"endpoint-closed"}'),
    gets: 'endpoint-closed',
  },
  'a refusal without a reason': { answer: json(404, '{}'), gets: 'answer-malformed' },
  'a failure of a proxy': { answer: json(502, '<html>'), gets: 'controller-unreachable' },
  'what is no JSON': { answer: json(200, '{"a":1,"a":2}'), gets: 'answer-malformed' },
  'more than is read': {
    answer: json(201, `"${'x'.repeat(2 * MB)}"`),
    gets: 'answer-malformed',
  },
  'a place to go on to': {
    answer: (_, response) => response.writeHead(307, { location: '/elsewhere' }).end(),
    gets: 'controller-unreachable',
  },
  'the end of the connection': {
    answer: (request) => request.socket.destroy(),
    gets: 'controller-unreachable',
  },
  'half of an answer': {
    answer: (_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"data":');
      setTimeout(() => response.destroy(), 50);
    },
    gets: 'controller-unreachable',
  },
  silence: { answer: () => undefined, gets: 'controller-unreachable' },
  'half of an answer, then silence': {
    answer: (_, response) => void response.writeHead(200).write('{"data":'),
    gets: 'controller-unreachable',
  },
  'a switch to another protocol': {
    answer: ({ socket }) =>
      void socket.write('HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    gets: 'controller-unreachable',
  },
  'no end of heads': {
    answer: ({ socket }) => {
      const more = setInterval(() => socket.write('HTTP/1.1 103 Soon\r\nlink: x\r\n\r\n'), 10);
      socket.once('close', () => clearInterval(more)).on('error', () => undefined);
    },
    gets: 'controller-unreachable',
  },
  'a head without an end': {
    answer: ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const more = setInterval(() => socket.write(`x: ${'y'.repeat(1_000)}\r\n`), 5);
      socket.once('close', () => clearInterval(more)).on('error', () => undefined);
    },
    gets: 'controller-unreachable',
  },
};

for (const [name, { answer, gets }] of Object.entries(ANSWERS)) {
  for (const [way, travel] of Object.entries(WAYS)) {
    test(`${name} comes to the same by ${way}`, async (t) => {
      const url = await served(t, createServer(answered(answer)), 'http');
      const asked = { url, method: 'POST', body: '{"x":1}', timeoutMs: 1_000 } as const;
      t.deepEqual(await outcome(exchange(asked, travel)), gets);
    });
  }
}

for (const [way, travel] of Object.entries(WAYS)) {
  test(`what is sent arrives as it is, and the answer's date is told, by ${way}`, async (t) => {
    const seen: unknown[] = [];
    const body = JSON.stringify({ text: 'ä'.repeat(30_000) });
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { method, url, headers } = request;
        seen.push([
          method,
          url,
          headers['content-type'],
          headers['content-length'],
          headers['x-a'],
        ]);
        seen.push(Buffer.concat(parts).toString());
        response.setHeader('date', 'Sun, 06 Nov 1994 08:49:37 GMT').end('{}');
      });
    });
    const url = await served(t, server, 'http');
    url.search = '?a=b';
    const heard: number[] = [];
    const common = { timeoutMs: 5_000, heard: (dateMs: number) => void heard.push(dateMs) };
    const headers = { 'x-a': 'b' };
    await exchange({ ...common, url, method: 'PATCH', headers, body }, travel);
    await exchange({ ...common, url, method: 'DELETE', headers }, travel);
    const length = String(Buffer.byteLength(body));
    t.deepEqual(seen, [
      ['PATCH', '/?a=b', 'application/json', length, 'b'],
      body,
      ['DELETE', '/?a=b', undefined, undefined, 'b'],
      '',
    ]);
    t.deepEqual(heard, [784_111_777_000, 784_111_777_000]);
  });

  test(`who gives up is heard at once by ${way}, before an answer and within one`, async (t) => {
    for (const begins of [false, true]) {
      const server = createServer((_, response) => {
        if (begins) response.writeHead(200).write('[');
      });
      const url = await served(t, server, 'http');
      const stopping = new AbortController();
      setTimeout(() => stopping.abort(), 100);
      const startMs = performance.now();
      const asked: Exchange = { url, method: 'GET', timeoutMs: 20_000, signal: stopping.signal };
      t.is(await outcome(exchange(asked, travel)), 'controller-unreachable');
      t.true(performance.now() - startMs < 5_000);
    }
  });

  test(`one request after the other takes the same connection by ${way}`, async (t) => {
    let connections = 0;
    const server = createServer(json(200, '[]')).on('connection', () => connections++);
    const url = await served(t, server, 'http');
    for (let i = 0; i < 20; i++) {
      await exchange({ url, method: 'POST', body: '{}', timeoutMs: 5_000 }, travel);
    }
    t.true(connections <= 2, `${connections} connections`);
  });

  test.serial(`a certificate is believed, or not, for the same reason by ${way}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'panoramix-node-http-'));
    t.teardown(() => rm(folder, { recursive: true }));
    const authority = await createAuthority(join(folder, 'ours'), 'Ours');
    tls.setDefaultCACertificates([await readFile(authority.caFile, 'utf8')]);
    for (const [name, hosts, gets] of [
      ['good', ['127.0.0.1'], []],
      ['other', ['127.0.0.2'], 'tls-name-mismatch'],
    ] as const) {
      const files = await authority.issue(name, { hosts: [...hosts] });
      const [cert, key] = [await readFile(files.cert), await readFile(files.key)];
      const url = await served(t, createTlsServer({ cert, key }, json(200, '[]')), 'https');
      const asked = { url, method: 'POST', body: '{}', timeoutMs: 5_000 } as const;
      t.deepEqual(await outcome(exchange(asked, travel)), gets);
    }
  });
}

for (const [way, travel] of Object.entries(WAYS)) {
  test(`who switches to another protocol is not waited for, by ${way}`, async (t) => {
    const { answer } = ANSWERS['a switch to another protocol'] as (typeof ANSWERS)[string];
    const url = await served(t, createServer(answered(answer)), 'http');
    const startMs = performance.now();
    const asked = { url, method: 'POST', body: '{}', timeoutMs: 20_000 } as const;
    t.is(await outcome(exchange(asked, travel)), 'controller-unreachable');
    t.true(performance.now() - startMs < 10_000);
  });
}

test('a connection that its controller has ended while nobody used it is not used again', async (t) => {
  const server = createServer({ keepAliveTimeout: 50 }, json(200, '[]'));
  const url = await served(t, server, 'http');
  for (let i = 0; i < 5; i++) {
    const asked = { url, method: 'POST', body: '{}', timeoutMs: 5_000 } as const;
    t.deepEqual(await outcome(exchange(asked, WAYS['node:http'])), []);
    await sleep(150);
  }
});

function json(status: number, text: string) {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  };
}

/** After all of the request has come: a server that answers sooner may end the connection. */
function answered(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    request.resume().once('end', () => answer(request, response));
  };
}

async function served(t: ExecutionContext, server: Server, protocol: string): Promise<URL> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    if ('closeAllConnections' in server) (server.closeAllConnections as () => void)();
  });
  return new URL(`${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

async function outcome(answer: Promise<unknown>): Promise<unknown> {
  return await answer.catch((error: unknown) =>
    error instanceof PanoramixError ? error.code : `no reason: ${String(error)}`,
  );
}
