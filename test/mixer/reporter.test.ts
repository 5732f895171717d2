import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import type { MixedMail } from '../../src/mail/envelope.ts';
import { Counters } from '../../src/mixer/counters.ts';
import { Reporter, type ReporterOptions } from '../../src/mixer/reporter.ts';
import { ReportStore } from '../../src/redis/report-store.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { temporaryStore } from '../redis/private-redis.ts';

const me = madeNode(1, { domains: ['own.test'], roles: ['gateway'] });
const other = madeNode(2, { domains: ['other.test'], roles: ['gateway'] });
const directory = madeDirectory([me, other], {});
const report = { data: fromUtf8('Subject: r\r\n\r\n'), body: '7BIT', smtputf8: false } as const;

async function open(t: ExecutionContext, over: Partial<ReporterOptions> = {}) {
  const store = await temporaryStore(t);
  const counters = new Counters();
  const clock = { nowMs: 1_800_000_000_000 };
  const given: string[] = [];
  const mixed: MixedMail[] = [];
  const answers = { reply: '250 ok' };
  const reporter = new Reporter({
    reports: new ReportStore(store, { primitives: native, storageKey: native.random(32) }),
    primitives: native,
    me: me.peerId,
    directory: { current: () => ({ ok: true, directory }), last: () => directory },
    deliver: async ({ recipients: [recipient] }) => {
      const address = recipient?.address ?? '';
      given.push(address);
      const { reply } = answers;
      const refused = [{ address, reply, permanent: reply.startsWith('5') }];
      const taken = { accepted: [address], refused: [] };
      return await Promise.resolve(reply.startsWith('2') ? taken : { accepted: [], refused });
    },
    accept: async (mail) => {
      mixed.push(mail);
      return await Promise.resolve('stored');
    },
    counters,
    log: silentLog,
    now: () => clock.nowMs,
    ...over,
  });
  const keep = async (to: string) => await reporter.keep(toHex(native.random(16)), to, report);
  return { reporter, keep, clock, given, mixed, answers, counters };
}

test('a report goes to an own user by the mail server, to another through the mixnet, each once', async (t) => {
  const { reporter, keep, given, mixed } = await open(t);
  await keep('ada@own.test');
  await keep('bob@OTHER.test');
  await reporter.look();
  await reporter.look();
  t.deepEqual(given, ['ada@own.test']);
  t.deepEqual(
    mixed.map(({ exit, from, recipients }) => [exit, from, recipients[0]?.address]),
    [[other.peerId, '', 'bob@OTHER.test']],
  );
  await t.throwsAsync(keep(''), { instanceOf: RangeError });
});

test('a report never leaves the mixnet: for a domain that nobody serves it waits, then it ends', async (t) => {
  const { reporter, keep, given, mixed, counters, clock } = await open(t);
  await keep('eve@outside.test');
  await reporter.look();
  t.deepEqual([given, mixed], [[], []]);
  clock.nowMs += 5 * 86_400_000 + 1;
  await reporter.look();
  t.is(counters.of('report-expired'), 1);
  t.deepEqual([given, mixed], [[], []]);
});

test('while the mail server is away it is asked a few times, and others get their reports', async (t) => {
  const { reporter, keep, given, mixed, answers, clock } = await open(t);
  answers.reply = '451 4.3.0 away';
  for (let i = 0; i < 20; i++) await keep(`u${i}@own.test`);
  await keep('bob@other.test');
  await reporter.look();
  t.is(given.length, 3);
  t.is(mixed.length, 1);
  await reporter.look();
  t.is(given.length, 3, 'each pauses');
  answers.reply = '250 ok';
  clock.nowMs += 600_000;
  await reporter.look();
  t.is(new Set(given).size, 20);
});

test('one full mailbox and one faulty report hold up nobody else, however many reports wait', async (t) => {
  const reached = new Set<string>();
  const { reporter, keep, clock } = await open(t, {
    deliver: async ({ recipients: [recipient] }) => {
      const address = recipient?.address ?? '';
      if (address.startsWith('faulty')) throw new Error('a bug');
      if (!address.startsWith('full')) reached.add(address);
      const refused = [{ address, reply: '452 4.2.2 full', permanent: false }];
      const taken = { accepted: [address], refused: [] };
      return await Promise.resolve(reached.has(address) ? taken : { accepted: [], refused });
    },
  });
  for (let i = 0; i < 30; i++) await keep('full@own.test');
  for (let i = 0; i < 10; i++) {
    await keep('faulty@own.test');
    await keep(`u${i}@own.test`);
  }
  await reporter.look();
  t.is(reached.size, 10);
  await keep('late@own.test');
  clock.nowMs += 300_000;
  await reporter.look();
  t.is(reached.size, 11);
});

test('a clock that is days ahead ends no report, and set back it keeps none waiting', async (t) => {
  let isRight = true;
  const { reporter, keep, answers, counters, clock, given } = await open(t, {
    directory: {
      current: () =>
        isRight ? { ok: true, directory } : { ok: false, reason: 'directory-expired' },
      last: () => directory,
    },
  });
  answers.reply = '451 4.3.0 away';
  await keep('ada@own.test');
  await keep('bob@other.test');
  clock.nowMs += 6 * 86_400_000;
  isRight = false;
  await reporter.look();
  t.is(counters.of('report-expired'), 0);
  clock.nowMs -= 6 * 86_400_000;
  isRight = true;
  answers.reply = '250 ok';
  await reporter.look();
  t.is(counters.of('report-mixed'), 1);
  t.is(counters.of('report-delivered'), 1, String(given.length));
});

test('a user who is gone ends his report; a mixnet that takes nothing now does not', async (t) => {
  let isFull = true;
  const { reporter, keep, answers, counters, clock } = await open(t, {
    accept: async () =>
      isFull
        ? await Promise.reject(new PanoramixError('storage-pressure', 'full'))
        : await Promise.resolve('repeat'),
  });
  answers.reply = '550 5.1.1 gone';
  await keep('ada@own.test');
  await keep('bob@other.test');
  await reporter.look();
  t.is(counters.of('report-refused'), 1);
  t.is(counters.of('report-mixed'), 0);
  isFull = false;
  clock.nowMs += 600_000;
  await reporter.look();
  t.is(counters.of('report-mixed'), 1);
});
