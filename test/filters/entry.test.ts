/** The whole filter over the wire: what is mixed, what passes, what is answered, what is remembered. */
import test from 'ava';
import { SendingLimiter } from '../../src/mail/limits.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { PanoramixError } from '../../src/errors.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { bytesToMix, bytesToPass, viewHeader } from '../../src/mail/opt-in.ts';
import { Dialogue } from './dialogue.ts';
import { EXIT_A, EXIT_B, startEntryRig, viewOf, type EntryRig } from './entry-rig.ts';

const FIXTURES = new URL('../fixtures/mail/', import.meta.url);
const OPTED_IN = 'Received: from client\r\nX-PANORAMIX-Mixable: yes\r\nSubject: x\r\n\r\nbody\r\n';
const REQUIRED = OPTED_IN.replace('yes', 'required');
const ORDINARY = 'Received: from client\r\nSubject: x\r\n\r\nbody\r\n';

interface Sending {
  readonly door?: 'lmtp' | 'smtp';
  readonly sender?: string;
  readonly queueId?: string | null;
  readonly client?: string;
  readonly parameters?: string;
}

/** One mail on a connection of its own; the replies to the message, one for each recipient in LMTP. */
async function send(
  rig: EntryRig,
  to: readonly string[],
  message: string | Uint8Array,
  {
    door = 'lmtp',
    sender = 'ada@alpha.example',
    queueId = 'Q1',
    client,
    parameters = '',
  }: Sending = {},
): Promise<string[]> {
  const dialogue = await Dialogue.open(rig.listening[door]);
  await dialogue.say(door === 'lmtp' ? 'LHLO postfix' : 'EHLO postfix');
  if (queueId !== null) await dialogue.say(`XFORWARD IDENT=${queueId}`);
  if (client !== undefined) await dialogue.say(`XFORWARD ADDR=${client}`);
  await dialogue.say(`MAIL FROM:<${sender}>${parameters}`);
  for (const address of to) await dialogue.say(`RCPT TO:${address}`);
  const replies = [await dialogue.data(message)];
  const expected = door === 'lmtp' ? to.length : 1;
  for (let i = 1; i < expected; i++) replies.push(await dialogue.reply());
  dialogue.close();
  return replies;
}

test('opted-in mail to a domain of the mixnet is stored without opt-in and Received, then 250', async (t) => {
  await using rig = await startEntryRig();
  const [reply] = await send(rig, ['<bob@in.example>'], OPTED_IN, {
    parameters: ' BODY=8BITMIME RET=FULL',
  });
  const [mail] = rig.mixed;
  t.is(reply, `250 2.6.0 queued in mix ${mail?.messageId}`);
  t.regex(mail?.messageId ?? '', /^[0-9a-f]{32}$/);
  t.is(Buffer.from(mail?.data ?? []).toString(), 'Subject: x\r\n\r\nbody\r\n');
  const { data: _data, sha256: _sha256, messageId: _messageId, ...rest } = mail ?? {};
  t.deepEqual(rest, {
    exit: EXIT_A,
    from: 'ada@alpha.example',
    recipients: [{ address: 'bob@in.example' }],
    body: '8BITMIME',
    smtputf8: false,
    ret: 'FULL',
  });
  t.is(rig.next.mails.length, 0);
});

test('NOTIFY crosses the mixnet; ORCPT and ENVID, which name aliases and ids, do not', async (t) => {
  await using rig = await startEntryRig();
  const to = ['<bob@in.example> NOTIFY=NEVER ORCPT=rfc822;list@alpha.example'];
  await send(rig, to, OPTED_IN, { parameters: ' ENVID=abc' });
  t.deepEqual(rig.mixed[0]?.recipients, [{ address: 'bob@in.example', notify: 'NEVER' }]);
  t.false(JSON.stringify(rig.mixed[0]).includes('abc"'));
});

