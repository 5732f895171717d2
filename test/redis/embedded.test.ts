import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { silentLog } from '../../src/log.ts';
import { connectStore, openStore } from '../../src/redis/embedded.ts';
import { createScript, runScript } from '../../src/redis/script.ts';
import {
  isAlive,
  killServer,
  serverPid,
  temporaryDataDir,
  temporaryStore,
  until,
} from './private-redis.ts';

const USER = fileURLToPath(new URL('store-user.ts', import.meta.url));

test('the private server keeps its promises and nobody else reaches it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir, maxMemoryBytes: 64 * 1024 * 1024 });
  const settings = await store.redis.config('GET', '*');
  const value = (name: string): unknown => settings[settings.indexOf(name) + 1];
  t.is(value('appendonly'), 'yes');
  t.is(value('appendfsync'), 'always');
  t.is(value('maxmemory-policy'), 'noeviction');
  t.is(value('maxmemory'), String(64 * 1024 * 1024));
  t.is(value('hz'), '100');
  t.is(value('save'), '');
  t.is(value('port'), '0');
  const socket = (await readFile(join(dataDir, 'redis.socket'), 'utf8')).trim();
  t.true(Buffer.byteLength(socket) < 108);
  t.is(store.pressure(), 'open');
});

test('closing the last program ends the server, an earlier one leaves it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const first = await temporaryStore(t, { dataDir });
  const second = await temporaryStore(t, { dataDir });
  const pid = await serverPid(dataDir);
  await first.close();
  await second.redis.set('kept', '1');
  t.is(await serverPid(dataDir), pid);
  await second.close();
  await until(() => !isAlive(pid ?? 0));
  const third = await temporaryStore(t, { dataDir });
  t.is(await third.redis.get('kept'), '1');
});

test('a program that closes while its server is being started again leaves none behind', async (t) => {
  const dataDir = await temporaryDataDir(t);
  for (const pauseMs of [0, 120, 160]) {
    const store = await openStore({ dataDir, log: silentLog });
    await store.redis.set('key', 'value');
    await killServer(dataDir);
    await sleep(pauseMs);
    await store.close();
    t.is(await serverPid(dataDir), null, `${pauseMs} ms after the kill`);
  }
  const store = await temporaryStore(t, { dataDir });
  t.is(await store.redis.get('key'), 'value');
});

test('a visitor connects to a running store only, makes no folder and never ends it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  for (const each of [dataDir, join(dataDir, 'not-there')]) {
    await t.throwsAsync(connectStore({ dataDir: each, log: silentLog }), {
      code: 'redis-unavailable',
    });
  }
  t.deepEqual(await readdir(dataDir), []);
  t.is(await serverPid(dataDir), null);
  const store = await temporaryStore(t, { dataDir });
  const visitor = await connectStore({ dataDir, log: silentLog });
  await visitor.close();
  t.is(await store.redis.ping(), 'PONG');
});

test('many starters at once, in several processes, get one server', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const users = [0, 1, 2].map(() => fork(USER, [dataDir, 'open']));
  t.teardown(() => users.forEach((user) => user.kill('SIGKILL')));
  const stores = await Promise.all(
    [0, 1, 2].map(async () => await openStore({ dataDir, log: silentLog })),
  );
  const pids = await Promise.all(
    stores.map(async (store) => /process_id:(\d+)/.exec(await store.redis.info('server'))?.[1]),
  );
  const others = await Promise.all(users.map(async (user) => (await once(user, 'message'))[0]));
  t.is(new Set([...pids, ...others.map(String)]).size, 1, String([...pids, ...others]));
  await Promise.all(stores.map(async (store) => await store.close()));
});

test('a killed program leaves its server, and the next one adopts it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const user = fork(USER, [dataDir, 'open']);
  const [pid] = await once(user, 'message');
  user.kill('SIGKILL');
  await once(user, 'exit');
  t.true(isAlive(pid));
  const store = await temporaryStore(t, { dataDir });
  t.is(await serverPid(dataDir), pid);
  t.is(await store.redis.get('written'), 'before the kill');
});

