/**
 * Redis dies at every write between a failure and its report, and the gateway forgets all that it had in
 * memory: the sender hears once. Twice only where it dies between the mail server's 250 and its record.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { toHex, toUtf8 } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { ArrivedMail, MixedMail } from '../../src/mail/envelope.ts';
import { Bounces } from '../../src/mixer/bounces.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { DeliveryProgress } from '../../src/mixer/delivery-progress.ts';
import { Deliverer } from '../../src/mixer/deliver.ts';
import { ExitReports } from '../../src/mixer/exit-reports.ts';
import { Failures } from '../../src/mixer/failures.ts';
import { Notices } from '../../src/mixer/notices.ts';
import { Reporter } from '../../src/mixer/reporter.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { fragmentMail } from '../../src/mixnet/prepare.ts';
import { openStore, type Store } from '../../src/redis/embedded.ts';
import { FragmentStore } from '../../src/redis/fragment-store.ts';
import { Journal } from '../../src/redis/journal.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { NoticeStore } from '../../src/redis/notice-store.ts';
import { Records } from '../../src/redis/records.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { ReturnStore } from '../../src/redis/return-store.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { CrashingRedis, type CrashPoint } from '../redis/crashing-redis.ts';
import { until } from '../redis/private-redis.ts';

const NEVER = 1_000;
const params = { group: 'X25519', headerLen: 320, bodyLen: 4096 } as const;
const geometry = geometryOf(createSphinx(params, native));
const storageKey = native.random(32);
const keys = { primitives: native, storageKey };
const near = createIdentity(native);
const far = createIdentity(native);
const provider = (number: number, peerId: string, domain: string) =>
  madeNode(number, { peerId, owner: peerId, domains: [domain], roles: ['gateway'] });
const directory = madeDirectory(
  [provider(1, near.peerId, 'near.test'), provider(2, far.peerId, 'far.test')],
  { params },
);
const source = {
  current: () => ({ ok: true, directory }) as const,
  last: () => directory,
  refresh: async () => await Promise.resolve(),
};
const data = Buffer.from('Subject: x\r\n\r\nbody\r\n');

const GONE = { reply: '550 5.1.1 no such user', permanent: true };
const AWAY = { reply: '451 4.4.1 away', permanent: false };

/** What left a gateway: mails for the mixnet by id, of which each is stored once, and what a mail server got. */
interface Seen {
  readonly mixed: Map<string, MixedMail>;
  readonly given: ArrivedMail[];
}

/** A gateway's parts as its program starts them: nothing but the store was there before. */
async function start(store: Store, me: string, seen: Seen, nowMs = Date.now()) {
  const said = { counters: new Counters(), log: silentLog, now: () => nowMs };
  const mails = await MailStore.open(store, keys);
  const records = new Records(store, { primitives: native, storageKeys: () => storageKey });
  const fragments = new FragmentStore(store, keys);
  const reports = new ReportStore(store, keys);
  const deliver = async (mail: ArrivedMail) => {
    seen.given.push(mail);
    const all = mail.recipients.map(({ address }) => address);
    const refused = all.flatMap((address) => {
      if (address.startsWith('no')) return [{ address, ...GONE }];
      return address.startsWith('later') ? [{ address, ...AWAY }] : [];
    });
    const accepted = all.filter((address) => !refused.some((each) => each.address === address));
    return await Promise.resolve({ accepted, refused });
  };
  const reporter = new Reporter({
    ...said,
    reports,
    primitives: native,
    me,
    directory: source,
    deliver,
    accept: async (mail) => {
      const { messageId } = mail;
      seen.mixed.set(messageId, mail);
      return await mails.accept({ messageId, envelope: mail.data, data: mail.data });
    },
  });
  const exit = { ...said, primitives: native, me, directory: source };
  const exitReports = new ExitReports({ ...exit, reporter });
  const failures = new Failures({
    ...exit,
    store: reports,
    reports: exitReports,
    wasAccepted: async (id) => await mails.wasAccepted(id),
  });
  const bounces = new Bounces({
    ...said,
    returns: new ReturnStore(store, keys),
    reports: exitReports,
    hasReturns: true,
    pressure: () => 'open',
  });
  const notices = new Notices({
    ...said,
    notices: new NoticeStore(store, keys),
    mails,
    records,
    outbound: { fragmentIds: () => [] },
    reporter,
    directory: source,
    primitives: native,
    delayWarningMs: 1,
  });
  const deliverer = new Deliverer({
    ...said,
    primitives: native,
    me,
    fragments,
    progress: new DeliveryProgress(store, keys),
    directory: source,
    deliver,
    failures,
    bounces,
    delayWarningMs: 1,
    acceptsDomain: () => false,
  });
  return { mails, records, fragments, reporter, bounces, notices, deliverer };
}

