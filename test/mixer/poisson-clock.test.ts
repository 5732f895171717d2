import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { PoissonClock } from '../../src/mixer/poisson-clock.ts';
import { NOW_MS } from '../mixnet/made-directory.ts';
import { seededRandom } from '../mixnet/seeded-random.ts';
import { until } from '../redis/private-redis.ts';

/** A clock that a test may set, at a rate that it may change or take away. */
function create(t: ExecutionContext, rate: number | null) {
  const state = { aheadMs: 0, rate, ticks: 0, starts: 0, skipped: 0 };
  const clock = new PoissonClock({
    random: seededRandom(1),
    now: () => NOW_MS + performance.now() + state.aheadMs,
    rate: () => state.rate,
    onStart: () => (state.starts += 1),
    onTick: () => (state.ticks += 1),
    onSkipped: (ticks) => (state.skipped += ticks),
  });
  clock.start();
  t.teardown(() => clock.stop());
  return { clock, state };
}

test('it ticks at its rate', async (t) => {
  const { state } = create(t, 200);
  await sleep(2000);
  // 400 ticks, standard deviation 20: five of them, and what a busy computer misses.
  t.true(state.ticks + state.skipped > 300 && state.ticks < 500, `${state.ticks} ticks`);
  t.is(state.starts, 1);
});

test('ticks stopped for an hour where the clock was set back by an hour', async (t) => {
  const { state } = create(t, 50);
  state.aheadMs = 3_600_000;
  await until(() => state.ticks > 5, 5_000);
  state.aheadMs = 0;
  const before = state.ticks;
  await t.notThrowsAsync(until(() => state.ticks > before + 5, 5_000));
});

test('ticks that a stop has missed are skipped, not made up for', async (t) => {
  const { state } = create(t, 50);
  await until(() => state.ticks > 0, 5_000);
  state.aheadMs = 60_000;
  const before = state.ticks;
  await until(() => state.skipped > 0, 5_000);
  t.true(state.skipped > 2500, `${state.skipped} skipped`);
  t.true(state.ticks < before + 100, `${state.ticks - before} at once`);
});

test('without a directory it stands still, and starts again with one', async (t) => {
  const { state } = create(t, 50);
  await until(() => state.ticks > 0, 5_000);
  state.rate = null;
  await sleep(100);
  const stood = state.ticks;
  await sleep(300);
  t.is(state.ticks, stood);
  state.rate = 50;
  await until(() => state.ticks > stood, 5_000);
  t.is(state.starts, 2);
});

test('a stopped clock ticks no more', async (t) => {
  const { clock, state } = create(t, 200);
  await until(() => state.ticks > 0, 5_000);
  clock.stop();
  const stood = state.ticks;
  await sleep(100);
  t.is(state.ticks, stood);
});
