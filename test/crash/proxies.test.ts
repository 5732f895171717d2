import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { DeliveryProgress } from '../../src/mixer/delivery-progress.ts';
import { createCommandClient } from '../../src/redis/clients.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { until } from '../redis/private-redis.ts';
import { openProxiedStore, stepOf } from './proxied-store.ts';
import type { Store } from '../../src/redis/embedded.ts';

const STORED = 'gateway: a mail is stored';
const RECORDED = 'gateway: what became of a delivery is recorded';
const STORAGE_KEY = new Uint8Array(32);
/** For what must not happen. */
const QUIET_MS = 300;

test('before a step the server has nothing of it; its connection breaks off when it is dropped', async (t) => {
  const { store, arm, keys } = await openProxiedStore(t, 'alpha');
  const mails = await openMails(store);
  // The server learns its script.
  await mails.accept(mail('none'));
  const armed = arm(STORED, 'before');
  const accepted = mails.accept(mail('one'));
  const hit = await armed;
  t.like(hit, { program: 'alpha', other: 'alpha.redis', moment: 'before' });
  await t.throwsAsync(
    async () => {
      hit.drop();
      await accepted;
    },
    { code: 'redis-unavailable' },
  );
  await sleep(QUIET_MS);
  t.is(await keys('*:mail-seen:*'), 1);
  await until(() => store.redis.status === 'ready');
  t.is(
    await mails.accept(mail('one')),
    'stored',
    'it connects again, and nothing is held any more',
  );
});

test('after a step the server has done it, and who asked does not know', async (t) => {
  const { store, arm, keys } = await openProxiedStore(t, 'alpha');
  const mails = await openMails(store);
  const armed = arm(STORED, 'after');
  const accepted = mails.accept(mail('one'));
  const hit = await armed;
  t.is(await keys('*:mail-seen:*'), 1);
  const isSettled = await Promise.race([accepted.then(() => true), sleep(QUIET_MS, false)]);
  t.false(isSettled, 'the reply is held');
  hit.drop();
  await t.throwsAsync(accepted, { code: 'redis-unavailable' });
  await until(() => store.redis.status === 'ready');
  t.is(await mails.accept(mail('one')), 'repeat');
});

for (const moment of ['before', 'after'] as const) {
  test(`what is held ${moment} a step may pass after all, and all that waited behind it`, async (t) => {
    const { store, arm, watch } = await openProxiedStore(t, 'alpha');
    const mails = await openMails(store);
    // The server learns its script, which shows as one more.
    await mails.accept(mail('none'));
    const before = watch.seen.get(STORED) ?? 0;
    const armed = arm(STORED, moment);
    const accepted = ['one', 'two', 'three'].map(async (text) => await mails.accept(mail(text)));
    (await armed).pass();
    t.deepEqual(await Promise.all(accepted), ['stored', 'stored', 'stored']);
    t.is(watch.seen.get(STORED), before + 3, 'each is counted once');
  });
}

test('a server that dies while a reply is held keeps what it did, and is found again', async (t) => {
  const { store, arm, server } = await openProxiedStore(t, 'alpha');
  const mails = await openMails(store);
  const armed = arm(STORED, 'after');
  const accepted = mails.accept(mail('one'));
  const hit = await armed;
  await server.kill();
  const isSettled = await Promise.race([accepted.then(() => true), sleep(QUIET_MS, false)]).catch(
    () => true,
  );
  t.false(isSettled, 'its client is not told of the death before the driver says so');
  hit.drop();
  await t.throwsAsync(accepted, { code: 'redis-unavailable' });
  server.start();
  await server.answers();
  await until(() => store.redis.status === 'ready');
  t.is(await mails.accept(mail('one')), 'repeat');
});

test('of a client that dies the server gets all that it had sent, but for what is held', async (t) => {
  const { url, arm, keys } = await openProxiedStore(t, 'alpha');
  const client = createCommandClient({ url }, 'panoramix:program:1:x:y');
  await client.connect();
  const armed = arm('gateway: that a mail has passed is recorded', 'before');
  const sent = [
    client.set('x:first', '1'),
    client.set('x:passed:one', '1'),
    client.set('x:last', '1'),
  ];
  const hit = await armed;
  client.disconnect();
  await Promise.allSettled(sent);
  hit.drop();
  await until(async () => (await keys('x:first')) === 1);
  await sleep(QUIET_MS);
  t.is(await keys('x:passed:*'), 0);
  t.is(await keys('x:last'), 0);
});

test('of a client that dies with much under way the server gets all of it', async (t) => {
  const { url, keys } = await openProxiedStore(t, 'alpha');
  const client = connect(Number(new URL(url).port), '127.0.0.1');
  const value = 'v'.repeat(64 * 1024);
  for (let i = 0; i < 200; i++) {
    client.write(`*3\r\n$3\r\nSET\r\n$5\r\nx:${100 + i}\r\n$${value.length}\r\n${value}\r\n`);
  }
  client.end();
  await once(client.resume(), 'close');
  await until(async () => (await keys('x:*')) === 200);
  t.is(await keys('x:*'), 200);
});

test('before a transaction nothing of it has happened, after it all', async (t) => {
  const { store, arm, keys } = await openProxiedStore(t, 'alpha');
  const progress = new DeliveryProgress(store, { primitives: native, storageKey: STORAGE_KEY });
  const id = toHex(randomBytes(16));
  const outcomes = new Map([[0, { outcome: 'accepted' }]] as const);
  for (const [moment, stored] of [
    ['before', 0],
    ['after', 1],
  ] as const) {
    const armed = arm(RECORDED, moment);
    const saved = progress.save(id, outcomes);
    const hit = await armed;
    t.is(await keys('*:delivery:*'), stored);
    hit.drop();
    await t.throwsAsync(saved, { code: 'redis-unavailable' });
    t.is(await keys('*:delivery:*'), stored);
    await until(() => store.redis.status === 'ready');
  }
});

test('a job is held when it is taken, not when nothing is there to be taken', async (t) => {
  const { store, arm } = await openProxiedStore(t, 'alpha');
  const done: string[] = [];
  const armed = arm("gateway: a mail's job is taken", 'after');
  let isHit = false;
  void armed.then(() => (isHit = true));
  await openWorker(store, 'mail', async ({ id }) => {
    done.push(id);
    await Promise.resolve();
  });
  await sleep(QUIET_MS);
  t.false(isHit);
  await (await openQueue(store, 'mail')).add('one');
  const hit = await armed;
  await sleep(QUIET_MS);
  t.deepEqual(done, []);
  hit.pass();
  await until(() => done.length === 1);
});

test('who waits for a step may stop waiting, or wait for that of one program', async (t) => {
  const { store, watch } = await openProxiedStore(t, 'alpha');
  const mails = await openMails(store);
  const step = stepOf(STORED);
  const ended = new AbortController();
  const armed = watch.arm({ step, moment: 'before' }, ended.signal);
  ended.abort();
  t.is(await armed, null);
  const elsewhere = watch.arm(
    { step, moment: 'before', program: 'beta' },
    AbortSignal.timeout(QUIET_MS),
  );
  t.is(await mails.accept(mail('one')), 'stored');
  t.is(await elsewhere, null);
});

async function openMails(store: Store): Promise<MailStore> {
  return await MailStore.open(store, { primitives: native, storageKey: STORAGE_KEY });
}

function mail(text: string): Parameters<MailStore['accept']>[0] {
  const messageId = toHex(native.sha256(fromUtf8(text)).subarray(0, 16));
  return { messageId, envelope: fromUtf8('envelope'), data: fromUtf8(text) };
}