test('ordinary mail goes back to Postfix as it came, with all that DSN asks', async (t) => {
  await using rig = await startEntryRig();
  const to = [
    '<bob@in.example> NOTIFY=NEVER ORCPT=rfc822;o+2Bp@q.example',
    '<eve@out.example> NOTIFY=SUCCESS',
  ];
  const replies = await send(rig, to, ORDINARY, {
    parameters: ' BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+2B1',
  });
  t.deepEqual(replies, [
    '250 2.6.0 passed: 2.0.0 Ok: queued as RAW1',
    '250 2.6.0 passed: 2.0.0 Ok: queued as RAW1',
  ]);
  t.deepEqual(rig.next.mails[0]?.commands.slice(1), [
    'XFORWARD IDENT=Q1',
    'MAIL FROM:<ada@alpha.example> SIZE=43 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+2B1',
    'RCPT TO:<bob@in.example> NOTIFY=NEVER ORCPT=rfc822;o+2Bp@q.example',
    'RCPT TO:<eve@out.example> NOTIFY=SUCCESS',
    'DATA',
  ]);
  t.is(rig.next.mails[0]?.data.toString(), ORDINARY);
  t.is(rig.mixed.length, 0);
});

test('recipients are split: one mail for each exit, the rest passes without the opt-in', async (t) => {
  await using rig = await startEntryRig();
  const to = [
    '<a@in.example>',
    '<b@out.example>',
    '<c@other.example>',
    '<d@in.example>',
    '<e@waiting.example>',
    '<ü@BÜCHER.example>',
  ];
  const replies = await send(rig, to, OPTED_IN, { parameters: ' SMTPUTF8' });
  const idOf = (exit: string): string =>
    rig.mixed.find((mail) => mail.exit === exit)?.messageId ?? '';
  t.deepEqual(replies.slice(0, 4), [
    `250 2.6.0 queued in mix ${idOf(EXIT_A)}`,
    '250 2.6.0 passed: 2.0.0 Ok: queued as RAW1',
    `250 2.6.0 queued in mix ${idOf(EXIT_B)}`,
    `250 2.6.0 queued in mix ${idOf(EXIT_A)}`,
  ]);
  t.regex(replies[4] ?? '', /^451 4\.4\.1/);
  t.is(replies[5], replies[2]);
  t.deepEqual(
    rig.mixed.map(({ recipients }) => recipients.map(({ address }) => address)),
    [
      ['a@in.example', 'd@in.example'],
      ['c@other.example', 'ü@BÜCHER.example'],
    ],
  );
  const passed = rig.next.mails[0];
  t.deepEqual(
    passed?.commands.filter((line) => line.startsWith('RCPT')),
    ['RCPT TO:<b@out.example>'],
  );
  t.is(passed?.data.toString(), OPTED_IN.replace('X-PANORAMIX-Mixable: yes\r\n', ''));
});

test('a retry of Postfix gets the same ids and doubles nothing, neither mixed nor passed', async (t) => {
  await using rig = await startEntryRig();
  const to = ['<a@in.example>', '<b@out.example>', '<d@in.example>', '<c@other.example>'];
  const first = await send(rig, to, OPTED_IN);
  const again = await send(rig, to.toReversed(), OPTED_IN);
  t.is(again[3], first[0]);
  t.is(again[2], '250 2.6.0 passed before');
  t.is(rig.mixed.length, 2);
  t.is(rig.next.mails.length, 1);
  // Another mail of the same words is another mail.
  await send(rig, to, OPTED_IN, { queueId: 'Q2' });
  await send(rig, to, `${OPTED_IN}more\r\n`);
  t.is(rig.mixed.length, 6);
  t.is(rig.next.mails.length, 3);
});

