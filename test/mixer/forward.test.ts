import test, { type ExecutionContext } from 'ava';
import { toBase64url, toHex } from '../../src/bytes.ts';
import type { ControllerClient } from '../../src/client/controller.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError, type ErrorCode } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { TICKS_OWNER } from '../../src/mixer/emission.ts';
import { Forwarder } from '../../src/mixer/forward.ts';
import { openQueue, openWorker } from '../../src/redis/queues.ts';
import { Records, type ForwardRecord } from '../../src/redis/records.ts';
import { sharedStore } from '../controller/private-controller.ts';
import { madeDirectory, madeNode, NOW_MS } from '../mixnet/made-directory.ts';
import { until } from '../redis/private-redis.ts';

const store = sharedStore(test);
const directory = madeDirectory([madeNode(1), madeNode(2)]);
const next = new Uint8Array(16).fill(2);
const packet = native.random(2384);
const storageKey = native.random(32);
const storageKeys = (): Uint8Array => storageKey;

type Posted = Parameters<ControllerClient['postMessage']>[0];

/** A forwarder that has just started, and next hops that take a packet, refuse it or never answer. */
function create(
  refusal: { code: ErrorCode | null } = { code: null },
  hanging = { url: '', until: Promise.resolve() },
) {
  const records = new Records(store(), { primitives: native, storageKeys });
  const posted: (Posted & { url: string })[] = [];
  const counters = new Counters();
  const clock = { nowMs: NOW_MS };
  const alarm: { on: number | null } = { on: null };
  const looks: string[] = [];
  const said: unknown[] = [];
  const forwarder = new Forwarder({
    primitives: native,
    records,
    storageKeys,
    directory: { last: () => directory },
    refreshDirectory: async () => await Promise.resolve(looks.push('look')),
    alarm: () => alarm.on,
    clientFor: (url) => ({
      postMessage: async (message) => {
        if (url === hanging.url) await hanging.until;
        if (refusal.code !== null) throw new PanoramixError(refusal.code, 'a test');
        posted.push({ ...message, url });
        await Promise.resolve();
      },
    }),
    counters,
    log: { ...silentLog, warn: (fields: object) => said.push(fields) },
    now: () => clock.nowMs,
  });
  const work = async (recordId: string) =>
    await forwarder.work({ id: recordId, dueMs: NOW_MS, failures: 0 });
  type Over = Partial<Pick<ForwardRecord, 'dueMs' | 'next' | 'endpointId'>>;
  const put = async (over: Over = {}): Promise<string> => {
    const recordId = toHex(native.random(16));
    await records.put({ recordId, endpointId: 'e', next, dueMs: NOW_MS, packet, ...over });
    return recordId;
  };
  return { forwarder, records, posted, counters, clock, alarm, looks, said, work, put };
}

async function isGone(t: ExecutionContext, records: Records, recordId: string): Promise<void> {
  t.is(await records.load(recordId), null);
}

test('a packet is posted to the next hop as it is, and its record goes', async (t) => {
  const { posted, work, put, records } = create();
  const recordId = await put();
  t.is(await work(recordId), undefined);
  const [message] = posted;
  t.is(message?.url, directory.nodes[1]?.controllerUrl);
  t.is(message?.recipient, directory.nodes[1]?.peerId);
  t.is(message?.endpointId, 'endpoint_2');
  t.is(message?.text, toBase64url(packet));
  t.regex(message?.serial ?? '', /^[0-9a-f]{32}$/);
  await isGone(t, records, recordId);
});

test('a clock that was set ahead let out at once all packets that a mix held', async (t) => {
  const { posted, work, put, clock, records } = create();
  const dueMs = NOW_MS + 60_000;
  const recordId = await put({ dueMs });
  // The job is due by the machine's clock, the packet is not by the time that the node goes by.
  t.deepEqual(await work(recordId), { againAtMs: dueMs });
  t.is(posted.length, 0);
  clock.nowMs = dueMs;
  t.is(await work(recordId), undefined);
  t.is(posted.length, 1);
  await isGone(t, records, recordId);
});

