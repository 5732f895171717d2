/**
 * The real redis-server dies at every write of sending a fragment, of its exit's commit, and of settling
 * its ack: whoever was under way does the same again, and all is there once.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import test from 'ava';
import type { ExecutionContext } from 'ava';

import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry } from '../../src/redis/journal.ts';
import { openQueue } from '../../src/redis/queues.ts';
import type { JobQueue } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import type { SentPacket } from '../../src/redis/sent-store.ts';
import { openTaker } from '../../src/redis/taker.ts';
import type { JobTaker, TakenJob } from '../../src/redis/taker.ts';
import { CrashingRedis } from './crashing-redis.ts';
import type { CrashPoint } from './crashing-redis.ts';
import { until } from './private-redis.ts';

const STORAGE_KEY = bytes(32);
const HOUR_MS = 3_600_000;
/** More than any of these steps writes. */
const NEVER = 1_000;

interface Node {
  readonly redis: CrashingRedis;
  readonly store: Store;
  readonly records: Records;
  readonly fragments: FragmentStore;
  readonly journal: Journal;
  readonly sent: SentStore;
  readonly mixing: JobQueue;
  readonly outbound: JobQueue;
  readonly taker: JobTaker;
}

test('sending a fragment: it waits on, its packet leaves, and its answer can be read', async (t) => {
  await atEveryWrite(t, 4, async (node, crashing) => {
    const { records, sent, mixing, outbound, taker } = node;
    const fragment = onward(toHex(bytes(16)), 'outbound-abc');
    await records.put(fragment);
    await outbound.add(fragment.recordId);
    const job = (await taker.take()) as TakenJob;
    const packet = onward(toHex(bytes(16)), 'ticks');
    const [replyId, sends] = [bytes(16), bytes(20)];
    const what = sentPacket(fragment.recordId);

    await crashing(async () => {
      await again(node, async () => {
        await sent.send({ record: packet, replyId, sent: what, sends });
        await mixing.add(packet.recordId, packet.dueMs);
      });
      // A job that was put off already is nobody's any more: the second time says so and changes nothing.
      await again(node, async () => await job.again(Date.now() + HOUR_MS), 'may-refuse');
    });

    t.like(await records.load(packet.recordId), packet);
    t.deepEqual(await sent.load(replyId), what);
    t.deepEqual(await sent.sends(fragment.recordId), sends);
    t.like(await records.load(fragment.recordId), fragment);
    t.true(await mixing.has(packet.recordId));
    t.true(await outbound.has(fragment.recordId));
    t.is(await taker.take(), null, 'it is not sent again before its time');
    await outbound.remove(fragment.recordId);
  });
});

test('committing a fragment with its ack: one outcome, one ack, in the bytes of the first', async (t) => {
  await atEveryWrite(t, 2, async (node, crashing) => {
    const { journal, records, fragments, mixing } = node;
    const entry = fragmentEntry();
    const ack = entry.outcome.kind === 'fragment' ? entry.outcome.ack : null;
    const recordId = records.recordId(entry.endpointId, entry.tag);
    const result = await crashing(
      async () =>
        await again(node, async () => {
          const [committed] = await journal.commit([entry]);
          if (committed === 'committed') await mixing.add(recordId, ack?.dueMs);
          return committed;
        }),
    );
    // Where the commit had been done and its job not, `Records.pending` gives the job: as collecting does.
    if (result === 'replayed') {
      for await (const { recordId: id, dueMs } of records.pending()) await mixing.add(id, dueMs);
    }
    t.like(await records.load(recordId), { ...ack });
    t.true(await mixing.has(recordId));
    t.deepEqual(await fragments.usage(), { messages: 1, bytes: 140 });
    t.deepEqual(await journal.commit([entry]), ['replayed']);
    await records.remove(recordId);
    await mixing.remove(recordId);
    for (const id of await fragments.complete()) await fragments.remove(id);
  });
});