test('without a queue id every mail is a new one', async (t) => {
  await using rig = await startEntryRig();
  const to = ['<a@in.example>', '<b@out.example>'];
  await send(rig, to, OPTED_IN, { queueId: null });
  await send(rig, to, OPTED_IN, { queueId: null });
  t.is(rig.mixed.length, 2);
  t.is(rig.next.mails.length, 2);
  t.is(rig.passed.size, 0);
});

test('a recipient given twice is answered twice and served once', async (t) => {
  await using rig = await startEntryRig();
  const to = ['<a@in.example>', '<a@in.example>', '<b@out.example>', '<b@out.example>'];
  const replies = await send(rig, to, OPTED_IN);
  t.is(replies.length, 4);
  t.true(replies.every((reply) => reply.startsWith('250 ')));
  t.is(rig.mixed[0]?.recipients.length, 1);
  t.is(rig.next.lines.filter((line) => line.startsWith('RCPT')).length, 1);
});

/** Opted-in mail to `a@in.example` and `b@out.example`: what each of the two is told. */
const REFUSALS: readonly [
  message: string,
  rig: Parameters<typeof startEntryRig>[0],
  lmtp: readonly [RegExp, RegExp],
  smtp: RegExp,
  why: string,
][] = [
  [REQUIRED, {}, [/^250 2\.6\.0/, /^550 5\.7\.1/], /^550 5\.7\.1/, 'required, and one is outside'],
  [
    OPTED_IN,
    { policy: { partial: 'refuse' } },
    [/^550 5\.7\.1/, /^550 5\.7\.1/],
    /^550 5\.7\.1/,
    'the operator refuses what would be split',
  ],
  [
    OPTED_IN,
    { view: () => viewOf('expired') },
    [/^451 4\.4\.1 .*expired/, /^451 4\.4\.1/],
    /^451 4\.4\.1/,
    'the directory has expired',
  ],
  [
    OPTED_IN,
    { view: () => viewOf('missing') },
    [/^451 4\.4\.1 No verified/, /^451/],
    /^451 4\.4\.1/,
    'there is no directory',
  ],
  [
    OPTED_IN,
    { entry: { pressure: () => 'entry-closed' } },
    [/^451 4\.3\.1/, /^250/],
    /^451 4\.3\.1/,
    'storage is nearly full',
  ],
  [
    OPTED_IN,
    { entry: { accept: () => Promise.reject(new Error('disk')) } },
    [/^451 4\.3\.0/, /^250/],
    /^451 4\.3\.0/,
    'storing fails',
  ],
  [
    OPTED_IN,
    { entry: { accept: () => Promise.reject(new PanoramixError('mail-too-large', 'a test')) } },
    [/^552 5\.3\.4/, /^250/],
    /^552 5\.3\.4/,
    'no exit would keep so many fragments',
  ],
  [
    OPTED_IN,
    {
      view: () => {
        throw new Error('a bug');
      },
    },
    [/^451 4\.3\.0/, /^451 4\.3\.0/],
    /^451 4\.3\.0/,
    'the directory cannot be asked',
  ],
  [
    `${'X-Long: y\r\n'.repeat(30_000)}${OPTED_IN}`.replace('X-Long', `${OPTED_IN.slice(0, 49)}X-L`),
    {},
    [/^552 5\.3\.4/, /^552 5\.3\.4/],
    /^552 5\.3\.4/,
    'the header is longer than can be cleaned',
  ],
];

for (const [message, options, lmtp, smtp, why] of REFUSALS) {
  test(`LMTP answers each, SMTP takes all or nothing: ${why}`, async (t) => {
    await using rig = await startEntryRig(options);
    const to = ['<a@in.example>', '<b@out.example>'];
    const [only] = await send(rig, to, message, { door: 'smtp' });
    t.regex(only ?? '', smtp);
    t.is(rig.mixed.length, 0, 'nothing was mixed');
    t.is(rig.next.mails.length, 0, 'nothing passed');
    const replies = await send(rig, to, message);
    t.regex(replies[0] ?? '', lmtp[0]);
    t.regex(replies[1] ?? '', lmtp[1]);
  });
}

