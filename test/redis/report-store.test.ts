import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

test('a report is kept once, also when the server is killed, and never again after it is settled', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const storageKey = native.random(32);
  const reports = new ReportStore(store, { primitives: native, storageKey });
  const id = toHex(native.random(16));
  const bytes = fromUtf8('Subject: Your mail was not delivered');
  t.false(await reports.has(id));
  t.is(await reports.keep(id, bytes), 'kept');
  t.is(await reports.keep(id, fromUtf8('another')), 'repeat');
  await killServer(dataDir);
  await until(() => store.redis.status === 'ready');
  const [name = ''] = await reports.waiting();
  t.deepEqual(await reports.load(name), bytes);
  t.true(await reports.has(id));
  await reports.settle(id);
  await reports.settle(id);
  t.deepEqual(await reports.waiting(), []);
  t.is(await reports.load(name), null);
  t.true(await reports.has(id));
  t.is(await reports.keep(id, bytes), 'repeat');
});

test('neither the id nor a word of it stands in Redis, and the memory of it ends with a day', async (t) => {
  const store = await temporaryStore(t);
  const storageKey = native.random(32);
  const reports = new ReportStore(store, { primitives: native, storageKey });
  const id = toHex(native.random(16));
  await reports.keep(id, fromUtf8('Subject: secret'));
  const [name = ''] = await reports.waiting();
  const raw = await store.redis.getBuffer(`{panoramix}:report:${name}`);
  t.false(raw?.includes('secret'));
  t.not(name, id);
  await reports.settle(id);
  const [marker = ''] = await store.redis.keys('{panoramix}:reported:*');
  t.false(marker.includes(id));
  const days = Number(await store.redis.call('PEXPIRETIME', marker)) / 86_400_000;
  t.is(days, Math.ceil(Date.now() / 86_400_000) + 14);
  const other = new ReportStore(store, { primitives: native, storageKey: native.random(32) });
  await other.keep(id, fromUtf8('x'));
  const [foreign = ''] = await other.waiting();
  t.is(await reports.load(foreign), null, 'sealed under another key');
});
