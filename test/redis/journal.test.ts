import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import test from 'ava';

import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import type { Fragment, FragmentLimits } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import type { CommitEntry, Onward, Outcome } from '../../src/redis/journal.ts';
import { Records } from '../../src/redis/records.ts';
import { killServer, temporaryDataDir, temporaryStore, until } from './private-redis.ts';

const STORAGE_KEYS = new Map([
  ['one', bytes(32)],
  ['two', bytes(32)],
]);
/** As long as the owner of fragments for one exit, whose peer id has 64 digits. */
const LONG_OWNER = `outbound-${'b'.repeat(64)}`;
STORAGE_KEYS.set(LONG_OWNER, bytes(32));
const EXIT_KEY = bytes(32);
const NOW_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;

test('a commit is answered once, however many connections race for its tag', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const stores = [await temporaryStore(t, { dataDir }), await temporaryStore(t, { dataDir })];
  const journals = stores.map((store) => journalOn(store).journal);
  for (let round = 0; round < 20; round++) {
    const entries = [forward('one'), forward('one'), forward('one')];
    const results = await Promise.all(
      journals.flatMap((journal) => [journal.commit(entries), journal.commit(entries)]),
    );
    for (const position of entries.keys()) {
      const each = results.map((result) => result[position]);
      t.is(each.filter((result) => result === 'committed').length, 1);
      t.is(each.filter((result) => result === 'replayed').length, 3);
    }
  }
  t.is(await journals[0]?.count('one'), 60);
});

test('results stand in the order of the entries, and a tag counts per endpoint', async (t) => {
  const { journal } = journalOn(await temporaryStore(t));
  const first = forward('one');
  t.deepEqual(await journal.commit([first]), ['committed']);
  const entries = Array.from({ length: 300 }, () => forward('one'));
  entries[150] = first;
  const results = await journal.commit(entries);
  t.deepEqual(
    results
      .map((result, position) => (result === 'replayed' ? position : -1))
      .filter((p) => p >= 0),
    [150],
  );
  t.deepEqual(await journal.commit([{ ...first, endpointId: 'two' }]), ['committed']);
  t.deepEqual(await journal.commit([first, first]), ['replayed', 'replayed']);
  t.true(await journal.has('one', first.tag));
  t.false(await journal.has('one', bytes(16)));
  for (const byte of first.tag.keys()) {
    const tag = Uint8Array.from(first.tag);
    tag[byte] = (tag[byte] ?? 0) ^ 1;
    t.deepEqual(await journal.commit([{ ...first, tag }]), ['committed'], `byte ${byte}`);
  }
});

test('after a crash between commit and job the record is found, opened and removed once', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const entry = forward('one');
  await journalOn(store).journal.commit([entry]);
  await killServer(dataDir);

  const after = await temporaryStore(t, { dataDir });
  const { records } = journalOn(after);
  const pending = await Array.fromAsync(records.pending());
  t.is(pending.length, 1);
  t.like(pending[0], { endpointId: 'one', dueMs: NOW_MS });
  const record = await records.load(pending[0]?.recordId ?? '');
  t.is(record?.recordId, records.recordId('one', entry.tag));
  t.deepEqual(record?.packet, packetOf(entry));
  t.is(record?.dueMs, NOW_MS);
  t.is(record?.next.length, 16);
  t.true(await records.remove(record?.recordId ?? ''));
  t.false(await records.remove(record?.recordId ?? ''));
  t.is(await records.load(record?.recordId ?? ''), null);
  t.deepEqual(await Array.fromAsync(records.pending()), []);
});

test('a commit that was under way when Redis died is committed once, seen from its caller too', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const { journal } = journalOn(store);
  const outcomes: string[] = [];
  let unknown = 0;
  const workers = Array.from({ length: 4 }, async () => {
    for (let i = 0; i < 150; i++) {
      const entry = forward('one');
      let result: string | undefined;
      while (result === undefined) {
        result = await journal.commit([entry]).then(
          ([only]) => only,
          async (error: { code?: string }) => {
            t.is(error.code, 'redis-unavailable');
            unknown++;
            // Its stream may be gone while the client still says that it is ready: let it notice.
            await sleep(1);
            await until(() => store.redis.status === 'ready');
            return undefined;
          },
        );
      }
      outcomes.push(result);
    }
  });
  for (let kill = 0; kill < 3; kill++) {
    const before = outcomes.length;
    await until(() => outcomes.length > before + 50);
    await killServer(dataDir);
  }
  await Promise.all(workers);
  t.deepEqual(new Set(outcomes), new Set(['committed']));
  t.true(unknown > 0, 'no commit met the kill: the test shows nothing');
  t.is(await journal.count('one'), 600);
});

