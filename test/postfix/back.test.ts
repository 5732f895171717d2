/** The service to which the gateway gives opted-in mail that is not mixed (port 10036). */
import test from 'ava';
import { dialogue, transaction } from './dialogue.ts';
import { mail, optIn } from './messages.ts';
import { choosePorts } from './ports.ts';
import { beforePostfixTests, postfixTest } from './postfix-test.ts';
import { startPostfix, type PrivatePostfix } from './private-postfix.ts';
import { startRecordingFilter, type RecordingFilter } from './recording-filter.ts';

let postfix: PrivatePostfix;
let filter: RecordingFilter;

beforePostfixTests(async () => {
  const ports = await choosePorts();
  filter = await startRecordingFilter(ports.lmtp);
  postfix = await startPostfix({
    name: 'alpha',
    domains: { 'alpha.example': ['ada', 'archive', 'victim', 'big'] },
    ports,
    settings: {
      always_bcc: 'archive@alpha.example',
      header_checks: 'pcre:{ {/^Subject: refused/ REJECT} }',
    },
  });
});

test.after.always(async () => {
  await Promise.all([postfix?.stop(), filter?.stop()]);
});

postfixTest('mail that comes back is delivered, unchanged, and not filtered again', async (t) => {
  const message = mail([optIn, 'Subject: refused by header_checks'], 'smørbrød\r\n\x00\r\n');
  const answers = await dialogue(
    postfix.ports.reinject,
    transaction('ada@alpha.example', ['ada@alpha.example'], `${message}.\r\n`),
  );
  t.regex(answers.at(-2) ?? '', /^250 2\.0\.0/);
  const [arrived] = await postfix.waitForMail('ada@alpha.example');
  t.is(arrived?.message.toString('latin1'), message);
  t.is(filter.contacts, 0);
  t.deepEqual(await postfix.mailboxOf('archive@alpha.example'), []);
});

postfixTest('a copy that always_bcc adds is made once, before the filter', async (t) => {
  await postfix.submit({
    from: 'ada@alpha.example',
    to: ['ada@alpha.example'],
    message: mail([optIn]),
  });
  const [seen] = await filter.waitForMails(1);
  t.deepEqual(seen?.recipients.toSorted(), ['ada@alpha.example', 'archive@alpha.example']);
  const message = `${seen?.message.toString('latin1')}.\r\n`;
  await dialogue(
    postfix.ports.reinject,
    transaction('ada@alpha.example', seen?.recipients ?? [], message),
  );
  await postfix.waitForMail('archive@alpha.example');
  await postfix.waitForQueue((queue) => queue.length === 0);
  t.is((await postfix.mailboxOf('archive@alpha.example')).length, 1);
});

postfixTest('it offers what the gateway needs to pass a mail on as it came', async (t) => {
  const [, offered] = await dialogue(postfix.ports.reinject, ['EHLO gateway\r\n', 'QUIT\r\n']);
  const keywords = [
    '8BITMIME',
    'SMTPUTF8',
    'DSN',
    'PIPELINING',
    'XFORWARD .*IDENT',
    'SIZE 10752000',
  ];
  for (const keyword of keywords) t.regex(offered ?? '', new RegExp(`^250[- ]${keyword}`, 'm'));
  t.notRegex(offered ?? '', /AUTH|STARTTLS/);
});

postfixTest('a mail as large as submission takes comes back with its added headers', async (t) => {
  const line = `${'x'.repeat(78)}\r\n`;
  const head = mail([optIn]);
  const limit = 10_240_000;
  const message = head + line.repeat(Math.floor((limit - head.length) / line.length));
  const larger = message.replace('\r\n\r\n', `\r\nX-Added: ${'y'.repeat(900)}\r\n\r\n`);
  t.true(larger.length > limit);
  const answers = await dialogue(
    postfix.ports.reinject,
    transaction('ada@alpha.example', ['big@alpha.example'], `${larger}.\r\n`),
  );
  t.regex(answers.at(-2) ?? '', /^250 2\.0\.0/);
  const [arrived] = await postfix.waitForMail('big@alpha.example');
  t.is(arrived?.message.length, larger.length);
});

/**
 * Ends of data that some server or other takes for one, each in front of a second mail, and the answer
 * to it all: refused, or one mail, in which Postfix makes spaces of bare CRs.
 */
const falseEnds: readonly (readonly [string, RegExp])[] = [
  ['\n.\r\n', /^550 5\.5\.2 .*bare <LF>/],
  ['\n.\n', /^550 5\.5\.2 .*bare <LF>/],
  ['\r\n.\n', /^550 5\.5\.2 .*bare <LF>/],
  ['\r.\r\n', /^250 2\.0\.0 /],
  ['\r\n.\r', /^250 2\.0\.0 /],
  ['\r.\r', /^250 2\.0\.0 /],
  ['\r\n\0.\r\n', /^250 2\.0\.0 /],
];
for (const [end, answer] of falseEnds) {
  postfixTest(`no second mail is smuggled in behind ${JSON.stringify(end)}`, async (t) => {
    const inner = transaction(
      'ada@alpha.example',
      ['victim@alpha.example'],
      'a: b\r\n\r\nin\r\n.\r\n',
    );
    const message = `Subject: outer\r\n\r\nout${end}${inner.slice(1, -1).join('')}`;
    const before = (await postfix.mailboxOf('ada@alpha.example')).length;
    const answers = await dialogue(
      postfix.ports.reinject,
      transaction('ada@alpha.example', ['ada@alpha.example'], message),
    );
    t.regex(answers[5] ?? '', answer);
    t.regex(answers[6] ?? '', /^221 /, 'nothing of the message was read as a command');
    await postfix.waitForQueue((queue) => queue.length === 0);
    t.deepEqual(await postfix.mailboxOf('victim@alpha.example'), []);
    const after = await postfix.mailboxOf('ada@alpha.example');
    t.is(after.length - before, answers[5]?.startsWith('250') ? 1 : 0);
  });
}
