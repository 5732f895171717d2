/** Which mail meets the filter, on two private Postfix servers and a filter that writes down what comes. */
import test from 'ava';
import { dialogue, transaction } from './dialogue.ts';
import { mail, mailWithAttached, optIn } from './messages.ts';
import { choosePorts } from './ports.ts';
import { beforePostfixTests, postfixTest } from './postfix-test.ts';
import { startPostfix, type PrivatePostfix } from './private-postfix.ts';
import { startRecordingFilter, type RecordingFilter } from './recording-filter.ts';

const crowd = Array.from({ length: 120 }, (_, index) => `user${index}`);
let alpha: PrivatePostfix;
let beta: PrivatePostfix;
let filter: RecordingFilter;

beforePostfixTests(async () => {
  const [alphaPorts, betaPorts] = [await choosePorts(), await choosePorts()];
  filter = await startRecordingFilter(alphaPorts.lmtp, 'lmtp', (recipient) =>
    recipient.startsWith('later')
      ? Object.assign(new Error('not now'), { responseCode: 451 })
      : null,
  );
  alpha = await startPostfix({
    name: 'alpha',
    domains: { 'alpha.example': ['ada', 'later', ...crowd] },
    ports: alphaPorts,
    routes: { 'beta.example': betaPorts.outside },
  });
  beta = await startPostfix({
    name: 'beta',
    domains: { 'beta.example': ['bob'] },
    ports: betaPorts,
    routes: { 'alpha.example': alphaPorts.outside },
  });
});

test.after.always(async () => {
  await Promise.all([alpha?.stop(), beta?.stop(), filter?.stop()]);
});

postfixTest(
  'ordinary mail arrives here and at the other server and never meets the filter',
  async (t) => {
    const message = mail();
    await alpha.submit({
      from: 'ada@alpha.example',
      to: ['ada@alpha.example', 'bob@beta.example'],
      message,
    });
    const [here] = await alpha.waitForMail('ada@alpha.example');
    const [there] = await beta.waitForMail('bob@beta.example');
    t.is(here?.message.toString(), message);
    t.is(there?.message.toString(), message);
    t.is(there?.from, 'ada@alpha.example');
    t.is(filter.contacts, 0);
  },
);

const optsOut: readonly (readonly [string, string])[] = [
  ['the value no', 'X-PANORAMIX-Mixable: no'],
  ['the value FALSE', 'x-panoramix-mixable:FALSE'],
  ['the value 0', 'X-PANORAMIX-Mixable: \t0  '],
  ['no value', 'X-PANORAMIX-Mixable:'],
  ['nothing but white space', 'X-PANORAMIX-Mixable:  '],
  ['a folded no', 'X-PANORAMIX-Mixable:\r\n no'],
  ['a longer name', 'X-PANORAMIX-Mixable-Not: yes'],
];
for (const [what, header] of optsOut) {
  postfixTest(`a header with ${what} does not opt in`, async (t) => {
    const before = (await alpha.mailboxOf('ada@alpha.example')).length;
    const message = mail([header]);
    await alpha.submit({ from: 'ada@alpha.example', to: ['ada@alpha.example'], message });
    await alpha.waitForMail('ada@alpha.example', before + 1);
    t.is(filter.contacts, 0);
  });
}

postfixTest(
  'an attached message with the header does not opt in, nor does a part with it',
  async (t) => {
    const before = (await alpha.mailboxOf('ada@alpha.example')).length;
    const attached = mailWithAttached(mail([optIn]).trimEnd());
    const part = mailWithAttached(mail().trimEnd()).replace(
      'Content-Type: text/plain',
      `Content-Type: text/plain\r\n${optIn}`,
    );
    for (const message of [attached, part]) {
      await alpha.submit({ from: 'ada@alpha.example', to: ['ada@alpha.example'], message });
    }
    await alpha.waitForMail('ada@alpha.example', before + 2);
    t.is(filter.contacts, 0);
  },
);

postfixTest('a mail from outside with the header does not opt in', async (t) => {
  const before = (await alpha.mailboxOf('ada@alpha.example')).length;
  await alpha.submit(
    { from: 'eve@elsewhere.example', to: ['ada@alpha.example'], message: mail([optIn]) },
    alpha.ports.outside,
  );
  await alpha.waitForMail('ada@alpha.example', before + 1);
  t.is(filter.contacts, 0);
});

