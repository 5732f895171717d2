import test from 'ava';
import { SendingLimiter, type Sending, type SendingLimits } from '../../src/mail/limits.ts';

const HOUR_MS = 3_600_000;
const limits: SendingLimits = {
  sender: { mailsPerHour: 10, bytesPerHour: 1_000_000, recipientsPerHour: 100 },
  client: { mailsPerHour: 20, bytesPerHour: 100_000_000, recipientsPerHour: 10_000 },
};
const mail: Sending = {
  sender: 'ada@alpha.test',
  client: null,
  mails: 1,
  bytes: 1_000,
  recipients: 1,
};

/** How many of the same mail are taken at one moment. */
function takes(limiter: SendingLimiter, sending: Sending, nowMs: number): number {
  let taken = 0;
  while (taken < 1_000 && limiter.take(sending, nowMs) === null) taken++;
  return taken;
}

test('an hour’s mails may come at once, then the sender waits', (t) => {
  const limiter = new SendingLimiter(limits);
  t.is(takes(limiter, mail, 0), 10);
  t.is(limiter.take(mail, 0), 'sender-limit');
});

test('what was used comes back evenly, and never more than an hour’s', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, mail, 0);
  t.is(takes(limiter, mail, HOUR_MS / 2), 5);
  t.is(takes(limiter, mail, 100 * HOUR_MS), 10);
});

test('other senders do not feel it', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, mail, 0);
  t.is(takes(limiter, { ...mail, sender: 'eve@alpha.test' }, 0), 10);
  t.is(limiter.take({ ...mail, sender: 'ADA@Alpha.test' }, 0), 'sender-limit', 'the same sender');
});

test('bytes count as mails do', (t) => {
  const limiter = new SendingLimiter(limits);
  t.is(takes(limiter, { ...mail, bytes: 250_000 }, 0), 4);
});

test('recipients count as mails do: one mail to a thousand is not one of many', (t) => {
  const limiter = new SendingLimiter(limits);
  t.is(takes(limiter, { ...mail, recipients: 25 }, 0), 4);
  t.is(limiter.take(mail, 0), 'sender-limit');
  t.is(takes(limiter, { ...mail, sender: 'eve@alpha.test', recipients: 1_000 }, 0), 1);
});

test('who puts an extension behind his name is the same sender', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, { ...mail, sender: 'ada+one@alpha.test' }, 0);
  t.is(limiter.take({ ...mail, sender: 'Ada+two+three@alpha.test' }, 0), 'sender-limit');
  t.is(limiter.take(mail, 0), 'sender-limit');
  for (const sender of ['ada@beta.test', '"ada+x"@alpha.test', '+ada@alpha.test', '']) {
    t.is(limiter.take({ ...mail, sender }, 0), null, sender);
  }
});

test('one mail above a whole hour’s bytes goes, and costs the hours that follow', (t) => {
  const limiter = new SendingLimiter(limits);
  const large = { ...mail, bytes: 3_000_000 };
  t.is(limiter.take(large, 0), null);
  t.is(limiter.take(mail, HOUR_MS), 'sender-limit');
  t.is(limiter.take(mail, 1.9 * HOUR_MS), 'sender-limit');
  t.is(limiter.take(mail, 2.1 * HOUR_MS), null);
  t.is(limiter.take(large, 2.2 * HOUR_MS), 'sender-limit');
  t.is(limiter.take(large, 4 * HOUR_MS), null);
});

test('a client is limited over all of its senders', (t) => {
  const limiter = new SendingLimiter(limits);
  const from = (sender: string) => ({ ...mail, sender, client: '192.0.2.7' });
  t.is(takes(limiter, from('a@alpha.test'), 0), 10);
  t.is(takes(limiter, from('b@alpha.test'), 0), 10);
  t.is(limiter.take(from('c@alpha.test'), 0), 'client-limit');
  t.is(takes(limiter, { ...mail, sender: 'c@alpha.test' }, 0), 10, 'nothing was taken from him');
});

test('what was given back may be taken again', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, mail, 0);
  limiter.giveBack(mail, 0);
  t.is(takes(limiter, mail, 0), 1);
});

test('a clock that was set back gives and takes nothing', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, mail, 10 * HOUR_MS);
  t.is(limiter.take(mail, 0), 'sender-limit');
});

test('who is heard of longest ago is forgotten first, and memory stays bounded', (t) => {
  const limiter = new SendingLimiter(limits);
  takes(limiter, mail, 0);
  for (let i = 0; i < 20_000; i++) limiter.take({ ...mail, sender: `s${i}@alpha.test` }, 0);
  t.is(takes(limiter, mail, 0), 10);
});