test('a packet that was taken without our hearing it is posted with the same serial', async (t) => {
  const refusal: { code: ErrorCode | null } = { code: 'controller-unreachable' };
  const { posted, work, put, records, clock } = create(refusal);
  const recordId = await put();
  await t.throwsAsync(work(recordId), { instanceOf: PanoramixError });
  t.truthy(await records.load(recordId));
  refusal.code = null;
  const again = await work(recordId);
  t.true((again?.againAtMs ?? 0) > NOW_MS, 'the link pauses');
  clock.nowMs = again?.againAtMs ?? 0;
  const copy = await records.load(recordId);
  await work(recordId);
  await records.put(copy as never);
  await work(recordId);
  t.is(posted.length, 2);
  t.is(posted[0]?.serial, posted[1]?.serial);
  await work(await put());
  t.not(posted[2]?.serial, posted[0]?.serial);
});

for (const code of ['endpoint-closed', 'endpoint-unknown'] as const) {
  test(`a next hop that says ${code} ends the packet`, async (t) => {
    const { work, put, records, counters } = create({ code });
    const recordId = await put();
    await work(recordId);
    t.is(counters.of(code), 1);
    await isGone(t, records, recordId);
  });
}

for (const code of ['endpoint-full', 'sender-refused', 'unexpected'] as const) {
  test(`a next hop that says ${code} is tried again`, async (t) => {
    const { work, put, records } = create({ code });
    const recordId = await put();
    await t.throwsAsync(work(recordId), { message: new RegExp(code) });
    t.truthy(await records.load(recordId));
  });
}

test('a next hop that no directory knows ends the packet', async (t) => {
  const { work, put, records, counters } = create();
  const recordId = await put({ next: new Uint8Array(16).fill(9) });
  await work(recordId);
  t.is(counters.of('unknown-next-hop'), 1);
  await isGone(t, records, recordId);
});

test('a packet that nobody took for as long as its sender can read an answer ends', async (t) => {
  const { work, put, counters, clock, records } = create({ code: 'endpoint-full' });
  const recordId = await put();
  clock.nowMs += 2 * 3_600_000;
  await t.throwsAsync(work(recordId), { message: /endpoint-full/ });
  clock.nowMs += 1;
  await work(recordId);
  t.is(counters.of('forward-expired'), 1);
  await isGone(t, records, recordId);
});

test('what was overdue at the start waits afresh, once', async (t) => {
  const { work, put, posted, clock } = create();
  const recordId = await put({ dueMs: NOW_MS - 60_000 });
  const again = await work(recordId);
  t.true((again?.againAtMs ?? 0) >= NOW_MS);
  t.is(posted.length, 0);
  clock.nowMs = again?.againAtMs ?? 0;
  t.is(await work(recordId), undefined);
  t.is(posted.length, 1);
});

test('while too few of the own packets come back, each of others waits once more, own ones do not', async (t) => {
  const { alarm, clock, counters, posted, put, work } = create();
  const [other, own] = [await put(), await put({ endpointId: TICKS_OWNER })];
  alarm.on = 1;
  const delays: number[] = [];
  for (let i = 0; i < 100; i++) {
    const again = await work(await put());
    delays.push((again?.againAtMs ?? 0) - NOW_MS);
  }
  const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
  // Of 100 draws of a mean of 20 s, five standard deviations.
  t.true(Math.abs(mean - 20_000) < 10_000, `${mean} ms`);
  t.is(posted.length, 0);
  await work(own);
  t.is(posted.length, 1);
  const held = await work(other);
  clock.nowMs = held?.againAtMs ?? 0;
  t.is(await work(other), undefined);
  t.is(posted.length, 2, 'not held for good');
  t.is(counters.of('held'), 101);
});

test('an alarm that does not end holds packets for a minute, or all nodes would hold for ever', async (t) => {
  const { alarm, clock, put, work, posted } = create();
  alarm.on = 1;
  t.truthy(await work(await put()));
  clock.nowMs = NOW_MS + 59_999;
  t.truthy(await work(await put()));
  clock.nowMs = NOW_MS + 60_000;
  t.is(await work(await put()), undefined);
  t.is(posted.length, 1);
});

test('a new alarm holds again, the packets that were held before, too, but not within four minutes', async (t) => {
  const { alarm, clock, put, work } = create({ code: 'endpoint-full' });
  const recordId = await put();
  alarm.on = 1;
  t.truthy(await work(recordId));
  await t.throwsAsync(work(recordId), { message: /endpoint-full/ });
  alarm.on = null;
  await t.throwsAsync(work(recordId), { message: /endpoint-full/ });
  alarm.on = 2;
  clock.nowMs = NOW_MS + 239_999;
  await t.throwsAsync(work(recordId), { message: /endpoint-full/ });
  alarm.on = 3;
  clock.nowMs = NOW_MS + 240_000;
  t.truthy(await work(recordId));
});

