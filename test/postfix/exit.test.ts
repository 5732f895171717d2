/** The service through which mail out of the mixnet reaches its recipients (port 10037). */
import test from 'ava';
import { dialogue, transaction } from './dialogue.ts';
import { mail, optIn } from './messages.ts';
import { choosePorts } from './ports.ts';
import { beforePostfixTests, postfixTest } from './postfix-test.ts';
import { startPostfix, type PrivatePostfix } from './private-postfix.ts';
import { startRecordingFilter, type RecordingFilter } from './recording-filter.ts';

/** The exit's own return address: no mailbox of that name exists. */
const sender = 'panoramix+0123456789abcdef@beta.example';
let postfix: PrivatePostfix;
let filter: RecordingFilter;

beforePostfixTests(async () => {
  const ports = await choosePorts();
  filter = await startRecordingFilter(ports.lmtp);
  postfix = await startPostfix({
    name: 'beta',
    domains: { 'beta.example': ['bob', 'carol'] },
    ports,
    routes: { 'alpha.example': ports.outside },
    settings: {
      header_checks: 'pcre:{ {/^X-Spam: yes/ REJECT spam} }',
      virtual_alias_maps: 'inline:{ {both@beta.example=bob@beta.example,carol@beta.example} }',
    },
  });
});

test.after.always(async () => {
  await Promise.all([postfix?.stop(), filter?.stop()]);
});

postfixTest(
  'each recipient is checked in the dialogue and the known ones get the mail',
  async (t) => {
    const message = mail([], `${'x'.repeat(5000)}\r\n..\r\nsmørbrød`);
    const answers = await dialogue(
      postfix.ports.exit,
      transaction(
        sender,
        ['bob@beta.example', 'nobody@beta.example', 'ada@alpha.example', 'carol@beta.example'],
        `${message.replace('\r\n..', '\r\n...')}.\r\n`,
      ),
    );
    t.regex(answers[3] ?? '', /^250 /);
    t.regex(answers[4] ?? '', /^550 5\.1\.1 /, 'unknown here');
    t.regex(answers[5] ?? '', /^554 5\.7\.1 .*Relay access denied/, 'not a domain of ours');
    t.regex(answers[6] ?? '', /^250 /);
    for (const user of ['bob', 'carol']) {
      const [arrived] = await postfix.waitForMail(`${user}@beta.example`);
      t.is(arrived?.message.toString('latin1'), message);
      t.is(arrived?.from, sender);
    }
    t.is(filter.contacts, 0);
  },
);

postfixTest('nothing is added to a mail that has no header at all', async (t) => {
  const before = (await postfix.mailboxOf('bob@beta.example')).length;
  await dialogue(
    postfix.ports.exit,
    transaction(sender, ['bob@beta.example'], '\r\nonly a body\r\n.\r\n'),
  );
  const arrived = (await postfix.waitForMail('bob@beta.example', before + 1)).at(-1);
  t.is(arrived?.message.toString(), '\r\nonly a body\r\n');
});

postfixTest('the header that opts in does not send it round again', async (t) => {
  const before = (await postfix.mailboxOf('bob@beta.example')).length;
  await dialogue(
    postfix.ports.exit,
    transaction(sender, ['bob@beta.example'], `${mail([optIn])}.\r\n`),
  );
  await postfix.waitForMail('bob@beta.example', before + 1);
  t.is(filter.contacts, 0);
});

postfixTest(
  "the operator's filters see it and their refusal is heard in the dialogue",
  async (t) => {
    const answers = await dialogue(
      postfix.ports.exit,
      transaction(sender, ['bob@beta.example'], `${mail(['X-Spam: yes'])}.\r\n`),
    );
    t.regex(answers.at(-2) ?? '', /^550 5\.7\.1 spam/);
  },
);

postfixTest('aliases of the receiving server apply', async (t) => {
  const before = (await postfix.mailboxOf('carol@beta.example')).length;
  await dialogue(postfix.ports.exit, transaction(sender, ['both@beta.example'], `${mail()}.\r\n`));
  await postfix.waitForMail('carol@beta.example', before + 1);
  t.pass();
});

postfixTest('bare line ends are refused', async (t) => {
  const answers = await dialogue(
    postfix.ports.exit,
    transaction(sender, ['bob@beta.example'], 'Subject: a\r\n\r\none\ntwo\r\n.\r\n'),
  );
  t.regex(answers[5] ?? '', /^5\d\d /);
});
