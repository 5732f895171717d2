import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { killServer, until } from '../redis/private-redis.ts';
import { createExit } from './one-mail-exit.ts';

const HOUR_MS = 3_600_000;

/** A mail server that takes nothing now. */
const later = async () => await Promise.resolve({ 'bob@b.example': '451 4.4.1 away' });
/** A report as far as it names a mail. */
const named = (id: string) => Buffer.from(`X-PANORAMIX-Report-For: ${id}\r\n\r\nbody\r\n`);

test('a mail was delivered twice where Redis went away between the 250 and its record', async (t) => {
  const exit = await createExit(t, async () => void (await killServer(exit.dataDir)), {
    saveMsMax: 0,
  });
  await t.throwsAsync(exit.work(), { message: /redis-unavailable/ });
  await until(() => exit.store.redis.status === 'ready');
  t.is(await exit.work(), undefined);
  t.is(exit.given.length, 1);
  t.true(await exit.fragments.isDelivered(exit.id));
});

test('what a mail server has said is noted as soon as Redis is back, not when its job comes again', async (t) => {
  const exit = await createExit(t, async () => void (await killServer(exit.dataDir)));
  t.is(await exit.work(), undefined);
  exit.restart();
  t.is(await exit.work(), undefined);
  t.is(exit.given.length, 1);
  t.true(await exit.fragments.isDelivered(exit.id));
});

test('a mail was delivered twice where its job came back as stalled during delivery', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const exit = await createExit(t, async () => await promise);
  const first = exit.work();
  await until(() => exit.given.length === 1);
  const again = await exit.work();
  t.true((again?.againAtMs ?? 0) > exit.clock.nowMs);
  resolve();
  t.is(await first, undefined);
  t.is(await exit.work(), undefined);
  t.is(exit.given.length, 1);
});

test('a mail that waits for its mail server is told to its sender once, after hours, and without a word of where', async (t) => {
  let replies: Record<string, string> = {
    'bob@b.example': '451 4.4.1 connect to 10.0.0.7: timed out',
    'eve@b.example': '452 4.2.2 mailbox full',
    'kim@b.example': '550 5.1.1 no such user',
  };
  const addresses = ['bob', 'eve', 'kim', 'zoe'].map((name) => `${name}@b.example`);
  const recipients = addresses.map((address) => ({ address }));
  const exit = await createExit(t, async () => await Promise.resolve(replies), {
    mail: { recipients: [...recipients, { address: 'sue@b.example', notify: 'FAILURE' }] },
    delayWarningMs: 4 * HOUR_MS,
  });
  const startMs = exit.clock.nowMs;
  replies['sue@b.example'] = '451 4.3.0 later';
  await exit.work();
  t.deepEqual(exit.reports, []);
  exit.clock.nowMs = startMs + 4 * HOUR_MS - 30_000;
  // By then its pauses are longer than that.
  for (let i = 0; i < 11; i++) await exit.work();
  const again = await exit.work();
  t.is(again?.againAtMs, startMs + 4 * HOUR_MS, 'looked at when it is due, and no later');
  exit.restart();
  exit.clock.nowMs = startMs + 4 * HOUR_MS;
  await exit.work();
  t.is(exit.reports.length, 1);
  const [report = ''] = exit.reports;
  const groups = [
    ...report.matchAll(/^Final-Recipient: rfc822; (.*)\r\nAction: (.*)\r\nStatus: (.*)\r$/gm),
  ];
  t.deepEqual(
    groups.map(([, ...fields]) => fields.join(' ')),
    ['bob@b.example delayed 4.4.1', 'eve@b.example delayed 4.2.2'],
    'neither who has it, nor who is refused, nor who did not ask',
  );
  t.regex(report, /^Will-Retry-Until: /m);
  t.notRegex(report, /10\.0\.0\.7/);
  exit.clock.nowMs += HOUR_MS;
  exit.restart();
  await exit.work();
  t.is(exit.reports.length, 1, 'once');
  replies = {};
  t.is(await exit.work(), undefined);
  t.is(exit.reports.length, 2, 'who was refused is told at the end');
  t.regex(exit.reports[1] ?? '', /kim@b\.example\r\nAction: failed/);
  t.deepEqual(await exit.store.redis.keys('*:delivery:*'), []);
});

test('without a delay warning nobody hears of a delay, and a clock set back makes none too early', async (t) => {
  const silent = await createExit(t, later);
  await silent.work();
  silent.clock.nowMs += 20 * HOUR_MS;
  await silent.work();
  t.deepEqual(silent.reports, []);
  const exit = await createExit(t, later, { delayWarningMs: 4 * HOUR_MS });
  await exit.work();
  exit.clock.nowMs -= 10 * HOUR_MS;
  const again = await exit.work();
  t.true((again?.againAtMs ?? 0) <= exit.clock.nowMs + 4 * HOUR_MS, 'never later than it would be');
  t.deepEqual(exit.reports, []);
});

test('only a report about a mail that was taken in here is an own one', async (t) => {
  const ours = toHex(native.random(16));
  const null1 = { from: '', recipients: [{ address: 'bob@b.example' }] };
  const two = {
    from: '',
    recipients: ['bob', 'eve'].map((name) => ({ address: `${name}@b.example` })),
  };
  const rows = [
    [null1, named(ours), true, 'the report about a mail of ours'],
    [null1, named(toHex(native.random(16))), undefined, 'about a mail of nobody here'],
    [null1, Buffer.from('Subject: x\r\n\r\nbody\r\n'), undefined, 'a mail from the null sender'],
    [two, named(ours), undefined, 'to more than its sender'],
    [{ from: 'ada@a.example' }, named(ours), undefined, 'from somebody'],
  ] as const;
  for (const [mail, data, isOwnReport, why] of rows) {
    const exit = await createExit(t, async () => await Promise.resolve(), {
      mail,
      data,
      accepted: [ours],
    });
    await exit.work();
    t.is(exit.given[0]?.isOwnReport, isOwnReport, why);
  }
});