test('of packets that cannot be passed on the log says one line, not one for each', async (t) => {
  const { work, put, said, counters, looks } = create();
  for (let i = 0; i < 5; i++) await work(await put({ next: new Uint8Array(16).fill(9) }));
  t.deepEqual(said, [{ event: 'forward-dropped', reason: 'unknown-next-hop' }]);
  t.is(counters.of('unknown-next-hop'), 5);
  t.is(looks.length, 5);
});

test('a job whose record is settled does nothing', async (t) => {
  const { work, posted } = create();
  t.is(await work('00'.repeat(16)), undefined);
  t.is(posted.length, 0);
});

test('packets to a next hop that hung held up those to all others', async (t) => {
  const hung = madeNode(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  const { work, put, posted } = create({ code: null }, { url: hung.controllerUrl, until: promise });
  const queue = await openQueue(store(), 'mixing');
  const address = hung.endpoints[0]?.address ?? next;
  const ids = await Promise.all(
    Array.from({ length: 80 }, async () => await put({ next: address })),
  );
  await queue.addMany(ids.map((id) => ({ id })));
  await queue.add(await put());
  const worker = await openWorker(store(), 'mixing', async ({ id }) => await work(id));
  await until(() => posted.length === 1, 5_000);
  t.is(posted[0]?.url, directory.nodes[1]?.controllerUrl);
  resolve();
  await worker.close();
});

test('cover for a next hop that takes nothing filled the storage', async (t) => {
  const refusal: { code: ErrorCode | null } = { code: 'endpoint-full' };
  const { forwarder, work, put } = create(refusal);
  const ids: string[] = [];
  for (let i = 0; i < 257; i++) {
    t.false(forwarder.isBackedUp(next));
    // One of somebody else's is not ours to limit.
    const id = await put({ endpointId: i === 99 ? 'e' : TICKS_OWNER });
    await t.throwsAsync(work(id));
    // Tried again it is the same packet.
    if (i === 100) await t.throwsAsync(work(id));
    ids.push(id);
  }
  t.true(forwarder.isBackedUp(next));
  t.false(forwarder.isBackedUp(new Uint8Array(16).fill(1)));
  refusal.code = null;
  await work(ids[0] ?? '');
  t.false(forwarder.isBackedUp(next));
});

test('one next hop that took nothing made its neighbours shed all that came: others are limited, too', async (t) => {
  const refusal: { code: ErrorCode | null } = { code: 'endpoint-full' };
  const { work, put, counters, records, posted } = create(refusal);
  const other = madeNode(1).endpoints[0]?.address ?? next;
  const ids: string[] = [];
  for (let i = 0; i < 1024; i += 64) {
    const group = await Promise.all(Array.from({ length: 64 }, async () => await put()));
    // Refused, or put off because the link is busy: none is taken.
    await Promise.allSettled(group.map(async (id) => await work(id)));
    ids.push(...group);
  }
  const beyond = await put();
  t.is(await work(beyond), undefined);
  t.is(counters.of('next-hop-backed-up'), 1);
  await isGone(t, records, beyond);
  await t.throwsAsync(work(ids[0] ?? ''), { message: /endpoint-full/ }, 'one that waits goes on');
  await t.throwsAsync(work(await put({ next: other })), undefined, 'another hop has its own room');
  await t.throwsAsync(work(await put({ endpointId: TICKS_OWNER })), undefined, 'own ones, too');
  refusal.code = null;
  await work(ids[0] ?? '');
  t.is(await work(await put()), undefined);
  t.is(posted.length, 2, 'there is room again');
});

test('an own packet that had gone, as Redis went away, counted as waiting for ever', async (t) => {
  const { forwarder, work, put, records } = create({ code: 'endpoint-full' });
  const ids = await Promise.all(
    Array.from({ length: 256 }, async () => await put({ endpointId: TICKS_OWNER })),
  );
  await Promise.allSettled(ids.map(async (id) => await work(id)));
  t.true(forwarder.isBackedUp(next));
  // Removed, but the answer was lost: the job comes once more and finds nothing.
  await records.remove(ids[0] ?? '');
  await work(ids[0] ?? '');
  t.false(forwarder.isBackedUp(next));
});
