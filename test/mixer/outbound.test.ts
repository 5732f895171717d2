import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { SendKind } from '../../src/mixer/fragment-queues.ts';
import { afterSend, encodeSends, NEVER_SENT } from '../../src/mixnet/arq.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { fragmentOf, geometry, outboundParts } from './outbound-parts.ts';

const store = sharedStore(test);
const later = (): number => Date.now() + 3_600_000;
const TRIP = { tripDelayMs: 0, delayMeanMs: 0 };

/** Notes that a fragment was sent at a time, as its emission does. */
async function noteSent(
  parts: Awaited<ReturnType<typeof outboundParts>>,
  id: string,
  nowMs: number,
): Promise<number> {
  const sends = afterSend(native.random, NEVER_SENT, { nowMs, ...TRIP });
  await parts.sent.send({
    record: {
      recordId: 'b'.repeat(32),
      endpointId: 'ticks',
      next: new Uint8Array(16),
      dueMs: nowMs,
      packet: new Uint8Array(1),
    },
    replyId: native.random(16),
    sent: { kind: 'fragment', fragmentId: id, keytuple: [], nodes: [], sentMs: 1, dueMs: 2 },
    sends: encodeSends(sends),
  });
  return sends.againAtMs;
}

async function where(
  parts: Awaited<ReturnType<typeof outboundParts>>,
  id: string,
): Promise<readonly SendKind[]> {
  const has = async (kind: SendKind): Promise<SendKind[]> =>
    (await (await parts.queues.queue(parts.exit, kind)).has(id)) ? [kind] : [];
  return [...(await has('first')), ...(await has('resend'))];
}

test('a fragment that was sent waits among the resends until it may be sent again', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound } = parts;
  const id = await queue(fragmentOf(later()));
  const taken = await outbound.take(exit, 'first', geometry);
  if (taken === null) throw new Error('nothing to take');
  t.is(taken.sends.count, 0);
  await outbound.putOff(taken, Date.now() + 60_000);
  t.deepEqual(await where(parts, id), ['resend']);
  t.is(await outbound.take(exit, 'first', geometry), null);
  t.is(await outbound.take(exit, 'resend', geometry), null, 'it is not due');
});

test('a crash between the packet and the job’s new queue: its history says that it was sent', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound } = parts;
  const id = await queue(fragmentOf(later()));
  await noteSent(parts, id, Date.now());
  t.is(await outbound.take(exit, 'first', geometry), null);
  t.deepEqual(await where(parts, id), ['resend']);
});

test('a crash between the new queue and the end of the old job: it is sent once all the same', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound, queues } = parts;
  const id = await queue(fragmentOf(later()));
  await (await queues.queue(exit, 'resend')).add(id, Date.now() + 60_000);
  await noteSent(parts, id, Date.now());
  t.deepEqual(await where(parts, id), ['first', 'resend']);
  t.is(await outbound.take(exit, 'first', geometry), null);
  t.deepEqual(await where(parts, id), ['resend']);
});

test('where Redis went away as a job changed its queue, the job stays in the old one', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound, queues } = parts;
  const id = await queue(fragmentOf(later()));
  const taken = await outbound.take(exit, 'first', geometry);
  if (taken === null) throw new Error('nothing to take');
  const open = queues.queue.bind(queues);
  queues.queue = async () => {
    throw new PanoramixError('redis-unavailable', 'a test');
  };
  await t.throwsAsync(outbound.putOff(taken, later()), { message: /redis-unavailable/ });
  queues.queue = open;
  t.deepEqual(await where(parts, id), ['first']);
  t.is((await outbound.take(exit, 'first', geometry))?.id, id);
});

test('a resend that comes before its time, as after a restart, is put off again', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound, queues } = parts;
  const id = await queue(fragmentOf(later()));
  await noteSent(parts, id, Date.now());
  await outbound.take(exit, 'first', geometry);
  const resends = await queues.queue(exit, 'resend');
  await resends.remove(id);
  await resends.add(id);
  t.is(await outbound.take(exit, 'resend', geometry), null);
  t.deepEqual(await where(parts, id), ['resend']);
  t.is(await outbound.take(exit, 'resend', geometry), null);
});

test('a fragment that has expired is given up, with its name, and nothing of it stays', async (t) => {
  let ahead = 0;
  const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
  const { exit, queue, outbound, counters, records, sent, expired } = parts;
  const fragment = fragmentOf(later());
  const id = await queue(fragment);
  await noteSent(parts, id, Date.now() - 3_000_000);
  ahead = 3_600_001;
  t.is(await outbound.take(exit, 'first', geometry), null);
  t.is(counters.of('fragment-expired'), 1);
  t.is(await records.load(id), null);
  t.is(await sent.sends(id), null);
  t.deepEqual(await where(parts, id), []);
  t.deepEqual(expired, [toHex(fragment.messageId)], 'its sender is told');
});

