import test from 'ava';
import {
  advanceTicks,
  decideTick,
  drawExit,
  startTicks,
  TICK_LATE_MS_MAX,
} from '../../src/mixnet/ticks.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from './made-directory.ts';
import { seededRandom } from './seeded-random.ts';

const gateways = madeDirectory([
  madeNode(1, { roles: ['gateway'], weight: 1 }),
  madeNode(2, { roles: ['gateway', 'mix'], weight: 3 }),
  madeNode(3),
  madeNode(4, { roles: ['gateway'], weight: 50, endpoints: [] }),
]);

test('exits are drawn by their public weights, one of their own included, mixes never', (t) => {
  const random = seededRandom(1);
  const seen = new Map<string | null, number>();
  for (let i = 0; i < 8000; i++) {
    const exit = drawExit(random, gateways, NOW_MS);
    seen.set(exit, (seen.get(exit) ?? 0) + 1);
  }
  t.deepEqual([...seen.keys()].map(String).toSorted(), [peerIdOf(1), peerIdOf(2)]);
  t.true(Math.abs((seen.get(peerIdOf(1)) ?? 0) - 2000) < 195);
});

test('the exit is drawn before anyone looks whether mail waits for it', (t) => {
  const asked: string[] = [];
  const draws = (waiting: boolean): (string | undefined)[] => {
    const random = seededRandom(2);
    return Array.from({ length: 200 }, () => {
      const choice = decideTick(random, gateways, NOW_MS, (exit) => {
        asked.push(exit);
        return waiting;
      });
      t.is(choice?.take, waiting ? 'fragment' : 'cover');
      return choice?.exit;
    });
  };
  t.deepEqual(draws(true), draws(false));
  t.is(asked.length, 400);
});

test('without a gateway that is open there is no tick', (t) => {
  t.is(
    decideTick(seededRandom(1), madeDirectory([madeNode(3)]), NOW_MS, () => true),
    null,
  );
});

test('ticks keep their rate though timers come late', (t) => {
  const random = seededRandom(3);
  let clock = startTicks(random, NOW_MS, 10);
  let ticks = 0;
  const seconds = 2000;
  while (clock.dueMs < NOW_MS + seconds * 1000) {
    ticks += 1;
    clock = advanceTicks(random, clock, clock.dueMs + 15, 10);
  }
  t.is(clock.skipped, 0);
  t.true(Math.abs(ticks - seconds * 10) < 710, `${ticks}`); // Poisson: sqrt(20 000) = 141
});

test('ticks missed in a stop are skipped, not made up for', (t) => {
  const random = seededRandom(4);
  const clock = startTicks(random, NOW_MS, 10);
  const woken = NOW_MS + 30_000;
  const after = advanceTicks(random, clock, woken, 10);
  t.true(after.dueMs >= woken - TICK_LATE_MS_MAX && after.dueMs < woken + 2000);
  t.true(Math.abs(after.skipped - 300) < 90, `${after.skipped}`);
});

test('after a stop of a year the clock does not walk through it tick by tick', (t) => {
  const random = seededRandom(5);
  const woken = NOW_MS + 365 * 86_400_000;
  const after = advanceTicks(random, startTicks(random, NOW_MS, 100), woken, 100);
  t.true(after.dueMs >= woken - TICK_LATE_MS_MAX);
  t.true(after.skipped > 3e9);
});

for (const ticksPerSecond of [0.1, 100, 1000, 10_000]) {
  test(`whole milliseconds once made the clock too fast: ${ticksPerSecond} ticks a second`, (t) => {
    const random = seededRandom(6);
    let clock = startTicks(random, NOW_MS, ticksPerSecond);
    const ticks = 40_000;
    for (let i = 0; i < ticks; i++) {
      clock = advanceTicks(random, clock, clock.dueMs, ticksPerSecond);
    }
    const expectedMs = (ticks * 1000) / ticksPerSecond;
    // 1 / sqrt(40 000) = 0.5 %: five of them.
    t.true(Math.abs((clock.dueMs - NOW_MS) / expectedMs - 1) < 0.025, `${clock.dueMs - NOW_MS}`);
  });
}
