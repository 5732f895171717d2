/** Service manager and strike, on real processes that do nothing but live. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { strike } from './strike.ts';
import { Victim, type Health } from './victims.ts';

/** A `sleep` under a service manager, until the test ends. */
function sleeper(t: ExecutionContext, health: (isUp: () => boolean) => Health): Victim {
  let child: ChildProcess = spawn('sleep', ['60']);
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const kill = async (): Promise<void> => {
    if (!isRunning()) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  const start = (): void => void (child = spawn('sleep', ['60']));
  const process = { start, kill, isRunning, whyNot: () => null };
  const victim = new Victim('sleeper', 'mix', process, health(isRunning));
  const manager = new AbortController();
  const supervised = victim.supervise(manager.signal);
  t.teardown(async () => {
    manager.abort();
    await supervised;
    await kill();
  });
  return victim;
}

const truthful = (isUp: () => boolean): Health => {
  return async () =>
    await Promise.resolve(isUp() ? null : { text: 'it is away', isAlarmAlone: false });
};
const blind = (): Health => async () => await Promise.resolve(null);

for (const [what, health, isLying] of [
  ['tells the truth', truthful, false],
  ['says well all the while', blind, true],
] as const) {
  test(`a strike kills, has its victim started again, and sees that its status ${what}`, async (t) => {
    const victim = sleeper(t, health);
    const kills: string[] = [];
    let isDropped = false;
    const downMs = 300;
    const afterDeath = (): void => void (isDropped = true);
    const blow = { step: 'any', moment: null, victim, downMs, afterDeath };
    const onKill = (kill: { readonly victim: string }): void => void kills.push(kill.victim);
    const done = await strike(blow, {
      victims: [victim],
      isStruckToo: () => false,
      onKill,
      say: t.log,
    });
    t.true(isDropped);
    t.true(await victim.isRunning());
    t.is(victim.starts, 1);
    t.deepEqual([...new Set(kills)], ['sleeper']);
    t.like(done, { step: 'any', victim: 'sleeper', kind: 'mix' });
    t.not(done.wellAfterMs, null);
    t.true(done.looks > 0);
    t.is(done.lies, isLying ? done.looks : 0);
  });
}

test('a strike waits for whoever is unwell, but for those who are struck by another', async (t) => {
  const victim = sleeper(t, truthful);
  const strikeAt = async (isStruckToo: boolean): Promise<number | null> => {
    let looks = 0;
    const ill = sleeper(t, () => async () => {
      const isIll = isStruckToo || looks++ < 5;
      return await Promise.resolve(isIll ? { text: 'ill', isAlarmAlone: false } : null);
    });
    const { wellAfterMs } = await strike(
      { step: 'any', moment: null, victim, downMs: 0 },
      {
        victims: [victim, ill],
        isStruckToo: (each) => isStruckToo && each === ill,
        onKill: () => undefined,
        say: t.log,
      },
    );
    return wellAfterMs;
  };
  t.true(Number(await strikeAt(false)) >= 800, 'five looks later');
  const beside = await strikeAt(true);
  t.true(beside !== null && beside < 30_000);
});

test('what ends by itself is started again, but for a configuration error', async (t) => {
  const victim = sleeper(t, truthful);
  await victim.kill(0);
  while (!(await victim.isRunning())) await new Promise((resolve) => void setTimeout(resolve, 20));
  t.is(victim.starts, 1);
  const misconfigured = {
    start: () => undefined,
    kill: async () => await Promise.resolve(),
    isRunning: () => false,
    whyNot: () => 'exit code 2',
  };
  const other = new Victim('other', 'mix', misconfigured, blind());
  await t.throwsAsync(other.supervise(AbortSignal.timeout(5_000)), { message: /exit code 2/ });
  t.is(other.starts, 0);
});
