import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { Emission } from '../../src/mixer/emission.ts';
import { decodeSends } from '../../src/mixnet/arq.ts';
import { temporaryStore } from '../redis/private-redis.ts';
import { fragmentOf, ME, outboundParts } from './outbound-parts.ts';

const later = (): number => Date.now() + 3_600_000;

test('cover and fragment leave by the same commands of the same sizes', async (t) => {
  const store = await temporaryStore(t);
  const parts = await outboundParts(store);
  const { exit, queue, emission, traffic } = parts;
  await queue(fragmentOf(later()));
  const ready = parts.ready();
  await ready.fill(exit);
  const monitor = await store.redis.monitor();
  t.teardown(() => monitor.disconnect());
  const sent: string[][] = [];
  let shapes: string[] = [];
  monitor.on('monitor', (_: string, args: readonly string[], source: string) => {
    // What a script does inside is Redis' own; what is sent to it takes the time.
    if (source !== 'lua' && args[0] !== 'info') shapes.push(shapeOf(args));
  });
  // The first send of all loads the scripts.
  for (const kind of ['cover', 'cover', 'fragment', 'cover'] as const) {
    const packet = ready.take(exit, kind);
    if (packet === null) throw new Error(`no ${kind} is ready`);
    t.is(packet.kind, kind);
    shapes = [];
    await emission.send(packet, traffic);
    await sleep(100);
    sent.push(shapes);
  }
  const [, cover = [], fragment, again] = sent;
  t.true(cover.length >= 2, cover.join('\n'));
  t.deepEqual(again, cover);
  t.deepEqual(fragment, cover);
  await ready.close();
});

/** A script and the lengths of its values; names of keys are looked up, never written to anything. */
function shapeOf(args: readonly string[]): string {
  const [command = '', script = '', keys = '', ...rest] = args;
  if (!command.toLowerCase().startsWith('evalsha')) return args.map(lengthOf).join(' ');
  return [script, keys, ...rest.slice(Number(keys)).map(lengthOf)].join(' ');
}

/** Numbers (times, among them) may differ by a digit, and no clock sees that. */
function lengthOf(arg: string): string {
  // The monitor shows what is not printable as \xNN.
  return /^\d+$/.test(arg) ? 'number' : String(arg.replaceAll(/\\x..|\\./g, '.').length);
}

test('everything that the answer needs is stored before the packet can leave', async (t) => {
  const parts = await outboundParts(await temporaryStore(t));
  const { exit, queue, sent, watch, counters, records, traffic } = parts;
  const id = await queue(fragmentOf(later()));
  const ready = parts.ready();
  await ready.fill(exit);
  const packet = ready.take(exit, 'fragment');
  if (packet === null) throw new Error('no fragment is ready');
  let isAway = true;
  const emission = new Emission({
    random: native.random,
    now: Date.now,
    sent,
    mixing: {
      add: async (recordId, dueMs) => {
        if (isAway) throw new PanoramixError('redis-unavailable', 'a test');
        await parts.mixing.add(recordId, dueMs);
      },
    },
    watch,
    counters,
  });
  await t.throwsAsync(emission.send(packet, traffic), { message: /redis-unavailable/ });
  const { reply, packet: bytes, trip, first } = packet.packet;
  t.like(await sent.load(reply.id), { kind: 'fragment', fragmentId: id, nodes: trip.nodes });
  t.deepEqual((await sent.load(reply.id))?.keytuple, reply.keytuple);
  const record = await records.load(packet.recordId);
  t.deepEqual(record?.packet, bytes);
  t.deepEqual(record?.next, first.endpoint.address);
  t.is(await parts.mixing.has(packet.recordId), false);
  t.is(counters.of('sent-fragment'), 0);

  isAway = false;
  const againAtMs = await emission.send(packet, traffic);
  t.true(await parts.mixing.has(packet.recordId));
  const sends = decodeSends((await sent.sends(id)) ?? new Uint8Array());
  t.is(sends?.count, 1, 'sent again after a failure, it was sent once');
  t.is(sends?.againAtMs, againAtMs);
  t.true(againAtMs > Date.now() + trip.delayMs + 4 * traffic.delayMeanMs);
  t.is(counters.of('sent-fragment'), 1);
  await ready.close();
});

test('loops and cover are due back after their drawn delays; cover has its exit’s beside', async (t) => {
  const parts = await outboundParts(await temporaryStore(t));
  const { exit, emission, sent, traffic, watch } = parts;
  const ready = parts.ready();
  await ready.fill(exit);
  const cover = ready.take(exit, 'cover');
  if (cover === null) throw new Error('no cover is ready');
  const nowMs = Date.now();
  const ackMs = 4 * traffic.delayMeanMs;
  const loopDueMs = watch.dueMs(cover.packet, nowMs, 0);
  t.is(watch.dueMs(cover.packet, nowMs, traffic.delayMeanMs), loopDueMs + ackMs);
  await emission.send(cover, traffic);
  const stored = await sent.load(cover.packet.reply.id);
  t.is(stored?.fragmentId, null);
  t.true(Math.abs((stored?.dueMs ?? 0) - loopDueMs - ackMs) < 1000);
  const loop = { ...cover, kind: 'loop' as const, recordId: toHex(native.random(16)) };
  loop.packet = {
    ...cover.packet,
    reply: { ...cover.packet.reply, id: native.random(16) },
  };
  await emission.send(loop, traffic);
  t.true(Math.abs(((await sent.load(loop.packet.reply.id))?.dueMs ?? 0) - loopDueMs) < 1000);
  t.not(cover.packet.trip.nodes.length, 0);
  t.false(cover.packet.trip.nodes.includes(ME));
  await ready.close();
});
