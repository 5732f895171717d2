/** A private Redis whose disk is full, or fails: what was acknowledged is there afterwards, and nobody is told yes meanwhile. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { PanoramixError } from '../../src/errors.ts';
import { guarded } from '../../src/redis/clients.ts';
import { connectStore, openStore, type Store } from '../../src/redis/embedded.ts';
import { silentLog } from '../../src/log.ts';
import { diskTest } from '../network/disk-test.ts';
import { SmallDisk } from '../network/small-disk.ts';
import { temporaryDataDir, until } from './private-redis.ts';

const DISK_MB = 300;
const VALUE = 'x'.repeat(10_000);
const PATIENCE_MS = 40_000;

async function disk(t: ExecutionContext): Promise<SmallDisk> {
  const mounted = await SmallDisk.mount(join(await temporaryDataDir(t), 'disk'), DISK_MB);
  t.teardown(async () => await mounted.unmount());
  return mounted;
}

/** Writes until Redis says no; gives how many writes it has acknowledged in all. */
async function writeUntilRefused(store: Store, from: number): Promise<number> {
  for (let written = from; ; written++) {
    const isStored = await guarded('write', async () => {
      return await store.redis.set(`value:${written}`, VALUE);
    }).catch((thrown: unknown) => {
      if ((thrown as PanoramixError).code !== 'redis-unavailable') throw thrown;
      return null;
    });
    if (isStored === null) return written;
  }
}

async function countKept(store: Store, written: number): Promise<number> {
  let kept = 0;
  for (let i = 0; i < written; i++) {
    if ((await store.redis.get(`value:${i}`)) === VALUE) kept++;
  }
  return kept;
}

diskTest(
  'a Redis that finds no room for a write ends, and is back by itself when there is',
  async (t) => {
    const small = await disk(t);
    const store = await openStore({ dataDir: join(small.folder, 'data'), log: silentLog });
    t.teardown(async () => await store.close());
    await store.redis.set('value:0', VALUE);
    t.is(store.pressure(), 'open');
    await small.fill(4 * 1024 * 1024);
    await until(() => store.pressure() !== 'open');
    const written = await writeUntilRefused(store, 1);
    t.true(written > 10, `${written} writes`);
    await small.fill();
    t.not(store.pressure(), 'open');
    small.empty();
    await until(() => store.redis.status === 'ready' && store.pressure() === 'open', PATIENCE_MS);
    t.is(await countKept(store, written), written);
    await store.redis.set('value:0', VALUE);
  },
);

diskTest(
  'a Redis whose disk fails ends, and what it had acknowledged is there after the repair',
  async (t) => {
    const small = await disk(t);
    const dataDir = join(small.folder, 'data');
    const store = await openStore({ dataDir, log: silentLog });
    for (let i = 0; i < 50; i++) await store.redis.set(`value:${i}`, VALUE);
    await small.fail();
    const written = await writeUntilRefused(store, 50);
    t.is(written, 50, 'not one write was acknowledged that no disk has');
    await until(() => store.pressure() !== 'open');
    await t.throwsAsync(connectStore({ dataDir, log: silentLog }), { code: 'redis-unavailable' });
    await store.close();
    await small.repair();
    const after = await openStore({ dataDir, log: silentLog });
    t.is(await countKept(after, written), written);
    await after.close();
  },
);
