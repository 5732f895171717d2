/** By which clock a gateway says that a mail is late or lost, over a real store. */
import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { Notices } from '../../src/mixer/notices.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import { MailStore } from '../../src/redis/mail-store.ts';
import { NoticeStore } from '../../src/redis/notice-store.ts';
import { Records } from '../../src/redis/records.ts';
import { madeDirectory } from '../mixnet/made-directory.ts';
import { temporaryStore } from '../redis/private-redis.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = 1_800_000_000_000;
const data = fromUtf8('Subject: x\r\n\r\nbody\r\n');
const directory = madeDirectory([], {});
const identity = createIdentity(native);

/** A gateway that has taken in mail which no exit acks. */
async function open(t: ExecutionContext) {
  const store = await temporaryStore(t);
  const keys = { primitives: native, storageKey: native.random(32) };
  const clock = { nowMs: START_MS, steadyMs: 0, reason: null as string | null };
  const told: string[] = [];
  const mails = await MailStore.open(store, keys);
  const notices = new Notices({
    notices: new NoticeStore(store, keys),
    mails,
    records: new Records(store, { primitives: native, storageKeys: () => keys.storageKey }),
    outbound: { fragmentIds: () => [] },
    reporter: {
      keep: async (_id, to, report) => {
        const subject = /^Subject: (.*)$/m.exec(Buffer.from(report.data).toString())?.[1] ?? '';
        told.push(`${to} ${subject.trim()}`);
        return await Promise.resolve('kept');
      },
    },
    directory: {
      current: () =>
        clock.reason === null ? { ok: true, directory } : { ok: false, reason: clock.reason },
    },
    primitives: native,
    delayWarningMs: 4 * HOUR_MS,
    counters: new Counters(),
    log: silentLog,
    now: () => clock.nowMs,
    steadyMs: () => clock.steadyMs,
  });
  const accept = async (from: string, signer = identity): Promise<void> => {
    const envelope: Envelope = {
      mixnet: directory.mixnetId,
      messageId: toHex(native.random(16)),
      exit: 'e'.repeat(64),
      gateway: signer.peerId,
      from,
      recipients: [{ address: 'bob@far.test' }],
      body: '8BITMIME',
      smtputf8: false,
      bytes: data.length,
      sha256: toHex(native.sha256(data)),
      expiryMs: START_MS + 5 * DAY_MS,
    };
    const signed = signEnvelope(native, signer, envelope);
    if (from.startsWith('broken')) signed[0] = (signed[0] ?? 0) ^ 1;
    const notice = notices.writeCall(envelope, signed, data, 1);
    await mails.accept({ messageId: envelope.messageId, envelope: signed, data, notice });
  };
  return { notices, accept, clock, told };
}

test('a clock that is days ahead makes no mail late or lost', async (t) => {
  const { notices, accept, clock, told } = await open(t);
  await accept('ada@near.test');
  for (const reason of ['directory-expired', 'clock-wrong']) {
    Object.assign(clock, { reason, nowMs: START_MS + 6 * DAY_MS });
    await notices.look();
    // Nobody finds out for a while, or everybody knows.
    clock.steadyMs += reason === 'clock-wrong' ? DAY_MS : HOUR_MS / 2;
    await notices.look();
  }
  t.deepEqual(told, []);
  Object.assign(clock, { reason: null, nowMs: START_MS + HOUR_MS });
  await notices.look();
  t.deepEqual(told, [], 'it is still tried');
  clock.nowMs = START_MS + 4 * HOUR_MS;
  await notices.look();
  t.deepEqual(told, ['ada@near.test Your mail is delayed']);
});

test('where no directory holds for long, senders hear of it all the same', async (t) => {
  const { notices, accept, clock, told } = await open(t);
  await accept('ada@near.test');
  Object.assign(clock, { reason: 'directory-expired', nowMs: START_MS + 4 * HOUR_MS });
  await notices.look();
  t.deepEqual(told, []);
  clock.steadyMs += HOUR_MS;
  await notices.look();
  clock.nowMs = START_MS + 5 * DAY_MS + 60_001;
  await notices.look();
  t.deepEqual(told, [
    'ada@near.test Your mail is delayed',
    'ada@near.test Your mail was not delivered',
  ]);
});

test('one mail whose notice cannot be read leaves no other sender without his', async (t) => {
  const { notices, accept, clock, told } = await open(t);
  for (let i = 0; i < 4; i++) {
    await accept(`broken${i}@near.test`);
    await accept(`ada${i}@near.test`);
  }
  clock.nowMs += 4 * HOUR_MS;
  await notices.look();
  t.is(told.filter((line) => line.startsWith('ada')).length, 4);
});
