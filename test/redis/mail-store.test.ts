import { randomBytes } from 'node:crypto';

import test from 'ava';

import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { MailParts } from '../../src/redis/mail-parts.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import type { StoredMail } from '../../src/redis/mail-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { createSealing } from '../../src/redis/sealing.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

const STORAGE_KEY = new Uint8Array(randomBytes(32));

test('an accepted mail is there, sealed, with its job, and a repeat changes nothing', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const queue = await openQueue(store, 'mail');
  const mail = newMail();
  t.is(await mails.accept(mail), 'stored');
  t.is(await mails.accept({ ...mail, data: new Uint8Array(3) }), 'repeat');
  t.true(await queue.has(mail.messageId));
  t.deepEqual(await mails.load(mail.messageId), mail);
  const raw = await store.redis.hgetallBuffer(`{panoramix}:mail:${mail.messageId}`);
  t.false(Buffer.concat(Object.values(raw)).includes('Subject'));
  const [seen = ''] = await store.redis.keys('{panoramix}:mail-seen:*');
  t.false(seen.includes(mail.messageId));
  const days = Number(await store.redis.call('PEXPIRETIME', seen)) / 86_400_000;
  t.is(days, Math.ceil(Date.now() / 86_400_000) + 14);
});

test('a handled mail stays known, and its repeat gets no new job', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const handled: string[] = [];
  const mail = newMail();
  await openWorker(store, 'mail', async ({ id }) => {
    if ((await mails.load(id)) !== null) handled.push(id);
    await mails.remove(id);
  });
  await mails.accept(mail);
  await until(() => handled.length === 1);
  const queue = await openQueue(store, 'mail');
  await until(async () => !(await queue.has(mail.messageId)));
  t.is(await mails.accept(mail), 'repeat');
  t.false(await queue.has(mail.messageId));
  t.is(await mails.load(mail.messageId), null);
  t.is(await mails.sweep(), 0);
});

test('a crash between bytes and job is put right at start, and by the retry', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const mails = await openMails(store);
  const queue = await openQueue(store, 'mail');
  const [swept, retried] = [newMail(), newMail()];
  for (const mail of [swept, retried]) {
    await mails.accept(mail);
    t.true(await queue.remove(mail.messageId));
  }
  t.is(await mails.accept(retried), 'repeat');
  t.true(await queue.has(retried.messageId));
  t.is(await mails.sweep(), 1);
  t.true(await queue.has(swept.messageId));
  t.is(await mails.sweep(), 0);
});

test('while Redis is away a mail is refused within seconds, and taken when it is back', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const mails = await openMails(store);
  const mail = newMail();
  const accepted = mails.accept(mail).catch((error: { code: string }) => error.code);
  await killServer(dataDir);
  const startedMs = Date.now();
  const during = mails.accept(newMail()).catch((error: { code: string }) => error.code);
  t.true(['stored', 'redis-unavailable'].includes(await accepted));
  t.true(['stored', 'redis-unavailable'].includes(await during));
  t.true(Date.now() - startedMs < 6_000);
  await until(() => store.redis.status === 'ready');
  const retry = await mails.accept(mail);
  t.true(['stored', 'repeat'].includes(retry));
  t.deepEqual(await mails.load(mail.messageId), mail);
});

test('a changed mail and a mail in another place do not open', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const [mail, other] = [newMail(), newMail()];
  await mails.accept(mail);
  await mails.accept(other);
  const [key, otherKey] = [mail, other].map(({ messageId }) => `{panoramix}:mail:${messageId}`);
  const data = (await store.redis.hgetBuffer(key ?? '', 'data')) ?? Buffer.alloc(1);
  await store.redis.hset(otherKey ?? '', 'data', data);
  t.is(await mails.load(other.messageId), null);
  data[50] = (data[50] ?? 0) ^ 1;
  await store.redis.hset(key ?? '', 'data', data);
  t.is(await mails.load(mail.messageId), null);
  data[50] = (data[50] ?? 0) ^ 1;
  await store.redis.hset(key ?? '', 'data', data);
  t.deepEqual(await mails.load(mail.messageId), mail);
});

test('no single write or answer is large, however large the mail is', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  // From here on Redis takes no argument above a megabyte: 25 MB at once would hold it up for as long as
  // they take to the disk, ticks included.
  await store.redis.config('SET', 'proto-max-bulk-len', String(1024 * 1024));
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(25_000_000)) };
  t.is(await mails.accept(mail), 'stored');
  t.true(isSame(await mails.load(mail.messageId), mail));
  const fields = await store.redis.hkeys(keyOf(mail));
  const bytes = await Promise.all(
    fields.map(async (field) => await store.redis.hstrlen(keyOf(mail), field)),
  );
  t.true(Math.max(...bytes) < 600_000);
  const raw = await store.redis.hgetallBuffer(keyOf(mail));
  t.false(Buffer.concat(Object.values(raw)).includes(mail.data.subarray(0, 64)));
});

