import { randomBytes } from 'node:crypto';

import test from 'ava';

import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import type { StoredMail } from '../../src/redis/mail-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
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