function envelopeOf(recipients: readonly string[], from = 'ada@near.test'): Envelope {
  return {
    mixnet: directory.mixnetId,
    messageId: toHex(native.random(16)),
    exit: far.peerId,
    gateway: near.peerId,
    from,
    recipients: recipients.map((address) => ({ address })),
    body: '8BITMIME',
    smtputf8: false,
    bytes: data.length,
    sha256: toHex(native.sha256(data)),
    expiryMs: Date.now() + 3_600_000,
  };
}

/** Leaves a complete mail at the exit; the id of its delivery. */
async function arrive(store: Store, envelope: Envelope): Promise<string> {
  const { records, fragments } = await start(store, far.peerId, { mixed: new Map(), given: [] });
  const signed = signEnvelope(native, near, envelope);
  await new Journal(store, { records, fragments }).commit(
    fragmentMail(envelope, signed, data, geometry).map((fragment) => ({
      endpointId: 'e',
      tag: native.random(16),
      outcome: { kind: 'fragment', fragment, ack: null },
    })),
  );
  const [id = ''] = await fragments.complete();
  return id;
}

test('a refused recipient is reported once, whichever write Redis dies at', async (t) => {
  await atEveryWrite(t, 5, async (store, crashing) => {
    const seen: Seen = { mixed: new Map(), given: [] };
    const envelope = envelopeOf(['nobody@far.test', 'bob@far.test']);
    const id = await arrive(store, envelope);
    await crashing(async () => {
      const exit = await start(store, far.peerId, seen);
      await exit.deliverer.work({ id, dueMs: 0, failures: 0 });
      await exit.reporter.look();
    });
    const { mails, reporter } = await start(store, far.peerId, seen);
    await reporter.look();
    const [report, ...more] = [...seen.mixed.values()];
    t.deepEqual(more, []);
    t.is(report?.exit, near.peerId);
    t.is(report?.from, '');
    t.deepEqual(report?.recipients, [{ address: 'ada@near.test', notify: 'NEVER' }]);
    t.true(toUtf8(report?.data ?? new Uint8Array()).includes('nobody@far.test'));
    t.deepEqual((await mails.load(report?.messageId ?? ''))?.data, report?.data);
    t.deepEqual(await store.redis.smembers('{panoramix}:reports'), []);
    t.is(seen.given.length, 1, 'the mail itself was given once');
  });
});

test('a mail that waits at its exit is told once, whichever write Redis dies at', async (t) => {
  await atEveryWrite(t, 5, async (store, crashing) => {
    const seen: Seen = { mixed: new Map(), given: [] };
    const envelope = envelopeOf(['later@far.test']);
    const id = await arrive(store, envelope);
    const before = await start(store, far.peerId, seen, Date.now() - 1_000);
    await before.deliverer.work({ id, dueMs: 0, failures: 0 });
    await crashing(async () => {
      const exit = await start(store, far.peerId, seen);
      await exit.deliverer.work({ id, dueMs: 0, failures: 0 });
      await exit.reporter.look();
    });
    const { deliverer, reporter, fragments } = await start(store, far.peerId, seen);
    await deliverer.work({ id, dueMs: 0, failures: 0 });
    await reporter.look();
    const [report, ...more] = [...seen.mixed.values()];
    t.deepEqual(more, []);
    t.regex(toUtf8(report?.data ?? new Uint8Array()), /later@far\.test\r\nAction: delayed/);
    t.false(await fragments.isDelivered(id), 'it still waits');
    // For the next round: this one is over.
    await fragments.markDelivered(id);
  });
});

