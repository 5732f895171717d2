/** The controller's own TLS: what it speaks, what it refuses, and what somebody on the wire can tell of packets. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectPlain, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { createController } from '../../controller/app.ts';
import { LIMITS } from '../../controller/limits.ts';
import { toBase64url } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { travelByFetch } from '../../src/client/http.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { createNodeHttp } from '../../src/mixer/node-http.ts';
import { readServerTls, trustAuthorities } from '../../src/tls-files.ts';
import { createAuthority } from '../network/certificates.ts';
import { endpointOf, openEndpoint, serial, sharedStore } from './private-controller.ts';
import { type SeenRecord, startRecordRelay } from './record-relay.ts';

/** A packet for mail (src/mixnet/README.md). */
const PACKET_BYTES = 33_104;
const store = sharedStore(test);
let controllers = 0;
/** Nodes ask by node:http, wizards and browsers by fetch. */
const WAYS = { 'node:http': createNodeHttp(), fetch: travelByFetch };

/** A controller over TLS and, before it, a relay that counts: the URL is the relay's. */
async function serve(t: ExecutionContext): Promise<{
  readonly url: string;
  readonly port: number;
  readonly connections: readonly (readonly SeenRecord[])[];
}> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-controller-tls-'));
  const authority = await createAuthority(folder);
  const files = await authority.issue('controller', { hosts: ['127.0.0.1'] });
  trustAuthorities(authority.caFile);
  let port = 0;
  const relay = await startRecordRelay(() => port);
  const url = `https://127.0.0.1:${relay.port}/`;
  const { redis, prefix } = store();
  const made = createController({
    primitives: native,
    catalogUrl: url,
    log: silentLog,
    limits: LIMITS,
    store: { redis, prefix: `${prefix}:tls${++controllers}`, pressure: () => 'open' },
  });
  const server = await made.listenTls(0, '127.0.0.1', readServerTls(files).tls);
  port = (server.address() as AddressInfo).port;
  t.teardown(async () => {
    await made.close();
    relay.stop();
    await rm(folder, { recursive: true });
  });
  return { url, port, connections: relay.connections };
}

for (const [way, travel] of Object.entries(WAYS)) {
  test(`packets by ${way} and their answers cannot be told apart by the length of anything on the wire`, async (t) => {
    const { url, connections } = await serve(t);
    const identity = createIdentity(native);
    const client = new ControllerClient({ url, identity, primitives: native, travel });
    await client.registerPeer('a node');
    await openEndpoint(client, endpointOf(identity.peerId, 'mix'));
    const before = connections.map((records) => records.length);
    const seen = (): string[] =>
      connections.flatMap((records, i) => exchangesIn(records.slice(before[i])));
    const packets = 20;
    for (let i = 0; i < packets; i++) {
      await client.postMessage({
        endpointId: 'mix',
        recipient: identity.peerId,
        text: toBase64url(native.random(PACKET_BYTES)),
        serial: serial(),
      });
    }
    t.is(connections.length, before.length, 'connections are kept');
    const exchanges = seen();
    t.is(exchanges.length, packets);
    t.is(new Set(exchanges).size, 1, [...new Set(exchanges)].join('\n'));
    t.log(exchanges[0]);
    // A longer text is seen: the comparison can fail.
    await client.postMessage({
      endpointId: 'mix',
      recipient: identity.peerId,
      text: toBase64url(native.random(PACKET_BYTES + 1)),
      serial: serial(),
    });
    t.is(new Set(seen()).size, 2);
  });
}

/** Each request with its answer: the lengths of their records, in order, such as `> 400 16406 … < 700`. */
function exchangesIn(records: readonly SeenRecord[]): string[] {
  const exchanges: string[] = [];
  let last: SeenRecord['from'] = 'server';
  for (const { from, kind, bytes } of records) {
    if (from === 'client' && last === 'server') exchanges.push('>');
    const arrow = from === 'server' && last === 'client' ? ' <' : '';
    exchanges[exchanges.length - 1] += `${arrow} ${kind === 23 ? '' : `${kind}:`}${bytes}`;
    last = from;
  }
  return exchanges;
}

test('it speaks TLS 1.3, and 1.2 to who cannot, and nothing older', async (t) => {
  const { port } = await serve(t);
  const spoken = (options: tls.ConnectionOptions): Promise<string | null> =>
    new Promise((resolve) => {
      const socket = tls.connect({ host: '127.0.0.1', port, ...options }, () => {
        resolve(socket.getProtocol());
        socket.destroy();
      });
      socket.once('error', ({ message }) => resolve(message));
    });
  t.is(await spoken({}), 'TLSv1.3');
  t.is(await spoken({ maxVersion: 'TLSv1.2' }), 'TLSv1.2');
  // What our own OpenSSL refuses to speak it is made to speak here, else the server would never be asked.
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  t.regex((await spoken(old)) ?? '', /alert protocol version/);
});

test('plain HTTP at its door gets no answer', async (t) => {
  const { port } = await serve(t);
  const said = await new Promise<string>((resolve) => {
    const socket = connectPlain(port, '127.0.0.1', () =>
      socket.write('GET /panoramix/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
    );
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(Buffer.from(part))).once('error', () => undefined);
    socket.once('close', () => resolve(Buffer.concat(parts).toString('latin1')));
  });
  t.notRegex(said, /HTTP\/1\.1 2/);
  t.false(said.includes('"ok"'));
});

test('a client takes a session up again instead of a whole handshake', async (t) => {
  const { port } = await serve(t);
  const session = await new Promise<Buffer>((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port });
    socket.once('session', (ticket) => {
      resolve(ticket);
      socket.destroy();
    });
    socket.once('error', reject);
  });
  const isReused = await new Promise<boolean>((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, session }, () => {
      resolve(socket.isSessionReused());
      socket.destroy();
    });
    socket.once('error', reject);
  });
  t.true(isReused);
});
