/** Several large messages at one exit that has not room for all of them: each is whole one day, in any order. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { FragmentStore, type FragmentLimits } from '../../src/redis/fragment-store.ts';
import { Journal, type CommitResult } from '../../src/redis/journal.ts';
import { readFullness, roomBytesOf } from '../../src/redis/pressure.ts';
import { Records } from '../../src/redis/records.ts';
import { temporaryStore } from './private-redis.ts';

const NOW_MS = 1_800_000_000_000;
const FRAGMENT_BYTES = 960;
/** Of one fragment as stored: what sealing adds is part of it. */
const STORED_BYTES = 1_000;

interface Message {
  readonly messageId: Uint8Array;
  readonly total: number;
  /** Indexes that the exit has not acked yet. */
  readonly left: Set<number>;
}

/** An exit, and the messages that are sent to it until it has all of them. */
class Exit {
  readonly fragments: FragmentStore;
  readonly delivered = new Set<string>();
  fragmentBytes = FRAGMENT_BYTES;
  readonly #journal: Journal;

  private constructor(fragments: FragmentStore, journal: Journal) {
    this.fragments = fragments;
    this.#journal = journal;
  }

  static async open(t: ExecutionContext, limits: Partial<FragmentLimits>): Promise<Exit> {
    return Exit.on(await temporaryStore(t), limits);
  }

  static on(store: Store, limits: Partial<FragmentLimits> = {}): Exit {
    const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
    const fragments = new FragmentStore(store, {
      primitives: native,
      storageKey: STORAGE_KEY,
      limits,
    });
    return new Exit(fragments, new Journal(store, { records, fragments, now: () => NOW_MS }));
  }

  async send({ messageId, total, left }: Message, index: number): Promise<CommitResult> {
    const length = index === total - 1 ? 1 + (messageId[0] ?? 0) : this.fragmentBytes;
    const bytes = new Uint8Array(length);
    const expiryMs = NOW_MS + 3_600_000;
    const fragment = { messageId, index, total, expiryMs, bytes };
    const outcome = { kind: 'fragment', fragment, ack: null } as const;
    const entry = { endpointId: 'one', tag: native.random(16), outcome };
    const [result] = await this.#journal.commit([entry]);
    if (result === 'committed') left.delete(index);
    return result as CommitResult;
  }

  /** What the mail server takes: all that is complete. */
  async deliver(): Promise<void> {
    for (const id of await this.fragments.complete()) {
      await this.fragments.markDelivered(id);
      this.delivered.add(id);
    }
  }
}

