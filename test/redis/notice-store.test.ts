import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { NoticeStore } from '../../src/redis/notice-store.ts';
import { temporaryStore } from './private-redis.ts';

const options = { primitives: native, storageKey: native.random(32) };
const notice = { about: fromUtf8('ada to bob'), returned: fromUtf8('Subject: secret') };

test('what is kept for the sender is written with the mail, and not again with its repeat', async (t) => {
  const store = await temporaryStore(t);
  const mails = await MailStore.open(store, options);
  const notices = new NoticeStore(store, options);
  const mail = {
    messageId: toHex(native.random(16)),
    envelope: native.random(10),
    data: native.random(10),
  };
  const call = notices.writeCall(mail.messageId, notice);
  t.is(await mails.accept({ ...mail, notice: call }), 'stored');
  t.true(await mails.has(mail.messageId));
  const [name = ''] = await notices.names();
  t.is(name, notices.nameOf(mail.messageId));
  t.deepEqual(await notices.load(name), { about: notice.about, marks: new Set() });
  t.deepEqual(await notices.returned(name), notice.returned);
  const raw = Object.values(await store.redis.hgetallBuffer(`{panoramix}:notice:${name}`));
  t.false(Buffer.concat(raw).includes('secret'));
  await mails.remove(mail.messageId);
  t.false(await mails.has(mail.messageId));
  await notices.remove(name);
  t.is(await mails.accept({ ...mail, notice: call }), 'repeat');
  t.deepEqual(await notices.names(), [], 'a retry after the report begins nothing anew');
});

test('a mail that nobody is to be told of leaves nothing, and marks only stay where a mail is', async (t) => {
  const store = await temporaryStore(t);
  const mails = await MailStore.open(store, options);
  const notices = new NoticeStore(store, options);
  const messageId = toHex(native.random(16));
  const mail = { messageId, envelope: native.random(10), data: native.random(10) };
  await mails.accept({ ...mail, notice: notices.writeCall(messageId, null) });
  t.deepEqual(await notices.names(), []);
  await notices.mark(notices.nameOf(messageId), 'expired');
  t.is(await notices.load(notices.nameOf(messageId)), null);
  t.deepEqual(await store.redis.keys('{panoramix}:notice*'), []);

  const kept = { ...mail, messageId: toHex(native.random(16)) };
  await mails.accept({ ...kept, notice: notices.writeCall(kept.messageId, notice) });
  const name = notices.nameOf(kept.messageId);
  await notices.mark(name, 'warned');
  await notices.mark(name, 'expired');
  t.deepEqual((await notices.load(name))?.marks, new Set(['warned', 'expired'] as const));
  await notices.remove(name);
  t.is(await notices.load(name), null);
  t.is(await notices.returned(name), null);
});
