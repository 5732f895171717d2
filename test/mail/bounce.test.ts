import test from 'ava';
import fc from 'fast-check';
import { fromUtf8 } from '../../src/bytes.ts';
import { readBounce } from '../../src/mail/bounce.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { writeReport } from '../../src/mail/report.ts';

/** As Postfix writes one: an alias behind which a mailbox is gone. */
const POSTFIX = [
  'Received: by mail.far.test (Postfix)',
  '\tid 4Q; Mon, 23 Nov 2026 12:00:00 +0000 (UTC)',
  'From: MAILER-DAEMON@mail.far.test (Mail Delivery System)',
  'Subject: Undelivered Mail Returned to Sender',
  'Auto-Submitted: auto-replied',
  'MIME-Version: 1.0',
  'Content-Type: multipart/report; report-type=delivery-status;',
  '\tboundary="7A1.1795435200/mail.far.test"',
  '',
  'This is a MIME-encapsulated message.',
  '',
  '--7A1.1795435200/mail.far.test',
  'Content-Description: Notification',
  'Content-Type: text/plain; charset=us-ascii',
  '',
  'Final-Recipient: rfc822; not@in.text',
  '',
  '--7A1.1795435200/mail.far.test',
  'Content-Description: Delivery report',
  'Content-Type: message/delivery-status',
  '',
  'Reporting-MTA: dns; mail.far.test',
  'X-Postfix-Queue-ID: 7A1',
  'Arrival-Date: Mon, 23 Nov 2026 11:59:59 +0000 (UTC)',
  '',
  'Final-Recipient: rfc822; gone@inner.test',
  'Original-Recipient: rfc822;list@far.test',
  'Action: failed',
  'Status: 5.1.1',
  'Diagnostic-Code: smtp; 550 5.1.1 <gone@inner.test>: Recipient',
  '    address rejected',
  '',
  'Final-Recipient: rfc822; slow@inner.test',
  'Action: delayed',
  'Status: 4.4.1',
  'Diagnostic-Code: X-Postfix; unable to connect',
  '',
  '--7A1.1795435200/mail.far.test',
  'Content-Type: message/rfc822',
  '',
  'Subject: the mail',
  '',
  'text',
  '--7A1.1795435200/mail.far.test--',
  '',
].join('\r\n');

test("each recipient of Postfix's notification is read, and nothing else of it", (t) => {
  t.deepEqual(readBounce(fromUtf8(POSTFIX)), [
    {
      original: 'list@far.test',
      final: 'gone@inner.test',
      action: 'failed',
      status: '5.1.1',
      reply: '550 5.1.1 <gone@inner.test>: Recipient address rejected',
    },
    {
      original: null,
      final: 'slow@inner.test',
      action: 'delayed',
      status: '4.4.1',
      reply: null,
    },
  ]);
});

test('our own reports are notifications too', (t) => {
  const { data } = writeReport(
    { sender: 'a@near.test', data: fromUtf8('Subject: x\r\n\r\n'), isWhole: true },
    [{ address: 'jürgen@far.test', status: '5.2.2', reply: '552 5.2.2 voll: jürgen' }],
    {
      action: 'failed',
      domain: 'near.test',
      arrivedMs: null,
      untilMs: 0,
      nowMs: 0,
      id: 'ab'.repeat(16),
    },
  );
  t.deepEqual(readBounce(data), [
    {
      original: null,
      final: 'jürgen@far.test',
      action: 'failed',
      status: '5.2.2',
      reply: '552 5.2.2 voll: jürgen',
    },
  ]);
});

const changed = (from: string | RegExp, to: string): string => POSTFIX.replace(from, to);
const NO_NOTIFICATIONS: readonly (readonly [what: string, text: string])[] = [
  ['an answer of a holiday program', 'Auto-Submitted: auto-replied\r\n\r\nI am away\r\n'],
  ['nothing', ''],
  ['a report of another type', changed('delivery-status;', 'disposition-notification;')],
  ['no boundary', changed(/boundary=.*/, 'x=y')],
  ['a boundary of 71 characters', changed(/boundary=".*"/, `boundary="${'b'.repeat(71)}"`)],
  [
    'two content types',
    changed('Content-Type: multipart', 'Content-Type: a/b\r\nContent-Type: multipart'),
  ],
  ['no part with a status', changed('Content-Type: message/delivery-status', 'X: y')],
  [
    'a status behind the end of the parts',
    changed(
      '--7A1.1795435200/mail.far.test\r\nContent-Description: N',
      '--7A1.1795435200/mail.far.test--\r\nContent-Description: N',
    ),
  ],
  ['recipients without status', POSTFIX.replaceAll(/^Status:.*\r\n/gm, '')],
  ['actions that do not exist', POSTFIX.replaceAll(/^Action:.*/gm, 'Action: exploded')],
  ['recipients that are no mail addresses', POSTFIX.replaceAll('rfc822', 'x400')],
  ['a status of digits without end', POSTFIX.replaceAll(/^Status:.*/gm, 'Status: 5.1.1111')],
];
for (const [what, text] of NO_NOTIFICATIONS) {
  test(`${what}: no notification`, (t) => {
    t.is(readBounce(fromUtf8(text)), null);
  });
}

test('a recipient that is malformed does not hide the others', (t) => {
  const rest = readBounce(fromUtf8(changed('Status: 5.1.1', 'Status: five')));
  t.deepEqual(
    rest?.map(({ final }) => final),
    ['slow@inner.test'],
  );
});

test('a name that ends in à is read to its last byte', (t) => {
  const text = changed('rfc822; gone@inner.test', 'utf-8; gone@inner.là \t').replace(
    '>: Recipient',
    '>: è là',
  );
  const [first] = readBounce(fromUtf8(text)) ?? [];
  t.is(first?.final, 'gone@inner.là');
  t.is(first?.reply, '550 5.1.1 <gone@inner.test>: è là address rejected');
});

test('any bytes at all are read or are none, quickly', (t) => {
  const pieces = POSTFIX.split('\r\n').map((line) => `${line}\r\n`);
  const started = performance.now();
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 80 })), {
        maxLength: 60,
      }),
      (lines) => {
        const read = readBounce(canonicalise(fromUtf8(lines.join(''))));
        for (const { status, final } of read ?? []) {
          if (!/^[245]\.\d{1,3}\.\d{1,3}$/.test(status) || final === '') return false;
        }
        return true;
      },
    ),
    { numRuns: 500 },
  );
  const boundaries = `${POSTFIX.slice(0, 460)}${'\r\n--7A1.1795435200/mail.far.test\r\n'.repeat(30_000)}`;
  readBounce(fromUtf8(boundaries));
  readBounce(fromUtf8(`${POSTFIX.slice(0, 460)}${' '.repeat(500_000)}`));
  readBounce(fromUtf8(POSTFIX.replace('Status: 5.1.1', `Status: ${'\r\n '.repeat(100_000)}`)));
  readBounce(fromUtf8(POSTFIX.replace('Status: 5.1.1', `Status: ${' '.repeat(200_000)}x`)));
  t.true(performance.now() - started < 10_000);
});
