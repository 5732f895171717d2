import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { LoopWatch } from '../../src/mixer/loop-watch.ts';
import { readLoopReport, writeLoopReport, type StoredLoops } from '../../src/redis/loop-report.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { peerIdOf } from '../mixnet/made-directory.ts';
import { until } from '../redis/private-redis.ts';
import { ME, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);

/** A watch over trips through three mixes, whose clock a test moves. */
async function create(t: ExecutionContext, write?: (loops: StoredLoops) => Promise<void>) {
  const clock = { nowMs: 1_000_000, listens: true };
  const counters = new Counters();
  const said: { event?: string }[] = [];
  const note = (fields: object): void => void said.push(fields);
  const log = { ...silentLog, info: note, warn: note };
  const keep = write ?? (async (loops) => await writeLoopReport(store(), loops));
  const watch = new LoopWatch({
    me: ME,
    now: () => clock.nowMs,
    counters,
    log,
    listens: () => clock.listens,
    write: keep,
  });
  const parts = await outboundParts(store());
  const ready = parts.ready();
  await ready.fill(parts.exit);
  const cover = ready.take(parts.exit, 'cover');
  if (cover === null) throw new Error('no cover is ready');
  watch.start();
  t.teardown(async () => await watch.stop());
  /** One second, one trip; whether it came back. */
  const trip = (isBack: boolean, nodes: readonly number[] = [1, 2, 3]): void => {
    const reply = { ...cover.packet.reply, id: native.random(16) };
    const way = { delayMs: 100, nodes: nodes.map(peerIdOf) };
    const packet = { ...cover.packet, reply, trip: way };
    clock.nowMs += 1000;
    watch.sent(packet, clock.nowMs, clock.nowMs + 100);
    if (isBack) watch.returned(toHex(reply.id));
  };
  return { clock, counters, said, watch, trip };
}

test('when too few come back the alarm is on, said once and counted; late ones end it', async (t) => {
  const { clock, counters, said, watch, trip } = await create(t);
  t.is(watch.alarm(), null);
  for (let i = 0; i < 20; i++) trip(true);
  for (let i = 0; i < 6; i++) trip(false);
  clock.nowMs += 1000;
  await until(() => watch.alarm() === 1);
  t.is(counters.of('loop-alarm'), 1);
  for (let i = 0; i < 60; i++) trip(true);
  clock.nowMs += 1000;
  await until(() => watch.alarm() === null);
  for (let i = 0; i < 6; i++) trip(false);
  clock.nowMs += 1000;
  await until(() => watch.alarm() === 2);
  t.deepEqual(
    said.map(({ event }) => event),
    ['loop-alarm', 'loop-alarm-over', 'loop-alarm'],
  );
});

test('one mix that drops is no alarm, and shows in the report', async (t) => {
  const { clock, counters, watch, trip } = await create(t);
  for (let i = 0; i < 40; i++) trip(i % 2 === 0, i % 2 === 0 ? [1, 2] : [1, 3]);
  clock.nowMs += 1000;
  await watch.stop();
  t.is(watch.alarm(), null);
  t.is(counters.of('loop-alarm'), 0);
  const stored = await readLoopReport(store());
  t.like(stored?.verdict, { isAlarmed: false, returned: 20, due: 40 });
  t.like(stored?.report.nodes[peerIdOf(3)], { due: 20, returned: 0 });
  t.like(stored?.report.nodes[peerIdOf(2)], { due: 20, returned: 20 });
  t.like(stored?.report.links[`${peerIdOf(1)}>${peerIdOf(3)}`], { due: 20, returned: 0 });
});

test('what was sent while or before nothing was collected, as without a directory, is no alarm', async (t) => {
  const { clock, counters, watch, trip } = await create(t);
  for (let i = 0; i < 20; i++) trip(false);
  clock.listens = false;
  await sleep(600);
  clock.nowMs += 1000;
  clock.listens = true;
  await sleep(600);
  t.is(watch.alarm(), null);
  t.is(counters.of('loop-alarm'), 0);
  for (let i = 0; i < 4; i++) trip(false);
  clock.nowMs += 1000;
  await until(() => watch.alarm() !== null);
});

test('a report that could not be stored is written again later, and stops nothing', async (t) => {
  const { watch, trip } = await create(t, async () => {
    throw new PanoramixError('redis-unavailable', 'a test');
  });
  trip(true);
  await t.notThrowsAsync(watch.stop());
});
