/** Whether a program runs, as a visitor of its store sees it: through starts, kills and restarts of the server. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import { silentLog } from '../../src/log.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { connectStore, openStore } from '../../src/redis/embedded.ts';
import { announceRunning, readProgramState } from '../../src/redis/program-report.ts';
import { RedisServer } from '../crash/redis-server.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

test('a program is starting until it says that it has come up, and away once it has closed', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  // A second one keeps the server up when the first closes.
  const visitor = await connectStore({ dataDir, log: silentLog });
  t.teardown(async () => await visitor.close());
  t.is(await readProgramState(visitor), 'starting');
  announceRunning(store);
  await until(async () => (await readProgramState(visitor)) === 'running');
  const next = await temporaryStore(t, { dataDir });
  await store.close();
  t.is(
    await readProgramState(visitor),
    'starting',
    'the word of the one before counts for nothing',
  );
  announceRunning(next);
  await until(async () => (await readProgramState(visitor)) === 'running');
});

test('it runs again for a visitor when its killed server has come back', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  announceRunning(store);
  await until(async () => (await readProgramState(store)) === 'running');
  await store.redis.del(`${store.prefix}:running`);
  t.is(await readProgramState(store), 'starting');
  await killServer(dataDir);
  await t.throwsAsync(readProgramState(store), { code: 'redis-unavailable' });
  await until(
    async () => (await readProgramState(store).catch(() => 'unknown')) === 'running',
    10_000,
  );
});

test('a program that was killed with kill -9 is away at once, though it never said so', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const source = join(import.meta.dirname, '../../src');
  const script = `
    import { silentLog } from ${JSON.stringify(join(source, 'log.ts'))};
    import { openStore } from ${JSON.stringify(join(source, 'redis/embedded.ts'))};
    import { announceRunning } from ${JSON.stringify(join(source, 'redis/program-report.ts'))};
    announceRunning(await openStore({ dataDir: ${JSON.stringify(dataDir)}, log: silentLog, name: 'mix' }));
    console.log('up');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const visitor = await connectStore({ dataDir, log: silentLog });
  t.teardown(async () => await visitor.close());
  await until(async () => (await readProgramState(visitor)) === 'running');
  child.kill('SIGKILL');
  await once(child, 'exit');
  await until(async () => (await readProgramState(visitor)) === 'away', 2_000);
  t.is(await visitor.redis.exists(`${visitor.prefix}:running`), 1, 'its word is still there');
});

test('who only looks is no program, at REDIS_URL neither', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const [port = 0] = await freePorts(1);
  const server = new RedisServer(join(dataDir, 'redis'), port);
  t.teardown(async () => await server.kill());
  server.start();
  await server.answers();
  const options = { url: `redis://127.0.0.1:${port}`, dataDir, log: silentLog };
  const visitor = await connectStore(options);
  t.teardown(async () => await visitor.close());
  t.is(await readProgramState(visitor), 'away');
  const program = await openStore(options);
  announceRunning(program);
  await until(async () => (await readProgramState(visitor)) === 'running');
  await program.close();
  await until(async () => (await readProgramState(visitor)) === 'away');
});
