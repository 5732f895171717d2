/**
 * The power fails after any one step of redis-server's own on a private store: its first start, writes, rewrites of
 * its append-only file between them (src/redis/rewrite.ts asks for one every minute). What was acknowledged is there.
 * `POWER_LOSS_STEPS=all` takes every step, else it is every seventh.
 */
import { join } from 'node:path';
import test from 'ava';
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';
import { anySurvives, NOTHING_SURVIVES } from './disk.ts';
import { runUntilPowerFails, sourceOf } from './failing-run.ts';
import { Machine } from './machine.ts';

const STRIDE = process.env['POWER_LOSS_STEPS'] === 'all' ? 1 : 7;
/** Rewrites that the program asks for; after the last it ends. */
const ROUNDS = 3;

const HALF_SURVIVES = anySurvives(() => 0.5);
/** Says each number once the store has acknowledged it. */
const WRITER = `
  import { writeSync } from 'node:fs';
  const { openStore } = await import(${sourceOf('redis/embedded.ts')});
  const { silentLog } = await import(${sourceOf('log.ts')});
  const { rewriteNow } = await import(${sourceOf('redis/rewrite.ts')});
  const { redis, prefix } = await openStore({ dataDir: 'data', log: silentLog });
  let number = 0;
  const write = async () => {
    await redis.set('key' + ++number, 'x'.repeat(100));
    writeSync(1, number + '\\n');
  };
  for (let round = 0; round < ${ROUNDS}; round++) {
    for (let i = 0; i < 3; i++) await write();
    await Promise.all([rewriteNow(redis, prefix, 5_000), write(), write()]);
  }
  process.exit(0);`;

test('a power cut after any step of redis-server takes nothing that it has acknowledged', async (t) => {
  const reached = new Set<number>();
  for (let failsAfter = 1; ; failsAfter += STRIDE) {
    const machine = new Machine();
    try {
      const survival = failsAfter % 2 === 0 ? NOTHING_SURVIVES : HALF_SURVIVES;
      const run = await runUntilPowerFails(machine, WRITER, failsAfter, survival);
      const said = Number(run.said.at(-1) ?? 0);
      reached.add(said);
      const store = await openStore({ dataDir: join(machine.disk, 'data'), log: silentLog });
      const found = await store.redis.dbsize();
      await store.close();
      // The last may have been written, and not yet acknowledged.
      t.true(found >= said, `after ${failsAfter} steps: ${found} of ${said} are there`);
      if (!run.hasFailed) break;
    } finally {
      machine.remove();
    }
  }
  t.log(`cut after acknowledging ${[...reached].join(', ')} writes`);
  t.is(Math.max(...reached), 5 * ROUNDS);
  t.true(reached.size > 3);
});
