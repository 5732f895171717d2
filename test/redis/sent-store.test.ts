import { randomBytes } from 'node:crypto';

import test from 'ava';

import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Store } from '../../src/redis/embedded.ts';
import { Records } from '../../src/redis/records.ts';
import type { ForwardRecord } from '../../src/redis/records.ts';
import { SentStore } from '../../src/redis/sent-store.ts';
import type { SentPacket } from '../../src/redis/sent-store.ts';
import { killServer, temporaryDataDir, temporaryStore } from './private-redis.ts';

const STORAGE_KEY = bytes(32);
const NOW_MS = Date.now();
const HOUR_MS = 3_600_000;
const OWNER = `outbound-${toHex(bytes(32))}`;

test('what was sent is found by its reply id, also after a crash, until it is settled', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const { sentStore, records } = storesOn(await temporaryStore(t, { dataDir }));
  const fragment = await waitingFragment(records);
  const sends = bytes(20);
  const packet = { record: record(), replyId: bytes(16), sent: fragmentSent(fragment), sends };
  const cover = { record: record(), replyId: bytes(16), sent: coverSent(), sends: null };
  await sentStore.send(packet);
  await sentStore.send(cover);
  await killServer(dataDir);

  const after = storesOn(await temporaryStore(t, { dataDir }));
  t.deepEqual(await after.sentStore.load(packet.replyId), packet.sent);
  t.deepEqual(await after.sentStore.load(cover.replyId), cover.sent);
  t.like(await after.records.load(packet.record.recordId), packet.record);
  t.deepEqual(await after.sentStore.sends(fragment), sends);
  t.is(await after.sentStore.load(bytes(16)), null);

  for (let time = 0; time < 2; time++) {
    await after.sentStore.settle(packet.replyId);
    t.is(await after.sentStore.load(packet.replyId), null);
    t.is(await after.records.load(fragment), null);
    t.is(await after.sentStore.sends(fragment), null);
  }
  t.is(await after.records.count(OWNER), 0);
  t.deepEqual(await after.sentStore.load(cover.replyId), cover.sent, 'nobody else’s is touched');
  t.not(await after.records.load(packet.record.recordId), null, 'the packet itself still leaves');
  await after.sentStore.settle(cover.replyId);
  t.is(await after.sentStore.load(cover.replyId), null);
});

test('a refused fragment is forgotten as a packet and stays as a fragment', async (t) => {
  const { sentStore, records } = storesOn(await temporaryStore(t));
  const fragment = await waitingFragment(records);
  const packet = { record: record(), replyId: bytes(16), sent: fragmentSent(fragment) };
  await sentStore.send({ ...packet, sends: bytes(8) });
  await sentStore.forget(packet.replyId);
  await sentStore.settle(packet.replyId);
  t.is(await sentStore.load(packet.replyId), null);
  t.not(await records.load(fragment), null);
  t.is((await sentStore.sends(fragment))?.length, 8);
  await sentStore.removeSends(fragment);
  t.is(await sentStore.sends(fragment), null);
});

test('of two packets with one fragment the first ack settles it, the second finds nothing to do', async (t) => {
  const { sentStore, records } = storesOn(await temporaryStore(t));
  const fragment = await waitingFragment(records);
  const packets = [1, 2].map((time) => {
    const sent = { ...fragmentSent(fragment), sentMs: NOW_MS + time };
    return { record: record(), replyId: bytes(16), sent, sends: bytes(8 * time) };
  });
  const [first, second] = packets as [(typeof packets)[0], (typeof packets)[0]];
  await sentStore.send(first);
  await sentStore.settle(first.replyId);
  // Its tick was on the way already.
  await sentStore.send(second);
  t.is(await sentStore.sends(fragment), null, 'the history of a settled fragment came back');
  t.deepEqual(await sentStore.load(second.replyId), second.sent);
  await sentStore.settle(second.replyId);
  t.deepEqual(
    (await Array.fromAsync(records.pending())).map(({ endpointId }) => endpointId),
    ['ticks', 'ticks'],
  );
});

test('an entry has one size whatever was sent, and tells neither reply id, nodes, keys nor time', async (t) => {
  const store = await temporaryStore(t);
  const { sentStore, records } = storesOn(store);
  const fragment = await waitingFragment(records);
  const all = [
    fragmentSent(fragment),
    coverSent(),
    { ...coverSent(), kind: 'loop', nodes: [toHex(bytes(32))] },
    {
      ...coverSent(),
      keytuple: times(7, () => bytes(16)),
      nodes: times(11, () => toHex(bytes(32))),
    },
  ] satisfies SentPacket[];
  for (const sent of all) {
    const replyId = bytes(16);
    await sentStore.send({ record: record(), replyId, sent, sends: null });
    t.deepEqual(await sentStore.load(replyId), sent);
  }
  const keys = await store.redis.keys('{panoramix}:sent:*');
  t.is(keys.length, all.length);
  const stored = await Promise.all(keys.map(async (key) => await store.redis.getBuffer(key)));
  t.is(new Set(stored.map((bytesOfOne) => bytesOfOne?.length)).size, 1);
  const ends = await Promise.all(
    keys.map(async (key) => await store.redis.call('PEXPIRETIME', key)),
  );
  for (const end of ends.map(Number)) {
    t.is(end % (HOUR_MS / 6), 0);
    t.true(end >= NOW_MS + 2 * HOUR_MS && end <= NOW_MS + 3 * HOUR_MS);
  }
});

test('an entry that was moved, changed or sealed under another key counts as none', async (t) => {
  const store = await temporaryStore(t);
  const { sentStore } = storesOn(store);
  const replyId = bytes(16);
  const sent = coverSent();
  await sentStore.send({ record: record(), replyId, sent, sends: null });
  const [key = ''] = await store.redis.keys('{panoramix}:sent:*');
  const stored = (await store.redis.getBuffer(key)) ?? Buffer.alloc(0);
  const changed = Buffer.from(stored);
  changed[100] = (changed[100] ?? 0) ^ 1;
  await store.redis.set(key, changed);
  t.is(await sentStore.load(replyId), null);
  await sentStore.settle(replyId);
  await store.redis.set(key, stored);
  t.deepEqual(await sentStore.load(replyId), sent);
  const other = new SentStore(store, {
    primitives: native,
    storageKey: bytes(32),
    records: storesOn(store).records,
  });
  t.is(await other.load(replyId), null);
});

function storesOn(store: Store): { sentStore: SentStore; records: Records } {
  const records = new Records(store, { primitives: native, storageKeys: () => STORAGE_KEY });
  const sentStore = new SentStore(store, {
    primitives: native,
    storageKey: STORAGE_KEY,
    records,
    now: () => NOW_MS,
  });
  return { sentStore, records };
}

async function waitingFragment(records: Records): Promise<string> {
  const waiting = { ...record(), endpointId: OWNER };
  await records.put(waiting);
  return waiting.recordId;
}

function record(): ForwardRecord {
  return {
    recordId: toHex(bytes(16)),
    endpointId: 'ticks',
    next: bytes(16),
    dueMs: NOW_MS,
    packet: bytes(1_000),
  };
}

function fragmentSent(fragmentId: string): SentPacket {
  return { ...coverSent(), kind: 'fragment', fragmentId };
}

function coverSent(): SentPacket {
  return {
    kind: 'cover',
    fragmentId: null,
    keytuple: times(5, () => bytes(16)),
    nodes: times(7, () => toHex(bytes(32))),
    sentMs: NOW_MS,
    dueMs: NOW_MS + 60_000,
  };
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function bytes(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}
