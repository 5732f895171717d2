/** Certificates on disk: what is refused, and how a server over TLS takes a renewed one without a restart. */
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { PanoramixError } from '../src/errors.ts';
import { silentLog, type Log } from '../src/log.ts';
import { readServerTls, trustAuthorities, watchServerTls } from '../src/tls-files.ts';
import { type Authority, type CertificateFiles, createAuthority } from './network/certificates.ts';

const HOUR_MS = 3_600_000;
const LOOK_MS = 20;
const hosts = ['127.0.0.1'];

interface Place {
  readonly folder: string;
  readonly authority: Authority;
  readonly files: CertificateFiles;
}

async function makePlace(t: ExecutionContext): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-tls-files-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const authority = await createAuthority(join(folder, 'ca'));
  return { folder, authority, files: await authority.issue('own', { hosts }) };
}

function refusal(t: ExecutionContext, files: CertificateFiles): string {
  const error = t.throws(() => readServerTls(files), { instanceOf: PanoramixError });
  t.is(error.code, 'config-invalid');
  return error.message;
}

test('a certificate and its key are read, with its end', async (t) => {
  const { authority, folder } = await makePlace(t);
  const untilMs = Date.now() + HOUR_MS;
  const files = await authority.issue('hour', { hosts, untilMs });
  const read = readServerTls(files);
  t.true(Math.abs(read.expiresMs - untilMs) < 1_000);
  t.is(read.tls.minVersion, 'TLSv1.2');
  t.regex(refusal(t, { ...files, cert: join(folder, 'none.pem') }), /none\.pem cannot be read/);
});

test('a key that others may read is refused, as are a stranger’s key and what is no certificate', async (t) => {
  const { authority, files, folder } = await makePlace(t);
  await chmod(files.key, 0o640);
  t.regex(refusal(t, files), /may be read by others \(mode 640\)/);
  await chmod(files.key, 0o600);
  t.notThrows(() => readServerTls(files));
  const other = await authority.issue('other', { hosts });
  t.regex(refusal(t, { cert: files.cert, key: other.key }), /no certificate and its key/);
  await writeFile(join(folder, 'text.pem'), 'hello');
  t.regex(refusal(t, { ...files, cert: join(folder, 'text.pem') }), /no certificate and its key/);
});

interface Served {
  /** Common name of the certificate that a client sees now. */
  readonly seen: () => Promise<string>;
  readonly said: readonly Said[];
  /** Waits until it has said such a thing. */
  readonly says: (such: (line: Said) => boolean) => Promise<void>;
}

interface Said {
  readonly level: string;
  readonly reason?: string;
  readonly error?: string;
}