test('a bounce that comes again while its report is under way is reported once', async (t) => {
  await atEveryWrite(t, 3, async (store, crashing) => {
    const seen: Seen = { mixed: new Map(), given: [] };
    const envelope = envelopeOf(['list@far.test', 'bob@far.test']);
    const before = await start(store, far.peerId, seen);
    await before.bounces.remember(envelope, data);
    const bounce = {
      original: 'list@far.test',
      final: 'gone@inner.test',
      action: 'failed',
      status: '5.1.1',
      reply: '550 gone',
    } as const;
    await crashing(async () => {
      const exit = await start(store, far.peerId, seen);
      await exit.bounces.bounced(envelope.messageId, [bounce]);
      await exit.reporter.look();
    });
    const { bounces, reporter } = await start(store, far.peerId, seen);
    t.is(await bounces.bounced(envelope.messageId, [bounce]), 'bounce-repeated');
    await reporter.look();
    const [report, ...more] = [...seen.mixed.values()];
    t.deepEqual(more, []);
    t.false(toUtf8(report?.data ?? new Uint8Array()).includes('gone'));
  });
});

test('a mail that was lost is told to its sender once; twice only after the 250 of the mail server', async (t) => {
  await atEveryWrite(t, 4, async (store, crashing, point) => {
    const seen: Seen = { mixed: new Map(), given: [] };
    const envelope = envelopeOf(['bob@far.test']);
    const signed = signEnvelope(native, near, envelope);
    const entry = await start(store, near.peerId, seen);
    const { messageId } = envelope;
    const notice = entry.notices.writeCall(envelope, signed, data, 1);
    await entry.mails.accept({ messageId, envelope: signed, data, notice });
    await entry.mails.remove(messageId);
    let isMarked = false;
    await crashing(async () => {
      const later = await start(store, near.peerId, seen, envelope.expiryMs + 1);
      // As the tick does that finds a fragment expired: first the mark, then the fragment goes.
      if (!isMarked) await later.notices.expired(messageId);
      isMarked = true;
      await later.notices.look();
      await later.reporter.look();
    });
    const last = await start(store, near.peerId, seen, envelope.expiryMs + 2);
    await last.notices.look();
    await last.reporter.look();
    const [first, second, ...more] = seen.given;
    t.deepEqual(first?.recipients, [{ address: 'ada@near.test', notify: 'NEVER' }]);
    t.deepEqual(more, []);
    if (second !== undefined) {
      t.is(point, 'before it is done');
      t.deepEqual(second, first, 'the same, and so the same Message-ID');
    }
    t.is(seen.mixed.size, 0);
    t.deepEqual(await store.redis.smembers('{panoramix}:notices'), []);
    t.deepEqual(await store.redis.smembers('{panoramix}:reports'), []);
  });
});

type Crashing = (part: () => Promise<void>) => Promise<void>;

/** Runs a step without a crash, to count its writes, then once for each write and point. */
async function atEveryWrite(
  t: ExecutionContext,
  writesMin: number,
  step: (store: Store, crashing: Crashing, point: CrashPoint) => Promise<void>,
): Promise<void> {
  const redis = await CrashingRedis.start(t);
  const store = await openStore({ url: redis.url, dataDir: redis.dataDir, log: silentLog });
  t.teardown(async () => await store.close());
  const counts: number[] = [];
  const run = async (write: number, point: CrashPoint): Promise<void> => {
    await step(
      store,
      async (part) => {
        redis.arm(write, point);
        for (let time = 0; ; time++) {
          try {
            await part();
            break;
          } catch (thrown) {
            const isAway = thrown instanceof PanoramixError && thrown.code === 'redis-unavailable';
            if (!isAway || time > 5) throw thrown;
            await until(async () => await answers(store));
          }
        }
        counts.push(redis.writes);
        redis.arm(NEVER, point);
        await until(async () => await answers(store));
      },
      point,
    );
  };
  // The first run teaches the server its scripts.
  for (let time = 0; time < 2; time++) await run(NEVER, 'before its answer');
  const writes = Math.min(...counts);
  t.true(writes >= writesMin, `${writes} writes`);
  for (let write = 0; write < writes; write++) {
    for (const point of ['before it is done', 'before its answer'] as const) {
      const before = redis.crashes;
      t.log(`write ${write + 1}, ${point}`);
      await run(write, point);
      t.is(redis.crashes, before + 1, `no crash at write ${write + 1} ${point}`);
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
