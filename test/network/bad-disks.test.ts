/**
 * Disks without a byte left under programs and their logs, and disks that the kernel lets nobody write to any
 * more: nothing that was accepted is lost, nobody dies of it, and it is over when there is room again.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Program } from '../../src/cli/demo/processes.ts';
import { diskTest, hasDisks } from './disk-test.ts';
import { programOf } from './hostile-inbox.ts';
import { MailsThrough } from './mails-through.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';
import { SmallDisk } from './small-disk.ts';

/** What is on each disk, and its MB: room for 60 % of what pressure.ts keeps free, and then some. */
const DISKS = [
  ['alpha', 600],
  ['mix-2', 600],
  ['logs', 16],
] as const;
const MAILS = 3;
const NOTICED_MS = 60_000;
const STOPPED_MS = 20_000;
/** An exit may hear a 250 and find no disk to write it on: deliveries at once. */
const TWICE_MAX = 4;

let real: RealMixnet;
let through: MailsThrough;
const disks = new Map<string, SmallDisk>();

test.before(async () => {
  if (!hasDisks) return;
  real = await startRealMixnet({ ticksPerSecond: 20, prepare: mountDisks });
  for (const disk of disks.values()) await disk.sync();
  through = new MailsThrough(real);
});

test.after.always(async () => {
  await real?.mixnet.stop();
  for (const disk of disks.values()) await disk.unmount();
  await real?.stop();
});

diskTest(
  'disks without a byte left end no program, and all is well when there is room',
  async (t) => {
    await through.begin(MAILS);
    for (const disk of disks.values()) await disk.fill();
    await areDown('alpha', 'mix-2');
    t.regex(await through.refusal('alpha'), /^451 4\.3\.[01] /);
    // The others take mail, and keep it.
    await through.send('beta', 'alpha');
    await through.send('beta', 'beta');
    real.mixnet.check();
    const logged = through.log('alpha').length;
    for (const disk of disks.values()) disk.empty();
    await through.arrive(t);
    t.is(through.twice, 0);
    t.true(through.log('alpha').length > logged, 'the log goes on');
  },
);

diskTest('disks that fail stop mail, not programs, and lose nothing of it', async (t) => {
  await through.begin(MAILS);
  const failed = ['alpha', 'mix-2'];
  for (const name of failed) await disks.get(name)?.fail();
  await areDown(...failed);
  t.regex(await through.refusal('alpha'), /^451 4\.3\.[01] /);
  await through.send('beta', 'alpha');
  real.mixnet.check();
  const programs = failed.flatMap((name) => [
    programOf(real, name),
    programOf(real, `${name}.controller`),
  ]);
  await Promise.all(programs.map(async (program) => await stopInTime(t, program)));

  // Who starts one before the disk is repaired is told why it does not.
  programOf(real, 'alpha').start();
  await until('the start ends', () => !programOf(real, 'alpha').running, NOTICED_MS);
  t.regex(through.log('alpha'), /"reason":"disk-unwritable"/);

  for (const name of failed) await disks.get(name)?.repair();
  for (const program of programs) program.start();
  await through.arrive(t);
  t.true(through.twice <= TWICE_MAX, `${through.twice} twice`);
});

/** Programs, with their data and Redis, and all logs. */
async function mountDisks(folder: string): Promise<void> {
  for (const [name, megabytes] of DISKS) {
    disks.set(name, await SmallDisk.mount(join(folder, name), megabytes));
  }
}

async function areDown(...programs: readonly string[]): Promise<void> {
  for (const program of programs) {
    await until(
      `status says that the storage of ${program} is down`,
      async () => {
        const { ok, storage } = await through.status(program);
        return !ok && storage.state === 'down';
      },
      NOTICED_MS,
    );
  }
}

async function stopInTime(t: ExecutionContext, program: Program): Promise<void> {
  const startMs = performance.now();
  await program.stop();
  const tookMs = performance.now() - startMs;
  t.true(tookMs < STOPPED_MS, `${program.name} took ${Math.round(tookMs)} ms`);
  t.is(program.exitCode, 0, program.name);
}