test('a killed server is started again with what it had, and old connections find it', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const other = await temporaryStore(t, { dataDir });
  const script = createScript('test', "return redis.call('GET', KEYS[1])");
  await store.redis.set('key', 'value');
  const whileAway = async (): Promise<void> => {
    await once(store.redis, 'close');
    t.is(store.pressure(), 'entry-closed');
    await t.throwsAsync(runScript(store.redis, script, { keys: ['key'], values: [] }), {
      code: 'redis-unavailable',
    });
  };
  await Promise.all([whileAway(), killServer(dataDir)]);
  await until(() => store.redis.status === 'ready' && other.redis.status === 'ready');
  t.deepEqual(
    await runScript(other.redis, script, { keys: ['key'], values: [] }),
    Buffer.from('value'),
  );
  t.is(await store.redis.get('key'), 'value');
  await until(() => store.pressure() === 'open');
});

test('no acknowledged write is lost when the server is killed under load', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const acknowledged: string[] = [];
  const stop = new AbortController();
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; !stop.signal.aborted; i++) {
      const key = `w${writer}-${i}`;
      const written = await store.redis.set(key, 'x'.repeat(4_000)).catch(() => null);
      if (written === 'OK') acknowledged.push(key);
      else await sleep(5);
    }
  });
  for (let kill = 0; kill < 3; kill++) {
    const before = acknowledged.length;
    await until(() => acknowledged.length > before + 300);
    await killServer(dataDir);
  }
  await until(() => store.redis.status === 'ready');
  stop.abort();
  await Promise.all(writers);
  const lost: string[] = [];
  for (const key of acknowledged) if ((await store.redis.exists(key)) === 0) lost.push(key);
  t.deepEqual(lost, []);
  t.true(acknowledged.length > 900);
});

test('a stale socket, a half-written note and a foreign note do no harm', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const note = join(dataDir, 'redis.socket');
  await writeFile(note, '/tmp/pano');
  const first = await openStore({ dataDir, log: silentLog });
  await first.redis.set('key', 'value');
  const socket = await readFile(note, 'utf8');
  await first.close();

  await writeFile(note, socket.slice(0, 9));
  const second = await openStore({ dataDir, log: silentLog });
  t.is(await second.redis.get('key'), 'value');
  await killServer(dataDir);
  await second.close();

  // All that a power cut has left of a path: of its folder, where no server can listen.
  await writeFile(note, join(dataDir, 'redis'));
  const cut = await openStore({ dataDir, log: silentLog });
  t.is(await cut.redis.get('key'), 'value');
  await cut.close();

  // A copied data directory holds the note of its original, whose server runs: it is not ours.
  const otherDir = await temporaryDataDir(t);
  const other = await temporaryStore(t, { dataDir: otherDir });
  const otherPid = await serverPid(otherDir);
  await writeFile(note, await readFile(join(otherDir, 'redis.socket')));
  const third = await temporaryStore(t, { dataDir });
  t.is(await third.redis.get('key'), 'value');
  t.is(await other.redis.get('key'), null);
  t.is(await serverPid(otherDir), otherPid);
});

test('whatever empties the folder for temporary files does not lose the server for good', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  await store.redis.set('key', 'value');
  const socket = (await readFile(join(dataDir, 'redis.socket'), 'utf8')).trim();
  const pid = await serverPid(dataDir);
  await rm(join(socket, '..'), { recursive: true });
  process.kill(pid ?? 0, 'SIGKILL');
  await until(async () => (await serverPid(dataDir)) !== null);
  await until(() => store.redis.status === 'ready');
  t.is(await store.redis.get('key'), 'value');
});

test('a data directory with a path longer than a socket may have works', async (t) => {
  const dataDir = join(await temporaryDataDir(t), 'd'.repeat(120));
  await mkdir(dataDir);
  const store = await openStore({ dataDir, log: silentLog });
  t.is(await store.redis.ping(), 'PONG');
  await store.close();
});

test('programs that come and go all the time never find the store unusable', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const comeAndGo = async (name: string): Promise<void> => {
    for (let i = 0; i < 8; i++) {
      const store = await openStore({ dataDir, log: silentLog, name });
      await until(async () => (await store.redis.incr(name).catch(() => null)) !== null);
      await store.close();
    }
  };
  await Promise.all([comeAndGo('a'), comeAndGo('b'), comeAndGo('c')]);
  const store = await temporaryStore(t, { dataDir });
  // Nothing is taken back; an increment whose answer was lost may count twice.
  for (const name of ['a', 'b', 'c']) t.true(Number(await store.redis.get(name)) >= 8);
});
