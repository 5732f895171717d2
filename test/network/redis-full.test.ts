/** A Redis at its limit under any program: nothing that was accepted is lost, whoever asks is told, and it drains. */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { MailsThrough } from './mails-through.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const MEGABYTE = 1024 * 1024;
const MAX_MEMORY_MB = 64;
const MAILS = 3;
const LOOK_MS_MAX = 20_000;

let real: RealMixnet;
let through: MailsThrough;

test.before(async () => {
  real = await startRealMixnet({ redisMaxMemoryMb: MAX_MEMORY_MB, ticksPerSecond: 20 });
  through = new MailsThrough(real);
});

test.after.always(async () => {
  await real?.stop();
});

for (const [what, programs] of [
  ['an entry and the controller of a mix', ['alpha', 'mix-1.controller']],
  ['a mix and the controller of an exit', ['mix-2', 'beta.controller']],
  ['an exit', ['beta']],
] as const) {
  test.serial(`the Redis of ${what} has no byte left, and goes on when it has`, async (t) => {
    await through.begin(MAILS);
    const marks = new Map(programs.map((program) => [program, through.log(program).length]));
    const undo = await Promise.all(programs.map(async (program) => await fill(program)));
    try {
      for (const program of programs) {
        const { ok, storage } = await through.status(program);
        t.false(ok, program);
        t.like(storage, { state: 'up', pressure: 'settle-only' }, program);
      }
      for (const gateway of programs.filter((each) => each === 'alpha' || each === 'beta')) {
        // A mail that finds a last kilobyte before it has looked would be accepted.
        const hasLooked = (): boolean =>
          through.log(gateway).slice(marks.get(gateway)).includes('"to":"settle-only"');
        await until(`${gateway} knows`, hasLooked, LOOK_MS_MAX);
        t.regex(await through.refusal(gateway), /^451 4\.3\.1 /);
      }
    } finally {
      for (const empty of undo) await empty();
    }
    await through.arrive(t);
    t.is(through.twice, 0);
  });
}

/** Uses up the memory of a program's Redis, behind its back, to the last megabyte; gives what undoes it. */
async function fill(program: string): Promise<() => Promise<void>> {
  const { data_dir: dataDir } = through.config(program);
  const store = await connectStore({ dataDir, log: silentLog, name: 'filling' });
  const names: string[] = [];
  for (;;) {
    const name = `filling:${names.length}`;
    try {
      await store.redis.set(name, randomBytes(MEGABYTE));
    } catch {
      break;
    }
    names.push(name);
  }
  return async () => {
    await store.redis.unlink(...names);
    await store.close();
  };
}
