/**
 * What stands in Redis about packets and mail, with bits turned over: it opens as what went in, or not at all. An
 * input is a list of changes: which value (2 bytes), where in it (2 bytes), which bits (1 byte).
 */
import { isDeepStrictEqual } from 'node:util';
import { fromUtf8, readUint } from '../../../src/bytes.ts';
import { native } from '../../../src/crypto/native.ts';
import { PanoramixError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { openStore, type Store } from '../../../src/redis/embedded.ts';
import { FragmentStore } from '../../../src/redis/fragment-store.ts';
import { Journal } from '../../../src/redis/journal.ts';
import { MailStore } from '../../../src/redis/mail-store.ts';
import { Records } from '../../../src/redis/records.ts';
import { ReportStore } from '../../../src/redis/report-store.ts';
import { ReturnStore } from '../../../src/redis/return-store.ts';
import { SentStore } from '../../../src/redis/sent-store.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { hold, type Target } from '../target.ts';

const KEY = new Uint8Array(32).fill(4);
const ID = 'ab'.repeat(16);
const CHANGE_BYTES = 5;
const TEXT = fromUtf8('what nobody else is to read');

/** What is kept under a name, as it was put and as it is read. */
interface Kept {
  readonly name: string;
  readonly load: () => Promise<unknown>;
}

export async function openRedisValues(scratch: string): Promise<Target> {
  const store = await openStore({ dataDir: scratch, log: silentLog, name: 'fuzz' });
  const kept = await putAll(store);
  const before = await Promise.all(kept.map(async ({ load }) => await load()));
  const values = await valuesIn(store);
  return {
    seeds: values.map((_, i) => Uint8Array.of(i >> 8, i & 0xff, 0, 0, 1)),
    mutations: BYTE_MUTATIONS,
    dictionary: [],
    inputBytesMax: 4 * CHANGE_BYTES,
    shortRuns: 1_200,
    async run(input) {
      const changed = values.map(({ bytes }) => bytes.slice());
      const isTouched = new Set<number>();
      for (let at = 0; at + CHANGE_BYTES <= input.length; at += CHANGE_BYTES) {
        const which = readUint(input, at, 2) % values.length;
        const value = changed[which] as Uint8Array;
        if (value.length === 0) continue;
        const where = readUint(input, at + 2, 2) % value.length;
        value[where] = (value[where] as number) ^ (input[at + 4] as number);
        isTouched.add(which);
      }
      for (const which of isTouched) await values[which]?.put(changed[which] as Uint8Array);
      try {
        for (const [i, { name, load }] of kept.entries()) {
          const read = await orNull(load);
          hold(
            read === null || isDeepStrictEqual(read, before[i]),
            `a changed ${name} is read as something else`,
          );
        }
      } finally {
        for (const which of isTouched) await values[which]?.put(values[which].bytes);
      }
    },
    async close() {
      await store.close();
    },
  };
}

/** On a machine that is too busy Redis may not answer in time: that tells nothing of what it holds. */
async function orNull(load: () => Promise<unknown>): Promise<unknown> {
  try {
    return await load();
  } catch (thrown) {
    if (thrown instanceof PanoramixError && thrown.code === 'redis-unavailable') return null;
    throw thrown;
  }
}

async function putAll(store: Store): Promise<Kept[]> {
  const options = { primitives: native, storageKey: KEY };
  const records = new Records(store, {
    primitives: native,
    storageKeys: (name) => native.sha256(fromUtf8(name)),
  });
  const record = {
    recordId: ID,
    endpointId: 'mix_a',
    next: new Uint8Array(16).fill(2),
    dueMs: 1_800_000_000_000,
    packet: new Uint8Array(80).fill(9),
  };
  const sent = new SentStore(store, { ...options, records });
  const replyId = new Uint8Array(16).fill(6);
  const packet = {
    kind: 'fragment' as const,
    fragmentId: ID,
    keytuple: [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)],
    nodes: ['cd'.repeat(32)],
    sentMs: 1_700_000_000_000,
    dueMs: 1_700_000_001_000,
  };
  await records.put(record);
  await sent.send({
    record: { ...record, recordId: 'cd'.repeat(16) },
    replyId,
    sent: packet,
    sends: TEXT,
  });
  // A fragment's packet is kept while it has been sent and not settled.
  await records.put(record);
  const mail = await MailStore.open(store, options);
  await mail.accept({ messageId: ID, envelope: TEXT, data: fromUtf8('Subject: it\r\n\r\n') });
  const returns = new ReturnStore(store, options);
  await returns.remember(ID, TEXT);
  const reports = new ReportStore(store, options);
  await reports.keep(ID, TEXT);
  const fragments = new FragmentStore(store, options);
  const messageId = new Uint8Array(16).fill(8);
  const journal = new Journal(store, { records, fragments });
  const expiryMs = Date.now() + 3_600_000;
  for (const index of [0, 1]) {
    const fragment = { messageId, index, total: 2, expiryMs, bytes: TEXT };
    const outcome = { kind: 'fragment' as const, fragment, ack: null };
    const tag = new Uint8Array(16).fill(index);
    const [result] = await journal.commit([{ endpointId: 'mix_a', tag, outcome }]);
    if (result !== 'committed') throw new Error(`a fragment is not committed: ${String(result)}`);
  }
  const [reportName = ''] = await reports.waiting();
  return [
    { name: 'record', load: async () => await records.load(ID) },
    { name: 'sent packet', load: async () => await sent.load(replyId) },
    { name: 'history', load: async () => await sent.sends(ID) },
    { name: 'mail', load: async () => await mail.load(ID) },
    { name: 'return memory', load: async () => (await returns.load(ID))?.about ?? null },
    { name: 'report', load: async () => await reports.load(reportName) },
    { name: 'message', load: async () => await fragments.load(fragments.idOf(messageId)) },
  ];
}

interface Value {
  readonly bytes: Uint8Array;
  readonly put: (bytes: Uint8Array) => Promise<unknown>;
}

/** Every string and every field of a hash that is there. */
async function valuesIn({ redis, prefix }: Store): Promise<Value[]> {
  const values: Value[] = [];
  for (const key of (await redis.keys(`${prefix}:*`)).toSorted()) {
    const type = await redis.type(key);
    if (type === 'string') {
      const bytes = (await redis.getBuffer(key)) as Buffer;
      const put = async (to: Uint8Array) => await redis.set(key, Buffer.from(to), 'KEEPTTL');
      values.push({ bytes: new Uint8Array(bytes), put });
    } else if (type === 'hash') {
      const fields = await redis.hgetallBuffer(key);
      for (const [field, bytes] of Object.entries(fields)) {
        const put = async (to: Uint8Array) => await redis.hset(key, field, Buffer.from(to));
        values.push({ bytes: new Uint8Array(bytes), put });
      }
    }
  }
  return values;
}