test('SMTP: all taken is one 250 with the ids', async (t) => {
  await using rig = await startEntryRig();
  const to = ['<a@in.example>', '<b@out.example>', '<c@other.example>'];
  const [reply] = await send(rig, to, OPTED_IN, { door: 'smtp' });
  t.is(reply, `250 2.6.0 queued in mix ${rig.mixed.map(({ messageId }) => messageId).join(' ')}`);
  t.is(rig.next.mails.length, 1);
});

test('SMTP: what passed for some is remembered, the retry serves only the others', async (t) => {
  let full = true;
  await using rig = await startEntryRig({
    next: { answer: (line) => (line.includes('<later@') && full ? '450 4.2.2 full' : undefined) },
  });
  const to = ['<a@in.example>', '<b@out.example>', '<later@out.example>'];
  t.regex((await send(rig, to, OPTED_IN, { door: 'smtp' }))[0] ?? '', /^451 4\.3\.0/);
  full = false;
  t.regex((await send(rig, to, OPTED_IN, { door: 'smtp' }))[0] ?? '', /^250 /);
  t.is(rig.mixed.length, 1);
  const served = rig.next.mails.map(({ commands }) =>
    commands.filter((line) => line.startsWith('RCPT')),
  );
  t.deepEqual(served, [
    ['RCPT TO:<b@out.example>', 'RCPT TO:<later@out.example>'],
    ['RCPT TO:<later@out.example>'],
  ]);
});

/** A refusal on 10036, and what the client hears of it. */
const NEXT_REFUSALS: readonly [answer: string, at: string, reply: RegExp, why: string][] = [
  ['550 5.1.1 no such user', 'RCPT', /^550 5\.1\.1 no such user/, 'an address that is none'],
  ['552 5.3.4 too big', 'MAIL', /^552 5\.3\.4 too big/, 'a size beyond Postfix’s own limit'],
  ['554 5.7.1 Relay access denied', 'RCPT', /^451 4\.3\.0 .*554 5\.7\.1/, 'our wiring is wrong'],
  ['550 5.7.1 bare LF', 'DATA END', /^451 4\.3\.0/, 'content that we have made canonical'],
  ['drop', 'DATA END', /^451 4\.3\.0/, 'nobody knows what became of it'],
  ['421 4.3.2 bye', 'MAIL', /^451 4\.3\.0/, 'Postfix stops'],
];

for (const [answer, at, reply, why] of NEXT_REFUSALS) {
  test(`re-injection got ${answer.slice(0, 9)}: ${why}`, async (t) => {
    await using rig = await startEntryRig({
      next: { answer: (line) => (line === at || line.slice(0, 4) === at ? answer : undefined) },
    });
    const [first] = await send(rig, ['<b@out.example>'], ORDINARY);
    t.regex(first ?? '', reply);
    t.is(rig.passed.size, 0);
  });
}

test('SMTP: refused for one and done for another is said in one reply', async (t) => {
  await using rig = await startEntryRig({
    next: { answer: (line) => (line.includes('<no@') ? '550 5.1.1 unknown' : undefined) },
  });
  const to = ['<a@in.example>', '<no@out.example>'];
  const [reply] = await send(rig, to, OPTED_IN, { door: 'smtp' });
  t.is(reply, '550 5.1.1 unknown; refused for 1 recipients, done for 1');
});

test('the null sender passes, opted in or not', async (t) => {
  await using rig = await startEntryRig();
  t.regex(
    (await send(rig, ['<a@in.example>'], OPTED_IN, { sender: '' }))[0] ?? '',
    /^250 .*passed/,
  );
  t.true(rig.next.lines.includes('MAIL FROM:<> SIZE=43 BODY=7BIT'));
  t.is(rig.mixed.length, 0);
});

