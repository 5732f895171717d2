import { randomBytes } from 'node:crypto';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { Journal } from '../../src/redis/journal.ts';
import { openQueue } from '../../src/redis/queues.ts';
import { Records } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import { temporaryDataDir, temporaryStore, until } from '../redis/private-redis.ts';
import { RedisSteps, type RedisStep } from './redis-steps.ts';

const STORAGE_KEY = new Uint8Array(randomBytes(32));
const NEXT = new Uint8Array(16);

test("a node's steps show as themselves, and what is cut off was asked or done", async (t) => {
  const dataDir = await temporaryDataDir(t);
  // Keeps the server up, and looks beside the steps.
  const beside = await temporaryStore(t, { dataDir });
  const between = new RedisSteps(dataDir);
  await between.open();
  t.teardown(async () => await between.close());
  const store = await temporaryStore(t, { dataDir });
  const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
  const sent = new SentStore(store, { primitives: native, storageKey: STORAGE_KEY, records });
  const journal = new Journal(store, { records });
  const mixing = await openQueue(store, 'mixing');
  const outbound = await openQueue(store, 'outbound-abc');
  const record = { recordId: id(), endpointId: 'ticks', next: NEXT, dueMs: 1, packet: NEXT };
  const replyId = NEXT;
  const about = {
    kind: 'cover',
    fragmentId: null,
    keytuple: [NEXT],
    nodes: [],
    sentMs: 1,
    dueMs: 1,
  } as const;
  const acts: readonly (readonly [RedisStep, () => Promise<unknown>])[] = [
    ['tag lookup', async () => await journal.has('one', NEXT)],
    [
      'commit',
      async () =>
        await journal.commit([{ endpointId: 'one', tag: NEXT, outcome: { kind: 'none' } }]),
    ],
    ['mixing job', async () => await mixing.add(record.recordId)],
    ['outbound job', async () => await outbound.add(record.recordId)],
    [
      'packet of a tick',
      async () => await sent.send({ record, replyId, sent: about, sends: null }),
    ],
    ['removal of a record', async () => await records.remove(record.recordId)],
  ];
  const shown = new Set<string>();
  between.onStep = (step, moment) => shown.add(`${step} ${moment}`) !== null;
  for (const [step, act] of acts) {
    shown.clear();
    await act();
    t.deepEqual([...shown], [`${step} asked`, `${step} done`]);
  }
  for (const [moment, jobs] of [
    ['asked', 0],
    ['done', 1],
  ] as const) {
    const name = id();
    between.onStep = (step, now) => step !== 'mixing job' || now !== moment;
    await t.throwsAsync(mixing.add(name), { code: 'redis-unavailable' });
    between.onStep = () => true;
    await until(() => store.redis.status === 'ready');
    const held = await beside.redis.exists(`${beside.prefix}:mixing:j${name}`);
    t.is(held, jobs, `a job that was cut off when it was ${moment}`);
  }
});

function id(): string {
  return toHex(randomBytes(16));
}