test('a full journal refuses, writes nothing, and still knows every tag', async (t) => {
  const store = await temporaryStore(t);
  const { journal, records } = journalOn(store, { tagsMax: 3 });
  const kept = [forward('one'), none('one'), forward('one')];
  t.deepEqual(await journal.commit(kept), ['committed', 'committed', 'committed']);
  const late = forward('one');
  t.deepEqual(await journal.commit([late, none('two')]), ['journal-full', 'committed']);
  t.is(await records.load(records.recordId('one', late.tag)), null);
  t.deepEqual(await journal.commit(kept), ['replayed', 'replayed', 'replayed']);
});

test('destroying an endpoint removes its tags and records, and nobody else’s', async (t) => {
  const store = await temporaryStore(t);
  const { journal, records } = journalOn(store);
  await journal.commit(Array.from({ length: 200 }, () => forward('one')));
  const other = forward('two');
  await journal.commit([other]);
  await journal.destroy('one');
  const left = await store.redis.keys('*');
  t.deepEqual(
    left.filter((key) => key.includes('one')),
    [],
  );
  t.is((await Array.fromAsync(records.pending())).length, 1);
  t.deepEqual(await journal.commit([other]), ['replayed']);
});

test('what Redis holds of a packet is sealed, and opens under its own endpoint and place only', async (t) => {
  const store = await temporaryStore(t);
  const { journal, records } = journalOn(store);
  const entry = forward('one', new TextEncoder().encode('a packet that nobody may read'.repeat(9)));
  await journal.commit([entry]);
  const id = records.recordId('one', entry.tag);
  const key = `{panoramix}:record:${id}`;
  const stored = (await store.redis.getBuffer(key)) ?? Buffer.alloc(0);
  t.false(stored.includes('nobody may read'));
  t.false((await store.redis.keys('*')).join().includes(toHex(entry.tag)));

  for (const [at, bits] of [
    [0, 1],
    // No UTF-8 any more, in the name of the endpoint.
    [1, 0x80],
    [4, 1],
    [30, 1],
    [stored.length - 1, 1],
  ] as const) {
    const changed = Buffer.from(stored);
    changed[at] = (changed[at] ?? 0) ^ bits;
    await store.redis.set(key, changed);
    t.is(await records.load(id), null, `byte ${at}`);
  }
  await store.redis.set(`{panoramix}:record:${'0'.repeat(32)}`, stored);
  t.is(await records.load('0'.repeat(32)), null);
  await store.redis.set(key, stored);
  t.deepEqual((await records.load(id))?.packet, packetOf(entry));
  const without = new Records(store, { primitives: native, storageKeys: () => null });
  t.is(await without.load(id), null);
});

test('a fragment and its ack are written together, or neither is', async (t) => {
  const limits = { messagesMax: 1 };
  const { journal, records, fragments } = journalOn(await temporaryStore(t), { limits });
  const parts = [bytes(300), bytes(300)];
  const kept = fragment({ messageId: bytes(16), parts, index: 0, ack: onward() });
  t.deepEqual(await journal.commit([kept]), ['committed']);
  const ack = await records.load(records.recordId('one', kept.tag));
  t.like(ack, { ...kept.outcome.ack, endpointId: 'one' });

  // The same fragment by another route is there already, and is acked again.
  const again = fragment({ ...kept.outcome.fragment, ack: onward() });
  t.deepEqual(await journal.commit([again]), ['committed']);
  t.like(await records.load(records.recordId('one', again.tag)), { ...again.outcome.ack });
  t.is((await fragments.usage()).messages, 1);

  const refused = fragment({ messageId: bytes(16), parts, index: 0, ack: onward() });
  t.deepEqual(await journal.commit([refused, kept]), ['message-full', 'replayed']);
  t.is(await records.load(records.recordId('one', refused.tag)), null);
  t.is(await records.count(), 2);
});

test('waiting packets are counted, those of one endpoint or all', async (t) => {
  const { journal, records } = journalOn(await temporaryStore(t));
  t.is(await records.count(), 0);
  const entries = [forward('one'), forward('one'), forward('two'), none('two')];
  await journal.commit(entries);
  t.deepEqual(
    [await records.count('one'), await records.count('two'), await records.count()],
    [2, 1, 3],
  );
  for (const { endpointId, tag } of entries) {
    await records.remove(records.recordId(endpointId, tag));
  }
  t.is(await records.count(), 0);
});