test('a large mail that was accepted stays for good, also when it is handed in again', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(1_200_000)) };
  t.is(await mails.accept(mail), 'stored');
  t.is(await store.redis.pttl(keyOf(mail)), -1);
  t.is(await mails.accept(mail), 'repeat');
  t.is(await store.redis.pttl(keyOf(mail)), -1);
  await mails.remove(mail.messageId);
  t.is(await mails.accept(mail), 'repeat');
  t.false(await mails.has(mail.messageId));
  t.is(await store.redis.exists(keyOf(mail)), 0);
});

test('parts of a mail that is never accepted are no mail, and go by themselves', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(1_200_000)) };
  await mails.accept(mail);
  const parts = await store.redis.hgetallBuffer(keyOf(mail));
  await mails.remove(mail.messageId);
  await store.redis.del(...(await store.redis.keys('{panoramix}:mail-seen:*')));
  // As a crash leaves it: two parts of three, and nothing else of the mail.
  const sealing = createSealing(native, STORAGE_KEY);
  const seen = sealing.nameOf(fromUtf8(`mail-seen:${mail.messageId}`));
  const keys = [`{panoramix}:mail-seen:${seen}`, keyOf(mail)] as const;
  const cut = mail.data.subarray(0, 1_048_576);
  await new MailParts(store, sealing).keep(keys, mail.messageId, cut);
  t.true((await store.redis.pttl(keyOf(mail))) > 3_500_000);
  t.false(await mails.has(mail.messageId));
  t.is(await mails.load(mail.messageId), null);
  t.is(await mails.sweep(), 0);
  t.is(await mails.accept(mail), 'stored');
  t.true(isSame(await mails.load(mail.messageId), mail));
  t.deepEqual(
    Object.keys(await store.redis.hgetall(keyOf(mail))).toSorted(),
    Object.keys(parts).toSorted(),
  );
});

test('a part that is missing, changed or in another place gives no mail', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(1_200_000)) };
  await mails.accept(mail);
  const [first, second] = await store.redis.hmgetBuffer(keyOf(mail), '0', '1');
  t.truthy(first && second);
  await store.redis.hset(keyOf(mail), '0', second ?? '', '1', first ?? '');
  t.is(await mails.load(mail.messageId), null);
  await store.redis.hset(keyOf(mail), '0', first ?? '', '1', second ?? '');
  t.true(isSame(await mails.load(mail.messageId), mail));
  await store.redis.hdel(keyOf(mail), '2');
  t.is(await mails.load(mail.messageId), null);
});

test('a mail of which a part went before it was accepted is not accepted', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(25_000_000)) };
  const accepting = mails.accept(mail);
  await until(async () => (await store.redis.hlen(keyOf(mail))) > 1);
  await store.redis.hdel(keyOf(mail), '0');
  await t.throwsAsync(accepting, { code: 'redis-unavailable' });
  t.false(await mails.has(mail.messageId));
  t.is(await mails.accept(mail), 'stored');
});

test('a large mail for which there is no room leaves nothing behind', async (t) => {
  const store = await temporaryStore(t);
  const mails = await openMails(store);
  const used = Number(/used_memory:(\d+)/.exec(await store.redis.info('memory'))?.[1]);
  await store.redis.config('SET', 'maxmemory', String(used + 12_000_000));
  const mail = { ...newMail(), data: new Uint8Array(randomBytes(25_000_000)) };
  await t.throwsAsync(mails.accept(mail), { code: 'storage-pressure' });
  t.is(await store.redis.exists(keyOf(mail)), 0);
  await store.redis.config('SET', 'maxmemory', '0');
  t.is(await mails.accept(mail), 'stored');
  t.true(isSame(await mails.load(mail.messageId), mail));
});

/** Of large ones; ava looks at every byte by itself. */
function isSame(loaded: StoredMail | null, mail: StoredMail): boolean {
  return (
    loaded !== null &&
    Buffer.compare(loaded.data, mail.data) === 0 &&
    Buffer.compare(loaded.envelope, mail.envelope) === 0
  );
}

function keyOf({ messageId }: StoredMail): string {
  return `{panoramix}:mail:${messageId}`;
}

async function openMails(store: Store): Promise<MailStore> {
  return await MailStore.open(store, { primitives: native, storageKey: STORAGE_KEY });
}

function newMail(): StoredMail {
  return {
    messageId: toHex(randomBytes(16)),
    envelope: new TextEncoder().encode('{"from":"","recipients":[]}'),
    data: new TextEncoder().encode('Subject: hello\r\n\r\nto you\r\n'),
  };
}
