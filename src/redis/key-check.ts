/**
 * Whether the storage key is the one under which this store was filled. With another one everything in
 * it is noise: mail that was answered 250 would be discarded as unreadable, packet by packet.
 */
import { fromUtf8 } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import { guarded } from './clients.ts';
import type { Store } from './embedded.ts';
import { createSealing } from './sealing.ts';

/**
 * Remembers the key at its first use, as a keyed hash that tells nothing of it, and knows it again.
 * @param storageKey 32 bytes, the node's own
 * @throws PanoramixError `config-invalid` where the store was filled under another key
 */
export async function requireStorageKey(
  store: Store,
  primitives: Primitives,
  storageKey: Uint8Array,
): Promise<void> {
  const mark = `${store.prefix}:storage-key`;
  const name = createSealing(primitives, storageKey).nameOf(fromUtf8('storage-key'));
  const known = await guarded('check the storage key', async () => {
    await store.redis.set(mark, name, 'NX');
    return await store.redis.get(mark);
  });
  if (known === name) return;
  throw new PanoramixError(
    'config-invalid',
    'storage.key is not the key under which mail and packets in Redis are sealed: restore it from a ' +
      `backup; or, to give up what is stored there, end all programs that use it and DEL '${mark}'`,
  );
}
