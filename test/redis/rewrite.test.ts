import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import test from 'ava';

import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { readFacts, unsafe } from '../../src/redis/durability.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { shouldRewrite, startRewriting } from '../../src/redis/rewrite.ts';
import type { AppendOnlyState } from '../../src/redis/rewrite.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

const MEGABYTE = 1024 * 1024;
const STORAGE_KEY = bytes(32);

const USUAL: AppendOnlyState = {
  baseBytes: MEGABYTE,
  currentBytes: 2 * MEGABYTE,
  sinceMs: 60_000,
  diskFreeBytes: 1_000 * MEGABYTE,
};
const STATES: Record<string, [Partial<AppendOnlyState>, boolean]> = {
  'after a minute': [{}, true],
  'before a minute': [{ sinceMs: 59_999 }, false],
  'where nothing was written': [{ currentBytes: MEGABYTE }, false],
  'where a single byte was': [{ currentBytes: MEGABYTE + 1 }, true],
  'with 100 MB stored, after a minute': [
    { baseBytes: 100 * MEGABYTE, currentBytes: 101 * MEGABYTE },
    false,
  ],
  'with 100 MB stored, after four minutes': [
    { baseBytes: 100 * MEGABYTE, currentBytes: 101 * MEGABYTE, sinceMs: 240_000 },
    true,
  ],
  'with 900 MB stored, after ten minutes': [
    { baseBytes: 900 * MEGABYTE, currentBytes: 910 * MEGABYTE, sinceMs: 600_000 },
    true,
  ],
  'on a disk without room for another copy': [{ diskFreeBytes: MEGABYTE }, false],
};
for (const [name, [change, expected]] of Object.entries(STATES)) {
  test(`${name} the file is ${expected ? '' : 'not '}rewritten`, (t) => {
    t.is(shouldRewrite({ ...USUAL, ...change }), expected);
  });
}

test('what was removed leaves the disk with the next rewrite, and nothing else does', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const { records } = journalOn(store);
  const [gone, kept] = [toHex(bytes(16)), toHex(bytes(16))];
  for (const recordId of [gone, kept]) await records.put(record(recordId));
  await records.remove(gone);
  t.true((await appendOnlyFile(dataDir)).includes(gone));

  // Its clock runs fast; what is rewritten, and when, is the product's.
  const stop = startRewriting({
    redis: store.redis,
    prefix: store.prefix,
    dir: join(dataDir, 'redis'),
    log: silentLog,
    checkMs: 50,
    now: () => 1_000 * performance.now(),
  });
  t.teardown(stop);
  await until(async () => !(await appendOnlyFile(dataDir)).includes(gone));
  t.true((await appendOnlyFile(dataDir)).includes(kept));
  await killServer(dataDir);
  await until(async () => await isBack(store));
  t.like(await records.load(kept), { recordId: kept });
  t.deepEqual(
    (await Array.fromAsync(records.pending())).map(({ recordId }) => recordId),
    [kept],
  );
});

test('the last program leaves a file that tells what is stored, not what has passed', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const other = await temporaryStore(t, { dataDir });
  const { records } = journalOn(store);
  const [gone, kept] = [toHex(bytes(16)), toHex(bytes(16))];
  for (const recordId of [gone, kept]) await records.put(record(recordId));
  await records.remove(gone);
  await other.close();
  t.true((await appendOnlyFile(dataDir)).includes(gone), 'a program still uses it');
  await store.close();
  const left = await appendOnlyFile(dataDir);
  t.false(left.includes(gone));
  t.true(left.includes(kept));
});

test('with rewrites under load and kills amid them, nothing acknowledged is lost, no setting changed', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const { journal, records } = journalOn(store);
  const settingsBefore = await settingsOf(store);
  const acknowledged: CommitEntry[] = [];
  const over = new AbortController();
  let rewrites = 0;
  const load = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const entries = Array.from({ length: 8 }, forward);
      const done = await journal.commit(entries).catch(() => null);
      if (done === null) await sleep(10);
      else acknowledged.push(...entries);
    }
  });
  const rewriting = (async () => {
    while (!over.signal.aborted) {
      rewrites += await store.redis.bgrewriteaof().then(
        () => 1,
        () => 0,
      );
      await sleep(5);
    }
  })();
  for (let kill = 0; kill < 4; kill++) {
    const before = acknowledged.length;
    const rewritesBefore = rewrites;
    await until(() => acknowledged.length > before + 200 && rewrites > rewritesBefore + 2);
    await killServer(dataDir);
    await until(async () => await isBack(store));
  }
  over.abort();
  await Promise.all([...load, rewriting]);
  await killServer(dataDir);
  await until(async () => await isBack(store));
  let missing = 0;
  for (const { endpointId, tag } of acknowledged) {
    const isThere = await records.load(records.recordId(endpointId, tag));
    if (isThere === null || !(await journal.has(endpointId, tag))) missing++;
  }
  t.log(`${acknowledged.length} acknowledged, ${rewrites} rewrites`);
  t.is(missing, 0);
  t.deepEqual(await settingsOf(store), settingsBefore);
  t.like(settingsBefore, { appendfsync: 'always', 'no-appendfsync-on-rewrite': 'no' });
  t.is(settingsBefore['aof-timestamp-enabled'] ?? 'no', 'no');
  t.deepEqual(unsafe(await readFacts(store.redis)), []);
});

/** Its client may still think that it is ready when the server has just died: an answer counts. */
async function isBack(store: Store): Promise<boolean> {
  return await store.redis.ping().then(
    () => true,
    () => false,
  );
}

async function settingsOf(store: Store): Promise<Readonly<Record<string, string>>> {
  const flat = await store.redis.config('GET', '*');
  const pairs = flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : []));
  return Object.fromEntries(pairs) as Readonly<Record<string, string>>;
}

function journalOn(store: Store): { journal: Journal; records: Records } {
  const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
  return { journal: new Journal(store, { records }), records };
}

function forward(): CommitEntry {
  const outcome = { kind: 'forward', packet: bytes(8_000), next: bytes(16), dueMs: 1 } as const;
  return { endpointId: 'one', tag: bytes(16), outcome };
}

function record(recordId: string) {
  return { recordId, endpointId: 'one', next: bytes(16), dueMs: 1, packet: bytes(500) };
}

async function appendOnlyFile(dataDir: string): Promise<Buffer> {
  const folder = join(dataDir, 'redis', 'appendonlydir');
  const parts: Buffer[] = [];
  // A file that a rewrite removes between the two is none.
  for (const name of await readdir(folder)) {
    parts.push(await readFile(join(folder, name)).catch(() => Buffer.alloc(0)));
  }
  return Buffer.concat(parts);
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
