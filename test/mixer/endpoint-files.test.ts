import {
  chmodSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { createMixKey } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { EndpointFiles } from '../../src/mixer/endpoint-files.ts';
import { temporaryDataDir } from '../redis/private-redis.ts';

const DAY_MS = 86_400_000;
const OPENS_MS = Date.UTC(2026, 0, 1);
const OWNER = { peerId: 'ab'.repeat(32), catalogUrl: 'http://here/', group: 'X25519' } as const;
const LIFE = { opensMs: OPENS_MS, closesMs: OPENS_MS + DAY_MS, keyLifetimeMs: DAY_MS };

function open(dataDir: string): EndpointFiles {
  return new EndpointFiles(dataDir, native);
}

function pathOf(dataDir: string, endpointId: string, ending: 'life' | 'secret'): string {
  return join(dataDir, 'endpoints', `${endpointId}.${ending}.json`);
}

test('a key that was created is there again after a start', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const created = open(dataDir).create(OWNER, LIFE);
  const [again] = open(dataDir).all();
  t.deepEqual(again, created);
  t.like(again, { ...OWNER, ...LIFE });
  t.deepEqual(again?.endpoint?.mixKey.secret, created.endpoint?.mixKey.secret as Uint8Array);
  t.deepEqual(again?.endpoint?.storageKey, created.endpoint?.storageKey as Uint8Array);
  t.deepEqual(again?.publicKey, created.endpoint?.mixKey.publicKey as Uint8Array);
});

test('keys lie in a file of mode 0600, and no print of an endpoint shows them', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const { endpoint, endpointId } = open(dataDir).create(OWNER, LIFE);
  if (endpoint === null) return t.fail();
  const path = pathOf(dataDir, endpointId, 'secret');
  t.is(statSync(path).mode & 0o777, 0o600);
  t.true(readFileSync(path, 'utf8').includes(toHex(endpoint.mixKey.secret)));
  const life = readFileSync(pathOf(dataDir, endpointId, 'life'), 'utf8');
  t.false(life.includes(toHex(endpoint.mixKey.secret)));
  t.false(life.includes(toHex(endpoint.storageKey)));
  t.is(inspect(endpoint).includes('mixKey'), false);
  return t.false(JSON.stringify(endpoint).includes('Key"'));
});

test('a key file that others may read stops the node until it is looked at', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const path = pathOf(dataDir, open(dataDir).create(OWNER, LIFE).endpointId, 'secret');
  chmodSync(path, 0o640);
  t.throws(() => open(dataDir), { code: 'config-invalid', message: /0?640/ });
  chmodSync(path, 0o600);
  t.notThrows(() => open(dataDir));
});