test('removing the record of an owner with a long name left its place in the index for ever', async (t) => {
  const { records } = journalOn(await temporaryStore(t));
  const recordId = 'a'.repeat(32);
  await records.put({ recordId, endpointId: LONG_OWNER, ...onward() });
  t.is(await records.count(LONG_OWNER), 1);
  t.true(await records.remove(recordId));
  t.is(await records.count(LONG_OWNER), 0);
  t.deepEqual(await Array.fromAsync(records.pending()), []);
});

test('records that nothing names are swept, the others stay', async (t) => {
  const { records } = journalOn(await temporaryStore(t));
  for (const recordId of ['named', 'orphan', 'orphan2']) {
    await records.put({
      recordId,
      endpointId: 'one',
      next: bytes(16),
      dueMs: 5,
      packet: bytes(50),
    });
  }
  t.is(await records.sweep('one', async (id) => id === 'named'), 2);
  t.deepEqual(
    (await Array.fromAsync(records.pending('one'))).map(({ recordId }) => recordId),
    ['named'],
  );
});

test('a message is complete when its last fragment is committed, in whatever order they come', async (t) => {
  const { journal, fragments } = journalOn(await temporaryStore(t));
  const messageId = bytes(16);
  const parts = [bytes(900), bytes(900), bytes(77)];
  for (const index of [2, 0]) {
    t.deepEqual(await journal.commit([fragment({ messageId, parts, index })]), ['committed']);
    t.deepEqual(await fragments.complete(), []);
  }
  t.is(await fragments.load(fragments.idOf(messageId)), null);
  // The same fragment by another route: another tag, stored once.
  t.deepEqual(await journal.commit([fragment({ messageId, parts, index: 0 })]), ['committed']);
  t.deepEqual(await fragments.complete(), []);
  t.deepEqual(await journal.commit([fragment({ messageId, parts, index: 1 })]), ['committed']);
  const id = fragments.idOf(messageId);
  t.deepEqual(await fragments.complete(), [id]);
  t.deepEqual(await fragments.load(id), parts);

  t.false(await fragments.isDelivered(id));
  await fragments.markDelivered(id);
  t.true(await fragments.isDelivered(id));
  t.deepEqual(await fragments.complete(), []);
  t.deepEqual(await fragments.usage(), { messages: 0, bytes: 0 });
  // A late repeat counts as stored and stores nothing.
  t.deepEqual(await journal.commit([fragment({ messageId, parts, index: 1 })]), ['committed']);
  t.deepEqual(await fragments.usage(), { messages: 0, bytes: 0 });
});

test('a message of many parts is read a few at a time, and one that lacks a part not at all', async (t) => {
  const store = await temporaryStore(t);
  const { journal, fragments } = journalOn(store);
  const messageId = bytes(16);
  const id = fragments.idOf(messageId);
  const parts = Array.from({ length: 40 }, () => bytes(100));
  const entries = parts.map((_, index) => fragment({ messageId, parts, index }));
  await journal.commit(entries.filter((_, index) => index !== 39));
  t.is(await fragments.load(id), null);
  await journal.commit(entries.slice(39));
  await store.redis.config('RESETSTAT');
  t.deepEqual(await fragments.load(id), parts);
  // Of 800 parts at once Redis would answer with 25 MB, and this process would open them in one go.
  const commands = await store.redis.info('commandstats');
  t.regex(commands, /cmdstat_hmget:calls=3,/);
  t.notRegex(commands, /cmdstat_hgetall/);
});

test('a message whose number of parts was damaged is not read short', async (t) => {
  const store = await temporaryStore(t);
  const { journal, fragments } = journalOn(store);
  const messageId = bytes(16);
  const id = fragments.idOf(messageId);
  const parts = [bytes(100), bytes(100)];
  await journal.commit(parts.map((_, index) => fragment({ messageId, parts, index })));
  for (const total of ['0', '1', '3', '-2', '', 'x']) {
    await store.redis.hset(`{panoramix}:message:${id}`, 'total', total);
    t.is(await fragments.load(id), null, total);
  }
  await store.redis.hset(`{panoramix}:message:${id}`, 'total', '2');
  t.deepEqual(await fragments.load(id), parts);
});

