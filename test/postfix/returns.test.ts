/** The way of a bounce to the gateway's return address, and no further. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { simpleParser } from 'mailparser';
import { native } from '../../src/crypto/native.ts';
import { readBounce } from '../../src/mail/bounce.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { returnAddress } from '../../src/mail/return-address.ts';
import { dialogue, transaction } from './dialogue.ts';
import { mail } from './messages.ts';
import { choosePorts, freePort } from './ports.ts';
import { beforePostfixTests, postfixTest } from './postfix-test.ts';
import { startPostfix, type PrivatePostfix } from './private-postfix.ts';
import { startRecordingFilter, type RecordingFilter } from './recording-filter.ts';

const MESSAGE = '00112233445566778899aabbccddeeff';
const sender = returnAddress(native, new Uint8Array(32), MESSAGE, 'beta.example');
let postfix: PrivatePostfix;
let door: RecordingFilter;
let mailboxes: RecordingFilter;

beforePostfixTests(async () => {
  const ports = await choosePorts();
  door = await startRecordingFilter(ports.returns);
  // The server that keeps a mailbox, and knows that it is full when the mail is there.
  const full = Object.assign(new Error('Mailbox full'), { responseCode: 552 });
  const mailboxPort = await freePort();
  mailboxes = await startRecordingFilter(mailboxPort, 'smtp', () => full);
  postfix = await startPostfix({
    name: 'beta',
    domains: { 'beta.example': ['bob', 'full', 'away'] },
    ports,
    routes: { 'full@beta.example': mailboxPort, 'away@beta.example': await freePort() },
    settings: {
      delay_warning_time: '1s',
      virtual_alias_maps: 'inline:{ {list@beta.example=bob@beta.example,gone@nowhere.example} }',
    },
  });
});

test.after.always(async () => {
  await Promise.all([postfix?.stop(), door?.stop(), mailboxes?.stop()]);
});

/** Hands a mail over as the exit does; the bounces that the gateway got for it. */
async function bounceOf(to: string, notify = '') {
  const before = door.mails.length;
  const steps = transaction(sender, [to], `${mail()}.\r\n`);
  steps[2] = `RCPT TO:<${to}>${notify}\r\n`;
  const answers = await dialogue(postfix.ports.exit, steps);
  if (answers[5]?.startsWith('250 ') !== true) throw new Error(answers.join('\n'));
  await postfix.waitForQueue((queue) => queue.length === 0);
  return door.mails.slice(before);
}

postfixTest(
  'what an alias leads to fails after acceptance: the gateway hears which alias',
  async (t) => {
    const [bounce] = await bounceOf('list@beta.example');
    t.is(bounce?.from, '');
    t.deepEqual(bounce?.recipients, [sender]);
    const parsed = await simpleParser(Buffer.from(bounce?.message ?? ''));
    t.is(parsed.headers.get('auto-submitted'), 'auto-replied');
    t.deepEqual(readBounce(canonicalise(Buffer.from(bounce?.message ?? ''))), [
      {
        original: 'list@beta.example',
        final: 'gone@nowhere.example',
        action: 'failed',
        status: '5.4.4',
        reply: null,
      },
    ]);
  },
);

postfixTest('a mailbox that is full refuses for good: over quota', async (t) => {
  const [bounce] = await bounceOf('full@beta.example');
  const [failed] = readBounce(canonicalise(Buffer.from(bounce?.message ?? ''))) ?? [];
  t.is(failed?.status, '5.2.2');
  t.is(failed?.final, 'full@beta.example');
  t.regex(failed?.reply ?? '', /^552 5\.2\.2 Mailbox full/);
});

postfixTest('NOTIFY=SUCCESS: the gateway hears who got it, and nothing else unasked', async (t) => {
  const [told, ...more] = await bounceOf('bob@beta.example', ' NOTIFY=SUCCESS');
  t.deepEqual(more, []);
  t.deepEqual(told?.recipients, [sender]);
  const bob = { original: 'bob@beta.example', final: 'bob@beta.example' };
  t.deepEqual(readBounce(canonicalise(Buffer.from(told?.message ?? ''))), [
    { ...bob, action: 'delivered', status: '2.0.0', reply: null },
  ]);
  t.deepEqual(await bounceOf('bob@beta.example'), []);
  t.deepEqual(await bounceOf('bob@beta.example', ' NOTIFY=FAILURE,DELAY'), []);
});

postfixTest('NOTIFY=NEVER is kept: nothing comes back', async (t) => {
  t.deepEqual(await bounceOf('list@beta.example', ' NOTIFY=NEVER'), []);
});

postfixTest(
  'a server to which an alias leads may bounce from outside, and nobody else gets through',
  async (t) => {
    const before = door.mails.length;
    const from = async (to: string) => {
      const answers = await dialogue(
        postfix.ports.outside,
        transaction('', [to], `${mail()}.\r\n`),
      );
      return answers[3] ?? '';
    };
    t.regex(await from(sender), /^250 /);
    t.regex(await from(sender.replace('panoramix+', 'panoramix-')), /^550 5\.1\.1 /);
    t.regex(await from('panoramix@beta.example'), /^550 5\.1\.1 /);
    t.regex(await from('panoramix+short@beta.example'), /^550 5\.1\.1 /);
    t.regex(
      await from(sender.replace('beta.example', 'other.example')),
      /^454 4\.7\.1 .*Relay access denied|^554 5\.7\.1 .*Relay access denied/,
    );
    await postfix.waitForQueue((queue) => queue.length === 0);
    t.is(door.mails.length, before + 1);
  },
);

postfixTest("another exit's return address goes there, not to our gateway", async (t) => {
  const before = door.mails.length;
  const other = sender.replace('beta.example', 'other.example');
  await postfix.submit({ from: '', to: [other], message: mail() });
  await postfix.waitForLog(
    /to=<panoramix\+\w+@other\.example>, relay=none, .*no route from this test/,
  );
  t.is(door.mails.length, before);
});

postfixTest('while the gateway is down bounces wait, and are there when it is back', async (t) => {
  await door.stop();
  const steps = transaction(sender, ['list@beta.example'], `${mail([], 'later')}.\r\n`);
  await dialogue(postfix.ports.exit, steps);
  await postfix.waitForQueue((queue) => queue.length === 1 && queue[0]?.queue_name === 'deferred');
  door = await startRecordingFilter(postfix.ports.returns);
  await postfix.flush();
  await postfix.waitForQueue((queue) => queue.length === 0);
  t.is(door.mails.length, 1);
});

// The last: this mail stays in the queue.
postfixTest(
  'a mailbox server is away: the gateway hears of the delay, where that is set up',
  async (t) => {
    const before = door.mails.length;
    const answers = await dialogue(
      postfix.ports.exit,
      transaction(sender, ['away@beta.example'], `${mail()}.\r\n`),
    );
    t.regex(answers[5] ?? '', /^250 /);
    for (let time = 0; door.mails.length === before && time < 20; time++) {
      await sleep(500);
      await postfix.flush();
    }
    const [late] = readBounce(canonicalise(Buffer.from(door.mails[before]?.message ?? ''))) ?? [];
    t.like(late, { original: 'away@beta.example', action: 'delayed', status: '4.4.1' });
  },
);