test('the records of a mail’s fragments are known from its id alone', async (t) => {
  const { exit, outbound, records } = await outboundParts(store());
  const messageId = toHex(native.random(16));
  const ids = outbound.fragmentIds(exit, messageId, 3);
  t.is(new Set(ids).size, 3);
  t.deepEqual(outbound.fragmentIds(exit, messageId, 2), ids.slice(0, 2));
  t.false(await records.hasAny(ids));
  t.false(await records.hasAny([]));
  const next = new Uint8Array(16);
  const endpointId = `outbound-${exit}`;
  const recordId = ids[2] as string;
  await records.put({ recordId, endpointId, next, dueMs: 0, packet: next });
  t.true(await records.hasAny(ids));
  await records.remove(recordId);
});

test('a fragment is never given up before it expires, however often it was sent', async (t) => {
  let ahead = 0;
  const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
  const { exit, queue, outbound, counters, queues } = parts;
  const id = await queue(fragmentOf(Date.now() + 5 * 86_400_000));
  let sends = 0;
  while (ahead < 4.9 * 86_400_000) {
    const kind = sends === 0 ? 'first' : 'resend';
    const taken = await outbound.take(exit, kind, geometry);
    if (taken === null) throw new Error(`not there after ${sends} sends`);
    const againAtMs = await noteSent(parts, id, Date.now() + ahead);
    sends += 1;
    await outbound.putOff(taken, Date.now() - 1);
    ahead = Math.max(ahead + 7_200_000, againAtMs - Date.now() + 1);
  }
  t.is(counters.of('fragment-expired'), 0);
  t.true(sends > 20, `${sends} sends`);
  await (await queues.queue(exit, 'resend')).remove(id);
});

// Serial, for it walks through the fragments of all tests.
test.serial(
  'at a start, each fragment gets its job in the queue that its history asks for',
  async (t) => {
    const parts = await outboundParts(store());
    const { exit, queue, outbound, queues } = parts;
    const [fresh, sent] = [await queue(fragmentOf(later())), await queue(fragmentOf(later()))];
    await noteSent(parts, sent, Date.now());
    for (const id of [fresh, sent]) await (await queues.queue(exit, 'first')).remove(id);
    await outbound.resume(null);
    t.deepEqual(await where(parts, fresh), ['first']);
    t.deepEqual(await where(parts, sent), ['resend']);
    await outbound.resume(null);
    t.deepEqual(await where(parts, sent), ['resend']);
  },
);

test.serial(
  'fragments for an exit that had left the mixnet stayed for ever: nobody took them to see that they had expired',
  async (t) => {
    let ahead = 0;
    const parts = await outboundParts(store(), { now: () => Date.now() + ahead });
    const { exit, queue, outbound, counters, records, sent, expired } = parts;
    const [early, late] = [await queue(fragmentOf(later())), await queue(fragmentOf(2 * later()))];
    await noteSent(parts, early, Date.now());
    ahead = 3_600_001;
    await outbound.resume({ has: (one) => one !== exit, geometry });
    t.truthy(await records.load(early), 'a tick looks after it');
    await outbound.resume({ has: (one) => one === exit, geometry });
    t.is(await records.load(early), null);
    t.is(await sent.sends(early), null);
    t.deepEqual(await where(parts, early), []);
    t.is(counters.of('fragment-expired'), 1);
    t.is(expired.length, 1, 'its sender is told');
    t.truthy(await records.load(late), 'the exit may come back before it expires');
    t.deepEqual(await where(parts, late), ['first']);
  },
);

test('after a clock that was days ahead, a fragment was put off until that day', async (t) => {
  const parts = await outboundParts(store());
  const { exit, queue, outbound, queues } = parts;
  const id = await queue(fragmentOf(Date.now() + 5 * 86_400_000));
  await noteSent(parts, id, Date.now() + 4 * 86_400_000);
  t.is(await outbound.take(exit, 'first', geometry), null);
  const taker = await queues.taker(exit, 'resend');
  t.is(await taker.take(), null);
  const dueMs = await store().redis.zscore(
    `${store().prefix}:outbound-${exit}-again:delayed`,
    `j${id}`,
  );
  // BullMQ keeps the time in the upper bits of the score.
  t.true(Number(dueMs) / 4096 <= Date.now() + 86_400_000 + 1_000, String(dueMs));
});
