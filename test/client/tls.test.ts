/** Controllers whose certificate is not believed, over real TLS with certificates of a real authority. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createPlain } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { createAuthority, type CertificateFiles } from '../network/certificates.ts';

const folder = await mkdtemp(join(tmpdir(), 'panoramix-client-tls-'));
const known = await createAuthority(join(folder, 'known'), 'Known CA');
const stranger = await createAuthority(join(folder, 'stranger'), 'Stranger CA');
tls.setDefaultCACertificates([await readFile(known.caFile, 'utf8')]);

test.after.always(() => rm(folder, { recursive: true }));

const HOUR_MS = 3_600_000;
const hosts = ['127.0.0.1'];

/** What a client of a controller with this certificate is told when it asks for the peers. */
async function told(t: ExecutionContext, files: CertificateFiles): Promise<unknown> {
  const [cert, key] = [await readFile(files.cert), await readFile(files.key)];
  const server = createServer({ cert, key }, (_, response) => response.end('[]'));
  return await askedOf(t, server, 'https');
}

async function askedOf(t: ExecutionContext, server: Server, protocol: string): Promise<unknown> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const client = new ControllerClient({
    url,
    identity: createIdentity(native),
    primitives: native,
  });
  return await client.listPeers().then(
    () => 'answered',
    (error: unknown) => error,
  );
}

test('a certificate that our authority signed for this host is believed', async (t) => {
  t.is(await told(t, await known.issue('good', { hosts })), 'answered');
});

const bad = [
  [
    'has expired',
    () =>
      known.issue('late', {
        hosts,
        fromMs: Date.now() - 2 * HOUR_MS,
        untilMs: Date.now() - HOUR_MS,
      }),
    'tls-expired',
    /renew/,
  ],
  [
    'is not valid yet',
    () =>
      known.issue('early', {
        hosts,
        fromMs: Date.now() + HOUR_MS,
        untilMs: Date.now() + 2 * HOUR_MS,
      }),
    'tls-expired',
    /clock/,
  ],
  [
    'is for another host',
    () => known.issue('other', { hosts: ['127.0.0.2', 'mix.example.org'] }),
    'tls-name-mismatch',
    /another name/,
  ],
  [
    'is of an unknown authority',
    () => stranger.issue('strange', { hosts }),
    'tls-untrusted',
    /tls_ca/,
  ],
] as const;
for (const [what, issue, code, remedy] of bad) {
  test(`a certificate that ${what} is ${code}, with what to do, and is tried again`, async (t) => {
    const error = await told(t, await issue());
    t.true(error instanceof PanoramixError);
    t.like(error, { code, temporary: true });
    t.regex((error as PanoramixError).message, remedy);
    t.regex((error as PanoramixError).message, /https:\/\/127\.0\.0\.1:\d+/);
  });
}

test('plain HTTP where TLS is expected is no answer', async (t) => {
  const error = await askedOf(
    t,
    createPlain((_, response) => response.end('{}')),
    'https',
  );
  t.like(error, { code: 'controller-unreachable' });
});

test('a client of a controller in plain HTTP on another host is not even made', (t) => {
  const options = { code: 'url-insecure' } as const;
  t.throws(() => clientOf('http://mix.example.org/'), options);
  t.throws(() => clientOf('https://mix.example.org/', 'http://192.0.2.7:8000/'), options);
  t.notThrows(() => clientOf('https://mix.example.org/'));
  // A tunnel's end, or the proxy beside: only this host sees it.
  t.notThrows(() => clientOf('https://mix.example.org/', 'http://127.0.0.1:8000/'));
});

function clientOf(url: string, address?: string): ControllerClient {
  return new ControllerClient({
    url,
    ...(address !== undefined && { address }),
    identity: createIdentity(native),
    primitives: native,
  });
}