/** A store that does some things otherwise. */
function over(store: Store, changes: Partial<Store>): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(name in changes ? changes : target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const STORAGE_KEY = new Uint8Array(randomBytes(32));

function messageOf(total: number): Message {
  const left = new Set(Array.from({ length: total }, (_, index) => index));
  return { messageId: native.random(16), total, left };
}

/** One round: of each message one fragment that is left, drawn, as turns and resends bring them. */
async function round(exit: Exit, messages: readonly Message[]): Promise<number> {
  let kept = 0;
  for (const message of messages) {
    const left = [...message.left];
    const index = left[Math.floor(Math.random() * left.length)];
    if (index === undefined) continue;
    if ((await exit.send(message, index)) === 'committed') kept++;
  }
  return kept;
}

test('large messages that came together filled the room with parts, and none was ever whole', async (t) => {
  const limits = { bytesMax: 40 * STORED_BYTES, restBytesMax: 12 * STORED_BYTES };
  const exit = await Exit.open(t, limits);
  const messages = Array.from({ length: 8 }, () => messageOf(10));
  for (let i = 0; i < 400 && exit.delivered.size < messages.length; i++) {
    await round(exit, messages);
    const { bytes } = await exit.fragments.usage();
    t.true(bytes <= limits.bytesMax, `${bytes} bytes`);
    await exit.deliver();
  }
  t.is(exit.delivered.size, messages.length);
  t.deepEqual(await exit.fragments.usage(), { messages: 0, bytes: 0 });

  // What the room for rests is there for: without it the same ends in parts, for days.
  const without = await Exit.open(t, { ...limits, restBytesMax: 0 });
  const others = Array.from({ length: 8 }, () => messageOf(10));
  for (let i = 0; i < 150; i++) await round(without, others);
  t.is((await without.fragments.complete()).length, 0);
});

test('small messages get through while parts of large ones fill the common room', async (t) => {
  const exit = await Exit.open(t, {
    bytesMax: 40 * STORED_BYTES,
    restBytesMax: 12 * STORED_BYTES,
  });
  const large = Array.from({ length: 3 }, () => messageOf(100));
  for (let i = 0; i < 12; i++) await round(exit, large);
  t.is(await round(exit, large), 0, 'none of them has room for its rest');
  for (let i = 0; i < 50; i++) {
    const small = messageOf(1);
    t.is(await exit.send(small, 0), 'committed');
    await exit.deliver();
    t.true(exit.delivered.has(exit.fragments.idOf(small.messageId)));
  }
});

test('the room for rests is promised once, and comes back with its message, delivered or expired', async (t) => {
  const exit = await Exit.open(t, {
    bytesMax: 30 * STORED_BYTES,
    restBytesMax: 10 * STORED_BYTES,
  });
  const filling = messageOf(60);
  for (let index = 0; index < 20; index++) t.is(await exit.send(filling, index), 'committed');
  const [first, second] = [messageOf(6), messageOf(6)];
  t.is(
    await exit.send(first, 5),
    'message-full',
    'its last part does not say how long the rest is',
  );
  t.is(await exit.send(first, 3), 'committed');
  t.is(await exit.send(second, 0), 'message-full', 'its rest has no room beside the first one’s');
  const third = messageOf(4);
  t.is(await exit.send(third, 0), 'committed');
  for (const index of [0, 1, 2, 4, 5]) t.is(await exit.send(first, index), 'committed');
  await exit.deliver();
  t.is(await exit.send(second, 0), 'committed');
  await exit.fragments.remove(exit.fragments.idOf(second.messageId));
  await exit.fragments.remove(exit.fragments.idOf(third.messageId));
  const whole = messageOf(10);
  for (const index of [4, 3, 2, 1, 0, 9, 8, 7, 6, 5]) {
    t.is(await exit.send(whole, index), 'committed', String(index));
  }
  t.deepEqual(await exit.fragments.complete(), [exit.fragments.idOf(whole.messageId)]);
});

test('a storm of messages of all sizes ends with all of them delivered', async (t) => {
  const exit = await Exit.open(t, {
    bytesMax: 50 * STORED_BYTES,
    restBytesMax: 20 * STORED_BYTES,
  });
  const messages = Array.from({ length: 40 }, (_, i) => messageOf(1 + ((i * 7) % 20)));
  let rounds = 0;
  for (; exit.delivered.size < messages.length && rounds < 2_000; rounds++) {
    await round(exit, messages);
    if (rounds % 3 === 0) await exit.deliver();
  }
  t.is(exit.delivered.size, messages.length, `${rounds} rounds`);
  t.is(new Set(messages.map(({ messageId }) => toHex(messageId))).size, messages.length);
});

test('what is committed counts until it is measured, what is refused does not', async (t) => {
  const store = await temporaryStore(t, { maxMemoryBytes: 40_000_000 });
  let bytes = 0;
  const counting = over(store, { wrote: (more) => (bytes += more) });
  const exit = Exit.on(counting, {
    bytesMax: 2 * STORED_BYTES,
    restBytesMax: 0,
  });
  const message = messageOf(9);
  t.is(await exit.send(message, 0), 'committed');
  t.is(bytes, FRAGMENT_BYTES);
  t.is(await exit.send(message, 1), 'committed');
  t.is(await exit.send(message, 2), 'message-full');
  t.is(bytes, 2 * FRAGMENT_BYTES);
  t.false(store.rests().only);
  store.wrote(40_000_000);
  t.deepEqual(store.rests(), { only: true, bytesMax: 0 });
  while (store.rests().only) await sleep(20);
});

/** Of 20 ms in which nothing was taken: then nothing ever will, though the pressure was looked at many times. */
const IDLE_ROUNDS_MAX = 200;

/** A node whose own mail fills memory up to where entry closes, and which sheds as nodes do. */
async function crowded(t: ExecutionContext, changes: Partial<Store> = {}) {
  const store = await temporaryStore(t, { maxMemoryBytes: 40_000_000 });
  while ((roomBytesOf(await readFullness(store.redis, null)) ?? 0) > 500_000) {
    const key = `{panoramix}:own:${randomBytes(8).toString('hex')}`;
    await store.redis.set(key, randomBytes(500_000));
  }
  const exit = Exit.on(over(store, changes));
  exit.fragmentBytes = 31_000;
  const messages = Array.from({ length: 5 }, () => messageOf(80));
  let idleRounds = 0;
  while (exit.delivered.size < messages.length && idleRounds < IDLE_ROUNDS_MAX) {
    const kept = store.pressure() === 'settle-only' ? 0 : await round(exit, messages);
    idleRounds = kept === 0 ? idleRounds + 1 : 0;
    await exit.deliver();
    await sleep(20);
  }
  return { delivered: exit.delivered.size, pressure: store.pressure() };
}

test('two gateways full of mail for each other would keep parts of everything, and get rid of nothing', async (t) => {
  const { delivered, pressure } = await crowded(t);
  t.is(delivered, 5);
  t.not(pressure, 'settle-only');
  const before = { rests: () => ({ only: false, bytesMax: null }) };
  t.deepEqual(await crowded(t, before), { delivered: 0, pressure: 'settle-only' });
});
