import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';
import type { ExecutionContext } from 'ava';

import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { createProbe } from '../../src/redis/clients.ts';
import { unsafe } from '../../src/redis/durability.ts';
import type { RedisFacts } from '../../src/redis/durability.ts';
import { openStore } from '../../src/redis/embedded.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { openTaker } from '../../src/redis/taker.ts';
import { until } from './private-redis.ts';

const SAFE = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'];
const FACTS: RedisFacts = {
  version: '7.0.15',
  role: 'master',
  clusterEnabled: false,
  appendonly: 'yes',
  appendfsync: 'always',
  maxmemoryPolicy: 'noeviction',
};

test('a server that keeps what it acknowledges is used, and left running', async (t) => {
  const { url, dataDir } = await foreignRedis(t, SAFE);
  const store = await openStore({ url, dataDir, log: silentLog });
  t.false(store.isPrivate);
  t.is(store.pressure(), 'open');
  await store.close();
  const again = await openStore({ url, dataDir, log: silentLog });
  t.is(await again.redis.ping(), 'PONG');
  await again.close();
});

const UNSAFE: [string, string[], RegExp][] = [
  ['everysec', ['--appendfsync', 'everysec'], /CONFIG SET appendfsync always/],
  ['no append-only file', ['--appendonly', 'no'], /CONFIG SET appendonly yes/],
  ['eviction', ['--maxmemory-policy', 'volatile-lru'], /CONFIG SET maxmemory-policy noeviction/],
];
for (const [name, options, fix] of UNSAFE) {
  test(`a server with ${name} is refused, with the fix`, async (t) => {
    const { url, dataDir } = await foreignRedis(t, [...SAFE, ...options]);
    const error = await t.throwsAsync<PanoramixError>(openStore({ url, dataDir, log: silentLog }));
    t.is(error?.code, 'redis-unsafe');
    t.regex(error?.message ?? '', fix);
    const [, setting = '', value = ''] = /CONFIG SET (\S+) (\S+)"/.exec(error?.message ?? '') ?? [];
    const admin = createProbe({ url });
    await admin.connect();
    await admin.config('SET', setting, value);
    admin.disconnect();
    await (await openStore({ url, dataDir, log: silentLog })).close();
  });
}

test('a server with other settings keeps no events of jobs either', async (t) => {
  const { url, dataDir } = await foreignRedis(t, SAFE);
  const store = await openStore({ url, dataDir, log: silentLog });
  t.teardown(async () => await store.close());
  const queue = await openQueue(store, 'mixing');
  let done = 0;
  await openWorker(store, 'mixing', async () => void done++);
  for (let i = 0; i < 30; i++) await queue.add(`job${i}`, Date.now());
  await until(() => done === 30);
  await until(async () => (await store.redis.xlen('{panoramix}:mixing:events')) === 0, 3_000);
  t.is(done, 30);
});

test('a program closes within seconds while its Redis is away', async (t) => {
  const { url, dataDir, end } = await foreignRedis(t, SAFE);
  const store = await openStore({ url, dataDir, log: silentLog });
  const queue = await openQueue(store, 'mixing');
  await openTaker(store, 'outbound-abc');
  await openWorker(store, 'mixing', async () => undefined);
  await queue.add('job', Date.now() + 60_000);
  await end();
  await until(() => store.pressure() === 'entry-closed');
  await t.throwsAsync(queue.add('other', Date.now()), { code: 'redis-unavailable' });
  const startedMs = Date.now();
  await store.close();
  t.true(Date.now() - startedMs < 8_000, `${Date.now() - startedMs} ms`);
});

test('a server that nobody runs is an error that says so, soon', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'panoramix-test-'));
  t.teardown(async () => await rm(dataDir, { recursive: true }));
  const url = join(dataDir, 'nothing.sock');
  await t.throwsAsync(openStore({ url, dataDir, log: silentLog }), { code: 'redis-unavailable' });
});

const FACT_TABLE: [string, Partial<RedisFacts>, RegExp | null][] = [
  ['all as it should be', {}, null],
  ['the newest version', { version: '8.2.1' }, null],
  ['an old version', { version: '6.0.16' }, /too old/],
  ['a replica', { role: 'slave' }, /primary/],
  ['a cluster', { clusterEnabled: true }, /single primary/],
  ['a server that hides its settings', { appendfsync: null }, /CONFIG GET/],
];
for (const [name, change, problem] of FACT_TABLE) {
  test(`of what a server tells, ${name} is ${problem === null ? 'safe' : 'refused'}`, (t) => {
    const problems = unsafe({ ...FACTS, ...change });
    t.is(problems.length, problem === null ? 0 : 1);
    if (problem !== null) t.regex(problems[0] ?? '', problem);
  });
}

async function foreignRedis(
  t: ExecutionContext,
  options: readonly string[],
): Promise<{ url: string; dataDir: string; end: () => Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'panoramix-test-'));
  const url = join(dataDir, 'foreign.sock');
  const own = ['--port', '0', '--unixsocket', url, '--dir', dataDir, '--save', ''];
  const server = spawn('redis-server', [...own, ...options], { stdio: 'ignore' });
  const end = async (): Promise<void> => {
    server.kill('SIGKILL');
    await until(() => server.exitCode !== null || server.signalCode !== null);
  };
  t.teardown(async () => {
    await end();
    await rm(dataDir, { recursive: true, force: true });
  });
  await until(async () => {
    const probe = createProbe({ url });
    try {
      await probe.connect();
      return true;
    } catch {
      return false;
    } finally {
      probe.disconnect();
    }
  });
  return { url, dataDir, end };
}