const DAMAGES: readonly [file: 'life' | 'secret', from: RegExp, to: string, what: string][] = [
  ['secret', /("mix_secret": ")./, '$1x', 'a secret that is no hex'],
  ['secret', /("mix_secret": ").{8}/, '$1', 'a secret of another length'],
  ['secret', /("mix_secret": ").{8}/, '$100000000', 'a secret with other digits'],
  ['secret', /("mix_secret": ").{64}/, `$1${'0'.repeat(64)}`, 'a secret of zeros'],
  ['life', /("public": ").{8}/, '$100000000', 'another public key'],
  ['life', /"X25519"/, '"P-224"', 'another group'],
  ['life', /("endpoint_id": ")./, '$1x', 'another name'],
];
for (const [file, from, to, what] of DAMAGES) {
  test(`a key file with ${what} is named, and the node does not begin on it`, async (t) => {
    const dataDir = await temporaryDataDir(t);
    const path = pathOf(dataDir, open(dataDir).create(OWNER, LIFE).endpointId, file);
    const good = readFileSync(path, 'utf8');
    t.regex(good, from);
    writeFileSync(path, good.replace(from, to));
    t.throws(() => open(dataDir), { code: 'config-invalid', message: /endpoints\/mix_.*json/ });
    writeFileSync(path, good);
    t.is(open(dataDir).all().length, 1);
  });
}

test('an ended key is gone from disk and memory; what names it stays until it is forgotten', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const files = open(dataDir);
  const { endpoint, endpointId } = files.create(OWNER, LIFE);
  // A second name of the same bytes shows that they were overwritten, not only unlinked.
  const witness = join(dataDir, 'witness');
  linkSync(pathOf(dataDir, endpointId, 'secret'), witness);
  t.throws(() => files.forget(endpointId));
  files.end(endpointId);
  t.true(readFileSync(witness).every((byte) => byte === 0));
  t.false(existsSync(pathOf(dataDir, endpointId, 'secret')));
  t.true(endpoint?.mixKey.secret.every((byte) => byte === 0));
  t.true(endpoint?.storageKey.every((byte) => byte === 0));
  for (const left of [files, open(dataDir)]) {
    t.is(left.get(endpointId)?.endpoint, null);
    t.deepEqual(left.get(endpointId)?.publicKey, endpoint?.mixKey.publicKey as Uint8Array);
  }
  files.forget(endpointId);
  t.deepEqual(open(dataDir).all(), []);
  t.deepEqual(readdirSync(join(dataDir, 'endpoints')), []);
});

test('a key whose end was begun before a kill is not read again, whatever is left of it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const { endpointId } = open(dataDir).create(OWNER, LIFE);
  const life = pathOf(dataDir, endpointId, 'life');
  const secret = pathOf(dataDir, endpointId, 'secret');
  const before = readFileSync(secret);
  const ended = readFileSync(life, 'utf8').replace('"ended": false', '"ended": true');
  for (const left of [before, Buffer.concat([Buffer.alloc(40), before.subarray(40)])]) {
    writeFileSync(life, ended);
    writeFileSync(secret, left, { mode: 0o600 });
    t.is(open(dataDir).get(endpointId)?.endpoint, null);
    t.false(existsSync(secret));
  }
});

test('a secret that was written and not named before a kill is destroyed, drafts too', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const { endpointId } = open(dataDir).create(OWNER, LIFE);
  const folder = join(dataDir, 'endpoints');
  const secret = readFileSync(pathOf(dataDir, endpointId, 'secret'));
  writeFileSync(pathOf(dataDir, 'mix_00', 'secret'), secret, { mode: 0o600 });
  writeFileSync(join(folder, 'mix_01.secret.json.77.draft'), secret, { mode: 0o600 });
  // Killed between the link and the removal of the draft: its bytes are those of the key.
  linkSync(
    pathOf(dataDir, endpointId, 'secret'),
    join(folder, `${endpointId}.secret.json.7.draft`),
  );
  t.truthy(open(dataDir).get(endpointId)?.endpoint);
  t.deepEqual(readdirSync(folder).toSorted(), [
    `${endpointId}.life.json`,
    `${endpointId}.secret.json`,
  ]);
  t.deepEqual(readFileSync(pathOf(dataDir, endpointId, 'secret')), secret);
});

test('a key file of version 1 becomes two of version 2, killed or not', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const mixKey = createMixKey(native, native.group('X25519'));
  const old = {
    version: 1,
    endpoint_id: 'mix_0123456789abcdef',
    peer_id: OWNER.peerId,
    catalog_url: OWNER.catalogUrl,
    group: 'X25519',
    mix_secret: toHex(mixKey.secret),
    storage_key: '5a'.repeat(32),
    opens: '2026-01-01T00:00:00.000Z',
    closes: '2027-01-02T00:00:00.000Z',
  };
  const folder = join(dataDir, 'endpoints');
  const path = join(folder, `${old.endpoint_id}.json`);
  mkdirSync(folder, { mode: 0o700 });
  const check = (): void => {
    const [position] = open(dataDir).all();
    t.like(position, { ...OWNER, endpointId: old.endpoint_id, opensMs: OPENS_MS });
    t.is(position?.keyLifetimeMs, 366 * DAY_MS);
    t.deepEqual(position?.endpoint?.mixKey.secret, mixKey.secret);
    t.is(toHex(position?.endpoint?.storageKey as Uint8Array), old.storage_key);
    t.deepEqual(readdirSync(folder).toSorted(), [
      `${old.endpoint_id}.life.json`,
      `${old.endpoint_id}.secret.json`,
    ]);
  };
  writeFileSync(path, JSON.stringify(old), { mode: 0o600 });
  check();
  // Killed after the two were written, and once more after the one was overwritten.
  for (const left of [JSON.stringify(old), '\0'.repeat(400)]) {
    writeFileSync(path, left, { mode: 0o600 });
    check();
  }
});
