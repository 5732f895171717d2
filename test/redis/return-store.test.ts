import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { temporaryStore } from './private-redis.ts';

/** A store of an exit, and what tells of a mail there under an id that occurs nowhere else. */
function open(store: Store, bytesMax?: number) {
  const keys = { primitives: native, storageKey: native.random(32) };
  const returns = new ReturnStore(store, {
    ...keys,
    ...(bytesMax === undefined ? {} : { bytesMax }),
  });
  const reports = new ReportStore(store, keys);
  const tell = async (messageId: string, marks: readonly string[]) => {
    const id = toHex(native.random(16));
    return await reports.keep(id, fromUtf8('told'), returns.claimCall(messageId, marks));
  };
  return { returns, reports, tell };
}

const DAY_MS = 86_400_000;
const QUARTER_MS = DAY_MS / 4;

test('a mail that may bounce is remembered for 14 days, sealed, with whom its sender was told of', async (t) => {
  const store = await temporaryStore(t);
  const { returns, tell } = open(store);
  const messageId = toHex(native.random(16));
  t.is(await returns.load(messageId), null);
  await returns.remember(messageId, fromUtf8('ada@near.test'));
  await tell(messageId, ['0', 's3']);
  await returns.remember(messageId, fromUtf8('ada@near.test'));
  t.deepEqual(await returns.load(messageId), {
    about: fromUtf8('ada@near.test'),
    told: new Set(['0', 's3']),
  });
  const [key = ''] = await store.redis.keys('{panoramix}:returns:*');
  const raw = await store.redis.hgetallBuffer(key);
  t.false([key, ...Object.keys(raw)].join().includes(messageId));
  t.false(Buffer.concat(Object.values(raw)).includes('ada'));
  const end = Number(await store.redis.call('PEXPIRETIME', key));
  t.is(end, Math.ceil(Date.now() / QUARTER_MS) * QUARTER_MS + 14 * DAY_MS);

  await store.redis.del(key);
  t.is(await returns.load(messageId), null);
  t.is(await tell(messageId, ['1']), 'kept');
  t.deepEqual(await store.redis.keys('{panoramix}:returns:*'), []);
});

test('what may bounce takes no more room than it has: the oldest is forgotten', async (t) => {
  const store = await temporaryStore(t);
  const bytesMax = 100_000;
  const { returns } = open(store, bytesMax);
  t.is(returns.memoryBytesMax, 100);
  const ids = Array.from({ length: 60 }, () => toHex(native.random(16)));
  const nowMs = Date.now();
  for (const [i, id] of ids.entries()) {
    t.is(returns.isRoomy, i < 16, `mail ${i}`);
    await returns.remember(id, native.random(3_000), nowMs + Math.floor(i / 6) * QUARTER_MS);
  }
  let bytes = 0;
  for (const key of await store.redis.keys('{panoramix}:returns:*')) {
    const stored = await store.redis.hgetallBuffer(key);
    const names = Object.keys(stored).filter((name) => name !== 'bytes');
    const sizes = names.map((name) => (stored[name]?.length ?? 0) + 128);
    const size = sizes.reduce((sum, each) => sum + each, 0);
    t.is(Number(stored['bytes']), size, 'counted once, also for what was remembered twice');
    bytes += size;
  }
  t.true(bytes <= bytesMax && bytes > bytesMax / 2, String(bytes));
  const known = await Promise.all(ids.map(async (id) => (await returns.load(id)) !== null));
  t.is(known.indexOf(true), 30);
  t.false(known.slice(30).includes(false));
});

test('a mail that was given twice, quarters of a day apart, is told of once', async (t) => {
  const store = await temporaryStore(t);
  const { returns, tell } = open(store);
  const messageId = toHex(native.random(16));
  const nowMs = Date.now();
  await returns.remember(messageId, fromUtf8('first'), nowMs);
  await returns.remember(messageId, fromUtf8('first'), nowMs);
  await tell(messageId, ['2']);
  await returns.remember(messageId, fromUtf8('second'), nowMs + QUARTER_MS);
  t.deepEqual(await returns.load(messageId), { about: fromUtf8('second'), told: new Set(['2']) });
  await tell(messageId, ['s0']);
  t.deepEqual((await returns.load(messageId))?.told, new Set(['2', 's0']));
});

test('what is told of a mail is told once: of all that say the same at once, one keeps a report', async (t) => {
  const store = await temporaryStore(t);
  const { returns, reports, tell } = open(store);
  const messageId = toHex(native.random(16));
  await returns.remember(messageId, fromUtf8('x'));
  const overlapping = [['1'], ['1', '2'], ['2', '1'], ['11', '1'], ['s1']];
  const said = await Promise.all(overlapping.map((marks) => tell(messageId, marks)));
  t.is(said[4], 'kept', 'a success is not a failure');
  const kept = overlapping.slice(0, 4).filter((_, i) => said[i] === 'kept');
  t.is(kept.length, 1);
  t.is((await reports.waiting()).length, 2, 'what was not noted was not kept');
  t.deepEqual((await returns.load(messageId))?.told, new Set([...(kept[0] ?? []), 's1']));
  t.is(await tell(messageId, ['12']), 'kept', 'a place is not the beginning of another');
});