test('settling an ack: nothing is left of the fragment, and the ack is committed once', async (t) => {
  await atEveryWrite(t, 3, async (node, crashing) => {
    const { journal, records, sent, outbound, taker } = node;
    const fragment = onward(toHex(bytes(16)), 'outbound-abc');
    await records.put(fragment);
    await outbound.add(fragment.recordId);
    const replyId = bytes(16);
    const record = onward(toHex(bytes(16)), 'ticks');
    await sent.send({ record, replyId, sent: sentPacket(fragment.recordId), sends: bytes(20) });
    await ((await taker.take()) as TakenJob).again(Date.now() + HOUR_MS);
    const entry: CommitEntry = { endpointId: 'one', tag: bytes(16), outcome: { kind: 'none' } };

    await crashing(async () => {
      await again(node, async () => {
        // As an ack that is read again after a crash: what is not known any more has been settled.
        const known = await sent.load(replyId);
        await sent.settle(replyId);
        if (known?.fragmentId) await outbound.remove(known.fragmentId);
        await journal.commit([entry]);
      });
    });

    t.is(await sent.load(replyId), null);
    t.is(await sent.sends(fragment.recordId), null);
    t.is(await records.load(fragment.recordId), null);
    t.is(await records.count('outbound-abc'), 0);
    t.like(
      await records.load(record.recordId),
      record,
      'the packet that is on its way is not touched',
    );
    t.deepEqual(await journal.commit([entry]), ['replayed']);
    // A crash between the two leaves a job without a record, which does nothing when it is due.
    await outbound.remove(fragment.recordId);
    await records.remove(record.recordId);
  });
});

/** The part of a step in which the server dies. */
type Crashing = <T>(part: () => Promise<T>) => Promise<T>;

/**
 * Runs a step without a crash, to count its writes, then once for each write and point.
 * @param writesMin that the step is known to take: fewer would mean that nothing is counted
 */
async function atEveryWrite(
  t: ExecutionContext,
  writesMin: number,
  step: (node: Node, crashing: Crashing) => Promise<void>,
): Promise<void> {
  const node = await openNode(t);
  const { redis } = node;
  const counts: number[] = [];
  const run = async (write: number, point: CrashPoint): Promise<void> =>
    await step(node, async (part) => {
      redis.arm(write, point);
      const result = await part();
      counts.push(redis.writes);
      redis.arm(NEVER, point);
      return result;
    });
  // The first run teaches the server its scripts; now and then a lost job is looked for beside it.
  for (let time = 0; time < 3; time++) await run(NEVER, 'before its answer');
  const writes = Math.min(...counts);
  t.true(writes >= writesMin, `${writes} writes`);
  const points: readonly CrashPoint[] = ['before it is done', 'before its answer'];
  for (let write = 0; write < writes; write++) {
    for (const point of points) {
      const before = redis.crashes;
      t.log(`write ${write + 1}, ${point}`);
      await run(write, point);
      t.is(redis.crashes, before + 1, `no crash at write ${write + 1} ${point}`);
    }
  }
}

/** Does it again until Redis has answered, as every caller of these stores does. */
async function again<T>(
  { store }: Node,
  step: () => Promise<T>,
  second: 'may-refuse' | 'must-do' = 'must-do',
): Promise<T | undefined> {
  for (let time = 0; ; time++) {
    try {
      return await step();
    } catch (thrown) {
      const isAway = thrown instanceof PanoramixError && thrown.code === 'redis-unavailable';
      if (!isAway || time > 5) throw thrown;
      await until(async () => await answers(store));
      if (time > 0 && second === 'may-refuse') return undefined;
    }
  }
}

async function answers(store: Store): Promise<boolean> {
  await sleep(5);
  return await store.redis.ping().then(
    () => true,
    () => false,
  );
}

async function openNode(t: ExecutionContext): Promise<Node> {
  const redis = await CrashingRedis.start(t);
  const { url, dataDir } = redis;
  const store = await openStore({ url, dataDir, log: silentLog });
  t.teardown(async () => await store.close());
  const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
  const shared = { primitives: native, storageKey: STORAGE_KEY };
  const fragments = new FragmentStore(store, shared);
  return {
    redis,
    store,
    records,
    fragments,
    journal: new Journal(store, { records, fragments }),
    sent: new SentStore(store, { ...shared, records }),
    mixing: await openQueue(store, 'mixing'),
    outbound: await openQueue(store, 'outbound-abc'),
    taker: await openTaker(store, 'outbound-abc'),
  };
}

function fragmentEntry(): CommitEntry {
  const expiryMs = Date.now() + HOUR_MS;
  const fragment = { messageId: bytes(16), index: 0, total: 1, expiryMs, bytes: bytes(100) };
  const { packet, next, dueMs } = onward('', '');
  const ack = { packet, next, dueMs };
  return { endpointId: 'one', tag: bytes(16), outcome: { kind: 'fragment', fragment, ack } };
}

function onward(recordId: string, endpointId: string) {
  const dueMs = Date.now() + HOUR_MS;
  return { recordId, endpointId, next: bytes(16), dueMs, packet: bytes(500) };
}

function sentPacket(fragmentId: string): SentPacket {
  const keytuple = [bytes(16), bytes(16)];
  const nodes = [toHex(bytes(32))];
  return { kind: 'fragment', fragmentId, keytuple, nodes, sentMs: 1, dueMs: 2 };
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