test('a store that hangs is 451 in time, and the retry finds what was stored after all', async (t) => {
  const release = Promise.withResolvers<void>();
  const stored: string[] = [];
  await using rig = await startEntryRig({
    entry: {
      answerMsMax: 100,
      accept: async (mail) => {
        await release.promise;
        if (stored.includes(mail.messageId)) return 'repeat';
        stored.push(mail.messageId);
        return 'stored';
      },
    },
  });
  const startMs = performance.now();
  const [reply] = await send(rig, ['<a@in.example>'], OPTED_IN);
  t.is(reply, '451 4.3.0 Not done in time; the mail stays with you');
  t.true(performance.now() - startMs < 2_000);
  release.resolve();
  t.regex((await send(rig, ['<a@in.example>'], OPTED_IN))[0] ?? '', /^250 2\.6\.0 queued/);
  t.is(stored.length, 1);
});

test('a re-injection that hangs is 451 in time, goes on, and is not begun again by the retry', async (t) => {
  let answers: ((text: string) => void) | null = null;
  const sent: number[] = [];
  await using rig = await startEntryRig({
    entry: {
      answerMsMax: 100,
      submitter: {
        send: async (mail) => {
          sent.push(mail.recipients.length);
          const text = await new Promise<string>((resolve) => (answers = resolve));
          return mail.recipients.map(({ address }) => ({
            address,
            outcome: 'accepted',
            reply: { code: 250, text },
          }));
        },
      },
    },
  });
  const to = ['<a@in.example>', '<b@out.example>'];
  const replies = await send(rig, to, OPTED_IN);
  t.regex(replies[0] ?? '', /^250 2\.6\.0 queued/, 'what is mixed does not wait for what passes');
  t.regex(replies[1] ?? '', /^451 4\.3\.0 Not done/);
  const retry = send(rig, to.slice(1), OPTED_IN);
  setTimeout(() => answers?.('2.0.0 late'), 60);
  // `passed before` where the machine is so slow that the answer came first.
  t.regex((await retry)[0] ?? '', /^250 2\.6\.0 passed(: 2\.0\.0 late| before)$/);
  t.deepEqual(await send(rig, to.slice(1), OPTED_IN), ['250 2.6.0 passed before']);
  t.deepEqual(sent, [1]);
});

test('a mail that passed but cannot be remembered is 250: the next server has it', async (t) => {
  await using rig = await startEntryRig({
    entry: {
      passed: {
        has: () => Promise.resolve(false),
        add: () => Promise.reject(new Error('redis')),
      },
    },
  });
  t.regex((await send(rig, ['<b@out.example>'], ORDINARY))[0] ?? '', /^250 /);
});

test('each mail has one log line: queue id, ids, action, reasons; no address, no content', async (t) => {
  await using rig = await startEntryRig();
  await send(rig, ['<a@in.example>', '<secret@out.example>', '<w@waiting.example>'], OPTED_IN);
  t.is(rig.logged.length, 1);
  const { delayMs, ...line } = rig.logged[0] as Record<string, unknown>;
  t.is(typeof delayMs, 'number');
  t.deepEqual(line, {
    queueId: 'Q1',
    messageIds: rig.mixed.map(({ messageId }) => messageId),
    action: 'split',
    reasons: ['domain-outside', 'exit-unroutable'],
    codes: [250, 451],
    recipients: 3,
    bytes: OPTED_IN.length,
    text: 'mail answered',
  });
  t.false(/example|body/.test(JSON.stringify(rig.logged)));
});

