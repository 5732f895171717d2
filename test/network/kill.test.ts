/**
 * Any one program or Redis ends with kill -9 while 50 mails are under way, and comes back: all 50 arrive,
 * once. One mixnet of real processes for all victims, one after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import type { Program } from '../../src/cli/demo/processes.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const MAILS = 50;
/** The victim dies once this many have arrived: others are in every queue then. */
const ARRIVED_BEFORE = 8;
const DOWN_MS = 500;
const PATIENCE_MS = 120_000;
/** Time for a second copy, were there one, to come out. */
const SETTLE_MS = 2_000;
/** Deliveries at once: what an exit that dies between a 250 and its record may send again. */
const TWICE_MAX_AT_EXIT = 4;

let real: RealMixnet;
let round = 0;

test.before(async () => {
  real = await startRealMixnet();
});

test.after.always(async () => {
  await real?.stop();
});

for (const [what, name] of [
  ['the entry gateway', 'alpha'],
  ['a mix', 'mix-1'],
  ['the controller of a mix', 'mix-2.controller'],
  ['the exit gateway', 'beta'],
  ['the controller of the exit', 'beta.controller'],
] as const) {
  test.serial(
    `kill -9 of ${what}: its redis-server stays behind, it comes back, 50 of 50 arrive once`,
    async (t) => {
      const victim = programOf(name);
      const redisBefore = await real.redisPid(name);
      await carry(t, name === 'beta' ? TWICE_MAX_AT_EXIT : 0, async () => {
        await victim.kill();
        t.is(await real.redisPid(name), redisBefore);
        await sleep(DOWN_MS);
        victim.start();
      });
      t.is(await real.redisPid(name), redisBefore, 'the redis-server that stayed was adopted');
    },
  );
}

for (const [what, name] of [
  ['the entry gateway', 'alpha'],
  ['a mix', 'mix-3'],
  ['the controller of a mix', 'mix-1.controller'],
  ['the exit gateway', 'beta'],
] as const) {
  test.serial(
    `kill -9 of the redis-server of ${what}: it is started again, 50 of 50 arrive once`,
    async (t) => {
      await carry(t, name === 'beta' ? TWICE_MAX_AT_EXIT : 0, async () => {
        process.kill(await real.redisPid(name), 'SIGKILL');
      });
      t.true(programOf(name).running);
    },
  );
}

test.serial(
  'a mixnet that is stopped leaves no redis-server behind, not even of a program that was killed',
  async (t) => {
    await programOf('mix-3').kill();
    t.true((await real.redisPid('mix-3')) > 0);
    await real.mixnet.stop();
    for (const { name } of real.mixnet.programs) {
      await t.throwsAsync(real.redisPid(name), { code: 'redis-unavailable' });
    }
  },
);

async function carry(
  t: ExecutionContext,
  twiceMax: number,
  strike: () => Promise<void>,
): Promise<void> {
  const tally = new Tally();
  const run = ++round;
  const note = (): void => {
    for (const arrival of real.arrived()) tally.note(arrival);
  };
  const mails = Array.from({ length: MAILS }, (_, i) => {
    const to = `bob+${run}.${i}@beta.example`;
    const data = fromUtf8(`Subject: ${run}.${i}\r\n\r\n${'.line\r\n'.repeat(1 + 37 * i)}`);
    tally.expect(to, data);
    return { to, data, queueId: `KILL${run}N${i}` };
  });
  const submitted = Promise.all(
    mails.map(({ to, data, queueId }) =>
      real.submit(
        'alpha',
        { from: 'ada@alpha.example', to: [to], data: optedIn(data), queueId },
        PATIENCE_MS,
      ),
    ),
  );
  const arrive = (count: number) => async (): Promise<boolean> => {
    note();
    return tally.delivered >= count;
  };
  await until(`${ARRIVED_BEFORE} mails arrive`, arrive(ARRIVED_BEFORE), PATIENCE_MS);
  await strike();
  await submitted;
  await until('all mails arrive', arrive(MAILS), PATIENCE_MS).catch((error: unknown) => {
    t.log(`missing: ${tally.missing.join(' ')}`);
    throw error;
  });
  await sleep(SETTLE_MS);
  note();
  t.is(tally.exact, MAILS);
  t.true(tally.twice <= twiceMax, `${tally.twice} came twice`);
}

function optedIn(data: Uint8Array): Uint8Array {
  return Buffer.concat([fromUtf8('X-PANORAMIX-Mixable: yes\r\n'), data]);
}

function programOf(name: string): Program {
  const found = real.mixnet.programs.find((program) => program.name === name);
  if (!found) throw new Error(`no program is called ${name}`);
  return found;
}
