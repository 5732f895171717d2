/** A node's own files on a disk without room, and on one that takes no writes at all. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { createDurably, replaceDurably } from '../../src/durable-file.ts';
import { asPanoramixError } from '../../src/errors.ts';
import { EndpointFiles } from '../../src/mixer/endpoint-files.ts';
import { diskTest } from '../network/disk-test.ts';
import { SmallDisk } from '../network/small-disk.ts';
import { temporaryDataDir } from '../redis/private-redis.ts';

const OWNER = { peerId: 'ab'.repeat(32), catalogUrl: 'http://here/', group: 'X25519' } as const;
const LIFE = { opensMs: 1_800_000_000_000, closesMs: 1_800_086_400_000, keyLifetimeMs: 86_400_000 };

async function disk(t: ExecutionContext): Promise<SmallDisk> {
  const mounted = await SmallDisk.mount(join(await temporaryDataDir(t), 'disk'), 8);
  t.teardown(async () => await mounted.unmount());
  return mounted;
}

function reasonOf(act: () => unknown): string {
  try {
    act();
    return 'done';
  } catch (thrown) {
    return asPanoramixError(thrown).code;
  }
}

diskTest('on a full disk a file stays as it was, and nothing is left of the new one', async (t) => {
  const small = await disk(t);
  const path = join(small.folder, 'state.json');
  replaceDurably(path, 'before');
  await small.fill();
  const names = readdirSync(small.folder);
  t.is(
    reasonOf(() => replaceDurably(path, 'after'.repeat(2_000))),
    'disk-full',
  );
  t.is(
    reasonOf(() => createDurably(`${path}.other`, 'after'.repeat(2_000))),
    'disk-full',
  );
  t.is(readFileSync(path, 'utf8'), 'before');
  t.deepEqual(readdirSync(small.folder), names);
  small.empty();
  replaceDurably(path, 'after');
  t.is(readFileSync(path, 'utf8'), 'after');
});

diskTest('a disk that failed is a reason of its own', async (t) => {
  const small = await disk(t);
  const path = join(small.folder, 'state.json');
  replaceDurably(path, 'before');
  await small.fail();
  t.is(
    reasonOf(() => replaceDurably(path, 'after')),
    'disk-unwritable',
  );
  await small.repair();
  t.is(readFileSync(path, 'utf8'), 'before');
});

diskTest(
  'on a full disk no mix key could be destroyed, for want of room for its mark',
  async (t) => {
    const small = await disk(t);
    const files = new EndpointFiles(small.folder, native);
    const { endpointId, endpoint } = files.create(OWNER, LIFE);
    const folder = join(small.folder, 'endpoints');
    const secretPath = join(folder, `${endpointId}.secret.json`);
    const storageKey = toHex(endpoint?.storageKey as Uint8Array);
    t.true(readFileSync(secretPath, 'utf8').includes(storageKey));
    await small.fill();

    files.end(endpointId);
    t.deepEqual(readdirSync(folder), [`${endpointId}.life.json`]);
    t.is(files.get(endpointId)?.endpoint, null);
    t.deepEqual(endpoint?.storageKey, new Uint8Array(32));
    t.is(new EndpointFiles(small.folder, native).get(endpointId)?.endpoint, null);

    small.empty();
    files.forget(endpointId);
    t.deepEqual(readdirSync(folder), []);
  },
);

diskTest(
  'a key file that was overwritten on a full disk, and not unlinked, is an ended key’s',
  async (t) => {
    const dataDir = await temporaryDataDir(t);
    const { endpointId } = new EndpointFiles(dataDir, native).create(OWNER, LIFE);
    const secretPath = join(dataDir, 'endpoints', `${endpointId}.secret.json`);
    const { length } = readFileSync(secretPath);
    writeFileSync(secretPath, Buffer.alloc(length));
    const [position] = new EndpointFiles(dataDir, native).all();
    t.is(position?.endpointId, endpointId);
    t.is(position?.endpoint, null);
  },
);