test('every odd mail of our own, opted in or not, is what canonicalise and policy make of it', async (t) => {
  await using rig = await startEntryRig();
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.eml'))) {
    const bytes = readFileSync(new URL(name, FIXTURES));
    for (const opted of [
      bytes,
      Buffer.concat([Buffer.from('X-Panoramix-Mixable: 1\r\n'), bytes]),
    ]) {
      // The end of DATA stands on a line of its own, so a last line without an end gets one.
      const text = opted
        .toString('latin1')
        .replace(/(?<!\r\n)$/, (end) => (opted[0] ? '\r\n' : end));
      const data = canonicalise(Buffer.from(text, 'latin1'));
      const view = viewHeader(data);
      rig.mixed.length = 0;
      rig.next.mails.length = 0;
      const wire = Buffer.from(text.replace(/(^|\r\n)\./g, '$1..'), 'latin1');
      const [reply] = await send(rig, ['<a@in.example>'], wire, { queueId: name });
      t.regex(reply ?? '', /^250 /, name);
      const mixed = Buffer.from(rig.mixed[0]?.data ?? []);
      if (view.optIn === 'no') {
        t.true(rig.next.mails[0]?.data.equals(bytesToPass(data, view)), name);
      } else t.true(mixed.equals(bytesToMix(data, view)), name);
    }
  }
});

test('who sends too much mixed mail waits with 451, and nobody else feels it', async (t) => {
  const limits = {
    sender: { mailsPerHour: 2, bytesPerHour: 1_000_000, recipientsPerHour: 100 },
    client: { mailsPerHour: 3, bytesPerHour: 1_000_000, recipientsPerHour: 100 },
  };
  await using rig = await startEntryRig({ entry: { limiter: new SendingLimiter(limits) } });
  const to = ['<bob@in.example>'];
  const from = async (sender: string, queueId: string, client = '192.0.2.1') =>
    (await send(rig, to, OPTED_IN, { sender, queueId, client }))[0]?.slice(0, 9);
  t.is(await from('ada@alpha.example', 'Q1'), '250 2.6.0');
  t.is(await from('ada@alpha.example', 'Q1'), '250 2.6.0', 'the same mail again costs nothing');
  t.is(await from('ada@alpha.example', 'Q2'), '250 2.6.0');
  t.is(await from('ada@alpha.example', 'Q3', '192.0.2.2'), '451 4.7.1');
  t.is(await from('eve@alpha.example', 'Q4'), '250 2.6.0');
  t.is(await from('bea@alpha.example', 'Q5'), '451 4.7.1', 'the third mail was its client’s last');
  t.is(await from('bea@alpha.example', 'Q5', '192.0.2.3'), '250 2.6.0');
  t.is(rig.mixed.length, 4);
  await send(rig, ['<carl@outside.example>'], 'Subject: x\r\n\r\n', { queueId: 'Q6' });
  t.is(rig.next.mails.length, 1, 'mail that is not mixed is not limited');
});

test('a mail that could not be stored is not counted against its sender', async (t) => {
  let isDown = true;
  const limits = { mailsPerHour: 1, bytesPerHour: 1_000_000, recipientsPerHour: 100 };
  await using rig = await startEntryRig({
    entry: {
      limiter: new SendingLimiter({ sender: limits, client: limits }),
      accept: () =>
        isDown ? Promise.reject(new Error('redis is away')) : Promise.resolve('stored'),
    },
  });
  const reply = async () => (await send(rig, ['<bob@in.example>'], OPTED_IN))[0]?.slice(0, 9);
  t.is(await reply(), '451 4.3.0');
  isDown = false;
  t.is(await reply(), '250 2.6.0');
});

test('a store that does not take a mail says why: size, no room at all, none for this sender', async (t) => {
  for (const [code, reply] of [
    ['mail-too-large', '552 5.3.4'],
    ['storage-pressure', '451 4.3.1'],
    ['sender-backlog', '452 4.3.1'],
    ['redis-unavailable', '451 4.3.0'],
  ] as const) {
    const accept = () => Promise.reject(new PanoramixError(code, 'a test'));
    await using rig = await startEntryRig({ entry: { accept } });
    t.is((await send(rig, ['<bob@in.example>'], OPTED_IN))[0]?.slice(0, 9), reply);
  }
});
