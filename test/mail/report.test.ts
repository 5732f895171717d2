import test from 'ava';
import { simpleParser } from 'mailparser';
import { concat, fromUtf8, toUtf8 } from '../../src/bytes.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { proofIn } from '../../src/mail/report-proof.ts';
import { wantsReport, writeReport, type ReportOptions } from '../../src/mail/report.ts';

const NOW_MS = Date.UTC(2026, 10, 22, 12, 0, 0);
const ID = 'ab'.repeat(16);
const options: ReportOptions = {
  action: 'failed',
  domain: 'near.test',
  arrivedMs: NOW_MS - 3_600_000,
  untilMs: NOW_MS + 86_400_000,
  nowMs: NOW_MS,
  id: ID,
};
const data = fromUtf8(
  'From: alice@near.test\r\nTo: bob@far.test\r\nSubject: plan\r\n B\r\n\r\nsecret body\r\n.dots\r\n',
);
const mail = { sender: 'alice@near.test', data, isWhole: true };
const unknownUser = { address: 'bob@far.test', status: '5.1.1', reply: '550 5.1.1 no such user' };

/** The parts of a report as a reader of MIME finds them. */
async function partsOf(report: { readonly data: Uint8Array }) {
  const parsed = await simpleParser(Buffer.from(report.data), { keepDeliveryStatus: true });
  const part = (type: string): string | undefined =>
    parsed.attachments.find(({ contentType }) => contentType === type)?.content.toString();
  return { parsed, part };
}

test('a failure is a multipart/report that a parser takes apart again', async (t) => {
  const report = writeReport(mail, [unknownUser], options);
  const { parsed, part } = await partsOf(report);
  const type = parsed.headers.get('content-type') as {
    value: string;
    params: Record<string, string>;
  };
  t.is(type.value, 'multipart/report');
  t.is(type.params['report-type'], 'delivery-status');
  t.is(parsed.headers.get('auto-submitted'), 'auto-replied');
  t.is(parsed.subject, 'Your mail was not delivered');
  t.is(parsed.date?.getTime(), NOW_MS);
  t.is(parsed.messageId, `<${ID}@near.test>`);
  t.regex(parsed.text ?? '', /<bob@far\.test>\s+550 5\.1\.1 no such user/);
  t.is(
    part('message/delivery-status')?.trim(),
    [
      'Reporting-MTA: dns; near.test',
      'Arrival-Date: Sun, 22 Nov 2026 11:00:00 +0000',
      '',
      'Final-Recipient: rfc822; bob@far.test',
      'Action: failed',
      'Status: 5.1.1',
      'Diagnostic-Code: smtp; 550 5.1.1 no such user',
    ]
      .join('\r\n')
      .replaceAll('\r\n', part('message/delivery-status')?.includes('\r\n') ? '\r\n' : '\n'),
  );
  t.is(report.body, '7BIT');
  t.false(report.smtputf8);
});

test('the header comes back as it was, and the body does not', async (t) => {
  const report = writeReport(mail, [unknownUser], options);
  const { part } = await partsOf(report);
  t.regex(part('text/rfc822-headers') ?? '', /^Subject: plan\r?\n B$/m);
  t.false(toUtf8(report.data).includes('secret body'));
});

test('RET=FULL brings the whole mail back, unless it is large or not at hand', async (t) => {
  const whole = writeReport({ ...mail, ret: 'FULL' }, [unknownUser], options);
  const text = toUtf8(whole.data);
  t.true(text.includes('Content-Type: message/rfc822\r\n\r\nFrom: alice@near.test'));
  t.true(text.includes('secret body'));
  const large = concat(data, new Uint8Array(1_048_577).fill(0x61));
  for (const other of [
    { ...mail, ret: 'FULL', isWhole: false },
    { ...mail, ret: 'HDRS' },
    { ...mail, ret: 'FULL', data: large },
  ] as const) {
    t.false(toUtf8(writeReport(other, [unknownUser], options).data).includes('secret body'));
  }
});

test('every recipient has its own group of fields', async (t) => {
  const quota = { address: 'eve@far.test', status: '5.2.2', reply: '552 5.2.2 over quota' };
  const { part } = await partsOf(writeReport(mail, [unknownUser, quota], options));
  const groups = (part('message/delivery-status') ?? '').trim().split(/\r?\n\r?\n/);
  t.is(groups.length, 3);
  t.regex(groups[2] ?? '', /eve@far\.test[^]*5\.2\.2/);
});

test('a delay says until when the mail is tried, and asks nobody to send it again', async (t) => {
  const waiting = { address: 'bob@far.test', status: '4.4.7', reply: null };
  const report = writeReport(mail, [waiting], { ...options, action: 'delayed' });
  const { parsed, part } = await partsOf(report);
  t.is(parsed.subject, 'Your mail is delayed');
  const status = part('message/delivery-status') ?? '';
  t.regex(status, /Action: delayed/);
  t.regex(status, /Will-Retry-Until: Mon, 23 Nov 2026 12:00:00 \+0000/);
  t.notRegex(status, /Diagnostic-Code/);
  t.regex(parsed.text ?? '', /need not send it again/);
});

test('an address that is not ASCII makes it a report of RFC 6533', (t) => {
  const recipient = { ...unknownUser, address: 'jürgen@far.test' };
  const report = writeReport(mail, [recipient], options);
  const text = toUtf8(report.data);
  t.true(text.includes('message/global-delivery-status'));
  t.true(text.includes('Final-Recipient: utf-8; jürgen@far.test'));
  t.true(report.smtputf8);
  t.is(report.body, '8BITMIME');
});

