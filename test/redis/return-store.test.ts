import test from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';
import { temporaryStore } from './private-redis.ts';

test('a mail that may bounce is remembered for 14 days, sealed, with whom its sender was told of', async (t) => {
  const store = await temporaryStore(t);
  const returns = new ReturnStore(store, { primitives: native, storageKey: native.random(32) });
  const messageId = toHex(native.random(16));
  t.is(await returns.load(messageId), null);
  await returns.remember(messageId, fromUtf8('ada@near.test'));
  await returns.tell(messageId, [0, 3]);
  await returns.remember(messageId, fromUtf8('ada@near.test'));
  t.deepEqual(await returns.load(messageId), {
    about: fromUtf8('ada@near.test'),
    told: new Set([0, 3]),
  });
  const [key = ''] = await store.redis.keys('{panoramix}:return:*');
  t.false(key.includes(messageId));
  const raw = Object.values(await store.redis.hgetallBuffer(key));
  t.false(Buffer.concat(raw).includes('ada'));
  const days = Number(await store.redis.call('PEXPIRETIME', key)) / 86_400_000;
  t.is(days, Math.ceil(Date.now() / 86_400_000) + 14);

  await store.redis.del(key);
  t.is(await returns.load(messageId), null);
  await returns.tell(messageId, [1]);
  t.deepEqual(await store.redis.keys('{panoramix}:return:*'), []);
});
