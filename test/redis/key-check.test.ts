import test from 'ava';

import { native } from '../../src/crypto/native.ts';
import { requireStorageKey } from '../../src/redis/key-check.ts';
import { temporaryStore } from './private-redis.ts';

test('mail was discarded as unreadable where storage.key was lost and drawn anew', async (t) => {
  const store = await temporaryStore(t);
  const key = native.random(32);
  await requireStorageKey(store, native, key);
  await requireStorageKey(store, native, key);
  await t.throwsAsync(requireStorageKey(store, native, native.random(32)), {
    code: 'config-invalid',
    message: /restore it from a backup/,
  });
  t.is((await store.redis.get('{panoramix}:storage-key'))?.length, 32);
});