const MISFITS: Record<string, { change: Partial<Fragment>; result: string }> = {
  'another total': { change: { total: 3 }, result: 'message-mismatch' },
  'another expiry': { change: { expiryMs: NOW_MS + HOUR_MS + 1 }, result: 'message-mismatch' },
  'an index past the end': { change: { index: 2 }, result: 'message-mismatch' },
  'a total of none': { change: { total: 0, index: 0 }, result: 'message-mismatch' },
  'too many parts': { change: { messageId: bytes(16), total: 65 }, result: 'message-mismatch' },
  'an expiry too far away': {
    change: { messageId: bytes(16), expiryMs: NOW_MS + 100 * 24 * HOUR_MS },
    result: 'message-mismatch',
  },
  'an expiry in the past': {
    change: { messageId: bytes(16), expiryMs: NOW_MS },
    result: 'message-expired',
  },
  'one message too many': { change: { messageId: bytes(16) }, result: 'message-full' },
  'too many bytes': { change: { bytes: bytes(30_000) }, result: 'message-full' },
};
for (const [name, { change, result }] of Object.entries(MISFITS)) {
  test(`a fragment with ${name} is refused and leaves nothing, not even its tag`, async (t) => {
    const limits = {
      fragmentsMax: 64,
      messagesMax: 1,
      bytesMax: 20_000,
      lifetimeMsMax: 48 * HOUR_MS,
    };
    const { journal, fragments } = journalOn(await temporaryStore(t), { limits });
    const fitting = fragment({ messageId: bytes(16), parts: [bytes(100), bytes(100)], index: 0 });
    t.deepEqual(await journal.commit([fitting]), ['committed']);
    const before = await fragments.usage();
    const misfit = fragment({ ...fitting.outcome.fragment, index: 1, ...change });
    t.deepEqual(await journal.commit([misfit]), [result as 'message-full']);
    t.deepEqual(await fragments.usage(), before);
    t.false(await journal.has('one', misfit.tag));
    const last = fragment({ ...fitting.outcome.fragment, index: 1 });
    t.deepEqual(await journal.commit([last]), ['committed']);
    t.is((await fragments.complete()).length, 1);
  });
}

test('expired messages are removed, complete or not, and give their room back', async (t) => {
  const { journal, fragments } = journalOn(await temporaryStore(t));
  const [early, late] = [bytes(16), bytes(16)];
  const parts = [bytes(10)];
  await journal.commit([
    fragment({ messageId: early, parts, index: 0 }),
    fragment({ messageId: late, parts, index: 0, expiryMs: NOW_MS + 25 * HOUR_MS }),
  ]);
  t.deepEqual(await fragments.expire(NOW_MS + 7 * HOUR_MS), [fragments.idOf(early)]);
  t.deepEqual(await fragments.complete(), [fragments.idOf(late)]);
  t.is((await fragments.usage()).messages, 1);
  await fragments.remove(fragments.idOf(late));
  t.deepEqual(await fragments.usage(), { messages: 0, bytes: 0 });
});

function journalOn(
  store: Store,
  options: { readonly tagsMax?: number; readonly limits?: Partial<FragmentLimits> } = {},
): { journal: Journal; records: Records; fragments: FragmentStore } {
  const records = new Records(store, {
    primitives: native,
    storageKeys: (endpointId) => STORAGE_KEYS.get(endpointId) ?? null,
  });
  const fragments = new FragmentStore(store, {
    primitives: native,
    storageKey: EXIT_KEY,
    limits: options.limits ?? {},
  });
  const { tagsMax } = options;
  const journal = new Journal(store, {
    records,
    fragments,
    now: () => NOW_MS,
    ...(tagsMax === undefined ? {} : { tagsMax }),
  });
  return { journal, records, fragments };
}

function forward(endpointId: string, packet = bytes(1_000)): CommitEntry {
  const outcome = { kind: 'forward', ...onward(packet) } as const;
  return { endpointId, tag: bytes(16), outcome };
}

function onward(packet = bytes(1_000)): Onward {
  return { packet, next: bytes(16), dueMs: NOW_MS };
}

function none(endpointId: string): CommitEntry {
  return { endpointId, tag: bytes(16), outcome: { kind: 'none' } };
}

function fragment(
  of: {
    messageId: Uint8Array;
    index: number;
    parts?: Uint8Array[];
    ack?: Onward;
  } & Partial<Fragment>,
): CommitEntry & { readonly outcome: Extract<Outcome, { kind: 'fragment' }> } {
  const { parts, ack = null, ...rest } = of;
  const part = {
    total: parts?.length ?? 0,
    expiryMs: NOW_MS + HOUR_MS,
    bytes: parts?.[of.index] ?? bytes(1),
    ...rest,
  };
  return { endpointId: 'one', tag: bytes(16), outcome: { kind: 'fragment', fragment: part, ack } };
}

function packetOf(entry: CommitEntry): Uint8Array {
  if (entry.outcome.kind !== 'forward') throw new Error('not a packet to forward');
  return entry.outcome.packet;
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