/** A TLS server on these files that watches them. */
async function serve(
  t: ExecutionContext,
  files: CertificateFiles,
  caFile: string,
): Promise<Served> {
  trustAuthorities(caFile);
  const said: Said[] = [];
  const note = (level: string) => (fields: object) => void said.push({ level, ...fields });
  const log = { ...silentLog, info: note('info'), warn: note('warn'), error: note('error') } as Log;
  const current = readServerTls(files);
  const server = createServer(current.tls, (_, response) => response.end('here'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const unwatch = watchServerTls(files, current, (read) => server.setSecureContext(read), {
    log,
    lookMs: LOOK_MS,
  });
  t.teardown(() => {
    unwatch();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const seen = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: '127.0.0.1', port }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.once('error', reject);
    });
  const says: Served['says'] = async (such) => {
    for (const endMs = Date.now() + 10_000; !said.some(such); await sleep(LOOK_MS)) {
      if (Date.now() > endMs) throw new Error(`it said only ${JSON.stringify(said)}`);
    }
  };
  return { seen, said, says };
}

test('a renewed certificate is served without a restart', async (t) => {
  const { authority, files } = await makePlace(t);
  // It lived for a week, and an hour is left of it.
  const untilMs = Date.now() + HOUR_MS;
  await authority.issue('own', { hosts, files, fromMs: untilMs - 7 * 24 * HOUR_MS, untilMs });
  const { seen, said, says } = await serve(t, files, authority.caFile);
  t.is(await seen(), 'own');
  const next = await authority.issue('next', { hosts });
  // The certificate first, its key a moment later, as programs write them.
  await copyFile(next.cert, files.cert);
  await sleep(LOOK_MS / 2);
  await copyFile(next.key, files.key);
  await says((line) => line.level === 'info');
  t.is(await seen(), 'next');
  // Where the machine is so busy that a look fell between the two files, that was refused and said.
  const others = said.filter(({ reason }) => reason !== 'certificate-refused');
  t.deepEqual(
    others.map(({ level, reason }) => [level, reason]),
    [
      ['warn', 'tls-expired'],
      ['info', undefined],
    ],
  );
});

const bad: readonly (readonly [string, RegExp, (place: Place) => Promise<unknown>])[] = [
  [
    'with another key',
    /no certificate and its key/,
    async ({ authority, files }) => {
      const other = await authority.issue('other', { hosts });
      await copyFile(other.cert, files.cert);
    },
  ],
  [
    'cut off in the middle',
    /no certificate and its key/,
    ({ files }) => writeFile(files.cert, '-----BEGIN CERTIFICATE-----\nMIIB'),
  ],
  ['gone', /cannot be read/, ({ files }) => rm(files.cert)],
  [
    'of a key that others may read',
    /may be read by others/,
    ({ files }) => chmod(files.key, 0o644),
  ],
  [
    'that has expired',
    /has expired already/,
    ({ authority, files }) =>
      authority.issue('late', {
        hosts,
        files,
        fromMs: Date.now() - 2 * HOUR_MS,
        untilMs: Date.now() - HOUR_MS,
      }),
  ],
];
for (const [what, reason, spoil] of bad) {
  test(`a new certificate ${what} is said once and leaves the old one, and a good one after it is taken`, async (t) => {
    const place = await makePlace(t);
    const { authority, files } = place;
    const { seen, said, says } = await serve(t, files, authority.caFile);
    await spoil(place);
    await says((line) => line.reason === 'certificate-refused');
    // It stays at one.
    await sleep(5 * LOOK_MS);
    t.is(await seen(), 'own');
    const refused = said.filter((line) => line.reason === 'certificate-refused');
    t.is(refused.length, 1);
    t.regex(refused[0]?.error ?? '', reason);
    await chmod(files.key, 0o600);
    await authority.issue('good', { hosts, files });
    // The old pair may be taken in between: its key is private again.
    for (let tries = 0; (await seen()) !== 'good' && tries < 200; tries++) await sleep(LOOK_MS);
    t.is(await seen(), 'good');
  });
}

test('an operator whose certificate has expired is told so at the start, and it is served all the same', async (t) => {
  const { authority, files } = await makePlace(t);
  await authority.issue('late', {
    hosts,
    files,
    fromMs: Date.now() - 2 * HOUR_MS,
    untilMs: Date.now() - HOUR_MS,
  });
  const { seen, said } = await serve(t, files, authority.caFile);
  t.like(said[0], { level: 'error', reason: 'tls-expired' });
  await t.throwsAsync(seen(), { code: 'CERT_HAS_EXPIRED' });
});

test('nobody is believed for a file that holds no authority', async (t) => {
  const { folder } = await makePlace(t);
  const text = join(folder, 'text.pem');
  t.throws(() => trustAuthorities(join(folder, 'none')), { code: 'config-invalid' });
  await writeFile(text, 'hello');
  t.throws(() => trustAuthorities(text), { code: 'config-invalid', message: /no certificate/ });
  await writeFile(text, '-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n');
  t.throws(() => trustAuthorities(text), { code: 'config-invalid' });
  t.notThrows(() => trustAuthorities(undefined));
});
