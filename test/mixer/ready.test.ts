import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { TakenFragment } from '../../src/mixer/outbound.ts';
import { queueStats } from '../../src/redis/queue-stats.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { fragmentOf, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);
const later = (): number => Date.now() + 3_600_000;

test('a fragment whose bytes could not be read, as Redis went away, was held until a restart', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound } = parts;
  await queue(fragmentOf(later()));
  let isAway = true;
  const ready = parts.ready();
  const take = outbound.take.bind(outbound);
  outbound.take = async (...query) => {
    const { records } = parts;
    const load = records.load.bind(records);
    records.load = async (id) => {
      if (isAway) throw new PanoramixError('redis-unavailable', 'a test');
      return await load(id);
    };
    try {
      return await take(...query);
    } finally {
      records.load = load;
    }
  };
  await t.throwsAsync(ready.fill(exit), { message: /redis-unavailable/ });
  isAway = false;
  await ready.fill(exit);
  t.true(ready.isWaiting(exit));
  await ready.close();
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 1, active: 0 });
});

test('a fragment whose first hop takes nothing held up those behind it: it goes another way', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue } = parts;
  const ready = parts.ready();
  await queue(fragmentOf(later()));
  await ready.fill(exit);
  const before = ready.take(exit, 'fragment');
  if (before === null) throw new Error('nothing is ready');
  ready.putBack(exit, before, 'other-route');
  t.false(ready.isWaiting(exit));
  await ready.fill(exit);
  const after = ready.take(exit, 'fragment');
  t.is(after?.taken, before.taken);
  t.notDeepEqual(after?.packet.packet, before.packet.packet);
  t.not(after?.recordId, before.recordId);
  t.notDeepEqual(after?.packet.reply.id, before.packet.reply.id);
  ready.putBack(exit, before, 'same-route');
  const same = ready.take(exit, 'fragment');
  t.is(same?.packet.packet, before.packet.packet);
  t.is(same?.recordId, before.recordId);
  await ready.close();
});

test('cover that could not be handed on is kept like a fragment, unless its way is blocked', async (t) => {
  const { exit, ...parts } = await outboundParts(store());
  const ready = parts.ready();
  await ready.fill(exit);
  const cover = ready.take(exit, 'cover');
  if (cover === null) throw new Error('no cover is ready');
  ready.putBack(exit, cover, 'same-route');
  t.is(ready.take(exit, 'cover')?.recordId, cover.recordId);
  ready.putBack(exit, cover, 'other-route');
  const next = ready.take(exit, 'cover');
  t.truthy(next, 'the next tick finds cover');
  t.not(next?.recordId, cover.recordId);
});

test('every send of a fragment takes a fresh way and a fresh reply block', async (t) => {
  let ahead = 0;
  const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
  const { exit, queue, emission, outbound, traffic } = parts;
  const id = await queue(fragmentOf(later()));
  const ready = parts.ready();
  const seen: string[] = [];
  for (let send = 0; send < 3; send++) {
    await ready.fill(exit);
    const packet = ready.take(exit, 'fragment');
    if (packet?.taken === null || packet === null) throw new Error(`send ${send} is not ready`);
    t.is(packet.taken.id, id);
    t.is(packet.taken.sends.count, send);
    seen.push(toHex(packet.packet.reply.id), toHex(packet.packet.packet.slice(0, 32)));
    const againAtMs = await emission.send(packet, traffic);
    // The job of a real queue is due by the real clock.
    await outbound.putOff(packet.taken, Math.min(againAtMs, Date.now() - 1));
    ahead = againAtMs + 1 - Date.now();
  }
  t.is(new Set(seen).size, 6);
  await ready.close();
});

test('while first sends wait, a backlog of resends takes a third of the ticks of their exit', async (t) => {
  let ahead = 0;
  const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
  const { exit, queue } = parts;
  const ready = parts.ready();
  const expiryMs = later() + 3_600_000;
  for (let i = 0; i < 12; i++) await queue(fragmentOf(expiryMs));
  const sentOnce: TakenFragment[] = [];
  for (let i = 0; i < 12; i++) {
    await ready.fill(exit);
    const packet = ready.take(exit, 'fragment');
    if (!packet?.taken) throw new Error(`fragment ${i} is not ready`);
    await parts.emission.send(packet, parts.traffic);
    sentOnce.push(packet.taken);
  }
  ahead = 600_000;
  for (const taken of sentOnce) await parts.outbound.putOff(taken, Date.now() - 1);
  for (let i = 0; i < 12; i++) await queue(fragmentOf(expiryMs));
  const kinds: string[] = [];
  for (let tick = 0; tick < 12; tick++) {
    await ready.fill(exit);
    kinds.push(ready.take(exit, 'fragment')?.taken?.kind ?? 'none');
  }
  t.is(kinds.filter((kind) => kind === 'resend').length, 4);
  t.is(kinds.filter((kind) => kind === 'first').length, 8);
  t.true((await queueStats(store(), `outbound-${exit}-again`)).active > 0);
  await ready.close();
});

test('a fragment that was acked while it was ready to be sent again is not sent again', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound } = parts;
  const ready = parts.ready();
  const id = await queue(fragmentOf(later()));
  await ready.fill(exit);
  t.true(ready.isWaiting(exit));
  await outbound.settle(id);
  await ready.forget(id);
  t.false(ready.isWaiting(exit));
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 0, active: 0 });
});

test('a fragment that expires while it is ready ends, and nothing of it stays', async (t) => {
  let ahead = 0;
  const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
  const { exit, queue, counters, records } = parts;
  const ready = parts.ready();
  const id = await queue(fragmentOf(later()));
  await ready.fill(exit);
  ahead = 3_600_001;
  t.false(ready.isWaiting(exit));
  await ready.fill(exit);
  t.is(counters.of('fragment-expired'), 1);
  t.is(await records.load(id), null);
  t.like(await queueStats(store(), `outbound-${exit}`), { waiting: 0, active: 0, delayed: 0 });
});
