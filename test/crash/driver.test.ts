/**
 * The driver through all ends and moments of a step, in small: a program that counts in its Redis, a proxy in between,
 * a service manager for each. Nothing of the mixnet runs.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { createProbe } from '../../src/redis/clients.ts';
import { AT_RANDOM, Driver, DURING_START } from './driver.ts';
import { openProxy, Watcher } from './proxies.ts';
import { RedisServer } from './redis-server.ts';
import type { Step } from './step.ts';
import type { Strike } from './table.ts';
import { processOfRedis, Victim, type Health, type Process } from './victims.ts';

const COUNTS: Step = {
  name: 'gateway: it counts',
  role: 'gateway',
  end: 'client',
  protocol: 'redis',
  occasion: 'mail',
  moments: ['before', 'after'],
  matches: (frame) => frame.protocol === 'redis' && frame.command === 'INCR',
};
const NEVER: Step = { ...COUNTS, name: 'gateway: it never does', matches: () => false };

/** Counts as fast as its Redis answers, and ends where that is away. */
const COUNTER = `
  import { Redis } from 'ioredis';
  const redis = new Redis(Number(process.argv[1]), { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  redis.on('error', () => process.exit(1)).on('end', () => process.exit(1));
  for (;;) { await redis.incr('count'); await new Promise((resolve) => setTimeout(resolve, 10)); }`;

async function startSmall(t: ExecutionContext, steps: readonly Step[]) {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-crash-'));
  const [listenPort = 0, serverPort = 0] = await freePorts(2);
  const server = new RedisServer(folder, serverPort);
  server.start();
  await server.answers();
  const watch = new Watcher(steps);
  const about = { name: 'alpha.redis', protocol: 'redis', client: 'alpha' } as const;
  const proxy = await openProxy({ ...about, server: 'alpha.redis', listenPort, serverPort }, watch);
  const counter = counterAt(listenPort);
  const redis = processOfRedis(server);
  const victims = [
    new Victim('alpha', 'gateway', counter, health(counter)),
    new Victim('alpha.redis', 'redis', redis, health(redis)),
  ];
  const managers = new AbortController();
  const supervised = Promise.all(
    victims.map(async (each) => await each.supervise(managers.signal)),
  );
  t.teardown(async () => {
    managers.abort();
    await supervised;
    await counter.kill();
    await proxy.close();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const count = async (): Promise<number> => {
    const probe = createProbe({ url: `redis://127.0.0.1:${serverPort}` });
    await probe.connect();
    const value = Number(await probe.get('count'));
    probe.disconnect();
    return value;
  };
  return { victims: new Map(victims.map((each) => [each.name, each])), watch, count };
}

function health(process: Process): Health {
  return async () => {
    return (await process.isRunning()) ? null : { text: 'it is away', isAlarmAlone: false };
  };
}

function counterAt(port: number): Process {
  let child: ChildProcess | null = null;
  const isRunning = (): boolean => child?.exitCode === null && child.signalCode === null;
  return {
    isRunning,
    whyNot: () => null,
    start: () => {
      const options = { cwd: import.meta.dirname, stdio: 'ignore' } as const;
      const args = ['--input-type=module', '--eval', COUNTER, '--', String(port)];
      child = spawn(process.execPath, args, options);
    },
    kill: async () => {
      if (child === null || !isRunning()) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

test('a step is hit by both ends at both moments, and what never comes is left after its time', async (t) => {
  const { victims, watch, count } = await startSmall(t, [COUNTS, NEVER]);
  const strikes: Strike[] = [];
  const killed: string[] = [];
  const driver = new Driver({
    victims,
    watch,
    load: { want: () => undefined },
    steps: [COUNTS, NEVER],
    hitsEach: 4,
    deathsAtOnce: 1,
    endMs: Date.now() + 120_000,
    waitMsMax: 500,
    pace: { downMsMin: 50, downMsMax: 200, downMsLong: 500, restMs: 20 },
    random: Math.random,
    onKill: ({ victim }) => killed.push(victim),
    onStrike: (strike) => strikes.push(strike),
    say: (text) => t.log(text),
  });
  const enough = new AbortController();
  const running = driver.run(enough.signal);
  while (driver.hitsOf(COUNTS.name) < 4 && !enough.signal.aborted) {
    await new Promise((resolve) => void setTimeout(resolve, 100));
    if (strikes.length > 40) break;
  }
  enough.abort();
  await running;
  const own = strikes.filter(({ step }) => step === COUNTS.name);
  t.deepEqual(own.map(({ victim, moment }) => `${victim} ${moment}`).toSorted(), [
    'alpha after',
    'alpha before',
    'alpha.redis after',
    'alpha.redis before',
  ]);
  t.true(own.every(({ wellAfterMs, lies }) => wellAfterMs !== null && lies === 0));
  t.deepEqual([...new Set(killed)].toSorted(), ['alpha', 'alpha.redis']);
  t.is(driver.hitsOf(NEVER.name), 0);
  t.true(strikes.some(({ step }) => step === AT_RANDOM || step === DURING_START));
  const before = await count();
  await new Promise((resolve) => void setTimeout(resolve, 1_500));
  t.true((await count()) > before, 'it counts on');
});