const optsIn: readonly (readonly [string, string])[] = [
  ['yes', optIn],
  ['required', 'X-PANORAMIX-Mixable: required'],
  ['a folded yes', 'X-PANORAMIX-Mixable:\r\n\tyes'],
  ['a word folded over two lines', 'x-panoramix-mixable: no\r\n thanks'],
  ['a space before the colon', 'X-PANORAMIX-Mixable : 1'],
];
for (const [what, header] of optsIn) {
  postfixTest(`a header with ${what} opts in`, async (t) => {
    const before = filter.mails.length;
    const message = mail([header]);
    await alpha.submit({ from: 'ada@alpha.example', to: ['bob@beta.example'], message });
    const seen = (await filter.waitForMails(before + 1)).at(-1);
    // Postfix itself writes no space before a colon.
    t.is(seen?.message.toString(), message.replace(/^(X-\S+) :/im, '$1:'));
    t.deepEqual(seen?.recipients, ['bob@beta.example']);
  });
}

postfixTest(
  'opted-in mail brings its queue id and leaves what tells about its user behind',
  async (t) => {
    const before = filter.mails.length;
    const telling = [
      'Received: from laptop (home.example [192.0.2.7])\r\n\tby phone.example; Fri, 01 Jan 2027',
      'User-Agent: Programme 7',
      'X-Mailer: Programme',
      'X-Originating-IP: [192.0.2.7]',
    ];
    const dialogueText = await alpha.submit({
      from: 'ada@alpha.example',
      to: ['bob@beta.example'],
      message: mail([...telling, optIn, 'X-Kept: as it is']),
    });
    const seen = (await filter.waitForMails(before + 1)).at(-1);
    t.is(seen?.xforward.get('IDENT'), /queued as (\w+)/.exec(dialogueText)?.[1]);
    const names = seen?.message.toString().match(/^[\w-]+(?=:)/gm);
    t.deepEqual(names?.slice(5), ['X-PANORAMIX-Mixable', 'X-Kept']);
  },
);

postfixTest('long lines, eight-bit text and dots reach the filter as they are', async (t) => {
  const before = filter.mails.length;
  const body = `${'x'.repeat(1500)}\r\n${'y'.repeat(100_000)}\r\n..\r\n.\r\nsmørbrød`;
  const message = mail([optIn, 'Subject: smørbrød'], body);
  await alpha.submit({ from: 'ada@alpha.example', to: ['bob@beta.example'], message });
  const seen = (await filter.waitForMails(before + 1)).at(-1);
  t.is(seen?.message.toString(), message);
});

postfixTest('120 recipients reach the filter in one transaction', async (t) => {
  const before = filter.mails.length;
  const to = crowd.map((user) => `${user}@alpha.example`);
  await alpha.submit({ from: 'ada@alpha.example', to, message: mail([optIn]) });
  const seen = (await filter.waitForMails(before + 1)).at(-1);
  t.deepEqual(seen?.recipients.toSorted(), to.toSorted());
});

postfixTest('over LMTP one recipient can wait while the other is taken', async (t) => {
  await alpha.submit({
    from: 'ada@alpha.example',
    to: ['ada@alpha.example', 'later@alpha.example'],
    message: mail([optIn]),
  });
  const [waiting] = await alpha.waitForQueue((queue) => queue[0]?.queue_name === 'deferred');
  t.deepEqual(
    waiting?.recipients.map(({ address }) => address),
    ['later@alpha.example'],
  );
  t.regex(waiting?.recipients[0]?.delay_reason ?? '', /not now/);
});

postfixTest('a report with the header reaches the filter with its empty sender', async (t) => {
  const before = filter.mails.length;
  await dialogue(
    alpha.ports.submission,
    transaction('', ['bob@beta.example'], `${mail([optIn])}.\r\n`),
  );
  t.is((await filter.waitForMails(before + 1)).at(-1)?.from, '');
});

postfixTest('the filter can be reached by SMTP as well', async (t) => {
  const ports = await choosePorts();
  const smtpFilter = await startRecordingFilter(ports.smtp, 'smtp');
  const gamma = await startPostfix({
    name: 'gamma',
    domains: { 'gamma.example': ['carol'] },
    ports,
    protocol: 'smtp',
    routes: { 'beta.example': beta.ports.outside },
  });
  t.teardown(() => Promise.all([gamma.stop(), smtpFilter.stop()]).then(() => undefined));
  const message = mail([optIn], 'z'.repeat(1500));
  await gamma.submit({ from: 'carol@gamma.example', to: ['bob@beta.example'], message });
  const [seen] = await smtpFilter.waitForMails(1);
  t.is(seen?.message.toString(), message);
  t.regex(seen?.xforward.get('IDENT') ?? '', /^[0-9A-F]+$/);
});