test('a text that is not ASCII asks for no SMTPUTF8, which many mailbox servers do not offer', async (t) => {
  const reply = '550 5.1.1 Benutzer gelöscht';
  const contact = 'Fragen? abuse@far.test hört zu.';
  const report = writeReport(mail, [{ ...unknownUser, reply }], { ...options, contact });
  t.false(report.smtputf8);
  t.is(report.body, '8BITMIME');
  const { parsed, part } = await partsOf(report);
  t.regex(parsed.text ?? '', /gelöscht[^]*hört zu/);
  const status = part('message/delivery-status') ?? '';
  t.regex(status, /^Diagnostic-Code: smtp; 550 5\.1\.1 Benutzer gel\?scht\r?$/m);
});

test('a mail that is only late does not come back whole, whatever RET says', (t) => {
  const late = { ...options, action: 'delayed' } as const;
  const waiting = { address: 'bob@far.test', status: '4.4.7', reply: null };
  const text = toUtf8(writeReport({ ...mail, ret: 'FULL' }, [waiting], late).data);
  t.false(text.includes('secret body'));
  t.true(text.includes('Content-Type: text/rfc822-headers\r\n\r\nFrom: alice@near.test'));
});

test("a hostile server's reply cannot add a field, and a page of it is cut", (t) => {
  const reply = `550 5.1.1 no\r\nX-Added: yes\r\n\r\n--${ID}--\r\n${'x'.repeat(5_000)}`;
  const report = writeReport(mail, [{ ...unknownUser, reply }], options);
  const text = toUtf8(report.data);
  t.notRegex(text, /^X-Added/m);
  t.true(report.data.length < 4_000);
  t.is(text.split(`\r\n--${ID}--`).length, 2, 'one end');
});

test('every report is canonical: CRLF at every line end', (t) => {
  const { data: bytes } = writeReport({ ...mail, ret: 'FULL' }, [unknownUser], options);
  t.is(canonicalise(bytes), bytes);
});

test('who gets a report: by NOTIFY, and never the null sender', (t) => {
  const rows = [
    ['', undefined, false, false],
    ['a@b.test', undefined, true, true],
    ['a@b.test', 'NEVER', false, false],
    ['a@b.test', 'FAILURE', true, false],
    ['a@b.test', 'DELAY', false, true],
    ['a@b.test', 'SUCCESS', false, false],
    ['a@b.test', 'SUCCESS,FAILURE,DELAY', true, true],
    ['', 'FAILURE', false, false],
  ] as const;
  for (const [sender, notify, failed, delayed] of rows) {
    const recipient = notify === undefined ? {} : { notify };
    t.is(wantsReport(sender, recipient, 'failed'), failed, `${sender} ${notify}`);
    t.is(wantsReport(sender, recipient, 'delayed'), delayed, `${sender} ${notify}`);
  }
});

test('a success is told in the words of RFC 3464, without the mail, and only where it was asked for', async (t) => {
  const rows = [
    ['delivered', 'Your mail was delivered', /has reached:/],
    ['relayed', 'Your mail was handed on', /tells nothing more/],
    ['expanded', 'Your mail was delivered to a list', /goes on from there to several/],
  ] as const;
  for (const [action, subject, words] of rows) {
    const reached = { address: 'bob@far.test', status: '2.1.5', reply: null };
    const report = writeReport({ ...mail, ret: 'FULL' }, [reached], { ...options, action });
    const { parsed, part } = await partsOf(report);
    t.is(parsed.subject, subject);
    t.regex(parsed.text ?? '', words);
    t.notRegex(parsed.text ?? '', /could not|2\.1\.5/);
    t.regex(
      part('message/delivery-status') ?? '',
      new RegExp(`bob@far\\.test\r?\nAction: ${action}\r?\nStatus: 2\\.1\\.5`),
    );
    t.false(toUtf8(report.data).includes('secret body'), 'RET is for failures');
    t.false(wantsReport('ada@near.test', {}, action), 'nobody gets it unasked');
    t.true(wantsReport('ada@near.test', { notify: 'FAILURE,SUCCESS' }, action));
    t.false(wantsReport('ada@near.test', { notify: 'FAILURE,DELAY' }, action));
    t.false(wantsReport('', { notify: 'SUCCESS' }, action));
  }
});

test('a delay whose end nobody knows promises none', (t) => {
  const waiting = { address: 'bob@far.test', status: '4.4.1', reply: null };
  const report = writeReport(mail, [waiting], { ...options, action: 'delayed', untilMs: null });
  const text = toUtf8(report.data);
  t.notRegex(text, /Will-Retry-Until|until/);
  t.regex(text, /It is tried; you need not send it again/);
});

test('a report names the mail that it is about to that mail’s entry, once and in one form', (t) => {
  const MAIL = '0123456789abcdef'.repeat(2);
  const named = writeReport(mail, [unknownUser], { ...options, proof: MAIL }).data;
  t.is(proofIn(named), MAIL);
  t.is(proofIn(writeReport(mail, [unknownUser], options).data), null);
  for (const header of [
    `X-PANORAMIX-Report-For: ${MAIL}\r\nX-Panoramix-Report-For: ${MAIL}\r\n\r\n`,
    `X-PANORAMIX-Report-For: ${MAIL.toUpperCase()}\r\n\r\n`,
    `X-PANORAMIX-Report-For: ${MAIL}0\r\n\r\n`,
    `Subject: x\r\n\r\nX-PANORAMIX-Report-For: ${MAIL}\r\n`,
  ]) {
    t.is(proofIn(fromUtf8(header)), null, header);
  }
});
