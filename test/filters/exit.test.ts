import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import type { ArrivedMail } from '../../src/mail/envelope.ts';
import { messageIdOfReturn } from '../../src/mail/return-address.ts';
import { createExit, type ExitOptions } from '../../filters/exit.ts';
import { ExitPolicy } from '../../filters/exit-policy.ts';
import { Submitter } from '../../filters/submit.ts';
import { RawServer, type RawServerOptions } from './raw-server.ts';

const returnKey = new Uint8Array(32).fill(9);

function arrived(change: Partial<ArrivedMail> = {}): ArrivedMail {
  const data = change.data ?? Buffer.from('Subject: x\r\n\r\nbody\r\n');
  return {
    messageId: '00112233445566778899aabbccddeeff',
    from: 'ada@alpha.example',
    recipients: [{ address: 'bob@exit.example' }],
    body: '8BITMIME',
    smtputf8: false,
    sha256: toHex(native.sha256(data)),
    ...change,
    data,
  };
}

async function open(server: RawServerOptions = {}, options: Partial<ExitOptions> = {}) {
  const raw = await RawServer.start(server);
  const submitter = new Submitter({ server: raw.address, hostname: 'exit.example' });
  const deliver = createExit({
    submitter,
    policy: new ExitPolicy({
      owns: (domain) => domain === 'exit.example',
      wider: { domains: [], recipientsPerHour: 1, messageBytesMax: 1 },
      optedOut: null,
      now: Date.now,
    }),
    sender: 'return',
    returnDomain: 'exit.example',
    returnKey,
    primitives: native,
    log: silentLog,
    ...options,
  });
  return {
    raw,
    deliver,
    mailLines: () => raw.lines.filter((line) => line.startsWith('MAIL')),
    async [Symbol.asyncDispose]() {
      await submitter.close();
      await raw.stop();
    },
  };
}

test('an arrived mail is delivered byte for byte, from a return address of the exit’s own', async (t) => {
  await using exit = await open();
  const data = Buffer.from('Subject: x\r\n\r\n.\r\n\0\r\n\xff\r\n', 'latin1');
  const mail = arrived({
    data,
    ret: 'HDRS',
    recipients: [{ address: 'bob@exit.example', notify: 'NEVER' }, { address: 'eve@EXIT.example' }],
  });
  t.deepEqual(await exit.deliver(mail), {
    accepted: ['bob@exit.example', 'eve@EXIT.example'],
    refused: [],
  });
  t.true(exit.raw.mails[0]?.data.equals(data));
  const [line = ''] = exit.mailLines();
  t.regex(
    line,
    /^MAIL FROM:<panoramix\+[a-z2-7]{52}@exit\.example> SIZE=\d+ BODY=8BITMIME RET=HDRS$/,
  );
  const from = /<(.*)>/.exec(line)?.[1] ?? '';
  t.is(messageIdOfReturn(native, returnKey, from, 'exit.example'), mail.messageId);
  t.true(exit.raw.lines.includes('RCPT TO:<bob@exit.example> NOTIFY=NEVER'));
});

test('sender: original keeps MAIL FROM, and the null sender stays null both ways', async (t) => {
  await using original = await open({}, { sender: 'original' });
  await original.deliver(arrived());
  await original.deliver(arrived({ from: '' }));
  t.deepEqual(original.mailLines(), [
    'MAIL FROM:<ada@alpha.example> SIZE=20 BODY=8BITMIME',
    'MAIL FROM:<> SIZE=20 BODY=8BITMIME',
  ]);
  await using own = await open();
  await own.deliver(arrived({ from: '' }));
  t.deepEqual(own.mailLines(), ['MAIL FROM:<> SIZE=20 BODY=8BITMIME']);
});

test('a changed byte is never delivered; the same bytes are', async (t) => {
  await using exit = await open();
  const mail = arrived();
  const data = Uint8Array.from(mail.data);
  data[0] = (data[0] as number) ^ 1;
  const result = await exit.deliver({ ...mail, data });
  t.deepEqual(result, {
    accepted: [],
    refused: [
      {
        address: 'bob@exit.example',
        reply: '554 5.6.0 Content is not what was signed',
        permanent: true,
      },
    ],
  });
  t.is(exit.raw.connections, 0);
  t.is((await exit.deliver(mail)).accepted.length, 1);
});

/** Recipients that are never tried, whatever gateway sent them. */
const OBJECTIONS: readonly [address: string, reply: RegExp, why: string][] = [
  ['bob@other.example', /^550 5\.7\.1/, 'another domain'],
  ['bob@sub.exit.example', /^550 5\.7\.1/, 'a domain below ours'],
  ['bob', /^550 5\.7\.1/, 'no domain'],
  ['bob@[127.0.0.1]', /^550 5\.7\.1/, 'an address literal'],
  ['"bob@exit.example"@other.example', /^550 5\.7\.1/, 'our domain in quotes only'],
  ['a@exit.example> NOTIFY=SUCCESS', /^501 5\.1\.3/, 'a bracket that ends the path early'],
  ['a@exit.example>\r\nRCPT TO:<b@x.example', /^501 5\.1\.3/, 'a command behind it'],
  ['@exit.example:x@other.example', /^501 5\.1\.3/, 'a source route'],
  ['', /^501 5\.1\.3/, 'nobody'],
  ['bob exit.example', /^501 5\.1\.3/, 'a blank'],
];

for (const [address, reply, why] of OBJECTIONS) {
  test(`an exit does not deliver to ${why}, but to the others`, async (t) => {
    await using exit = await open();
    const result = await exit.deliver(
      arrived({ recipients: [{ address }, { address: 'bob@exit.example' }] }),
    );
    t.deepEqual(result.accepted, ['bob@exit.example']);
    t.is(result.refused.length, 1);
    t.regex(result.refused[0]?.reply ?? '', reply);
    t.true(result.refused[0]?.permanent);
    t.false(exit.raw.lines.some((line) => line.includes('NOTIFY') || line.includes('x.example')));
  });
}

test('a NOTIFY or a sender with a command in it never reaches the wire', async (t) => {
  await using exit = await open({}, { sender: 'original' });
  const notify = 'NEVER\r\nRSET';
  const first = await exit.deliver(
    arrived({ recipients: [{ address: 'bob@exit.example', notify }] }),
  );
  const second = await exit.deliver(arrived({ from: 'a@b.example> RET=FULL' }));
  t.deepEqual([first.accepted, second.accepted], [[], []]);
  t.is(exit.raw.connections, 0);
});

test('what the mail server says of each recipient is handed on: refused for good, or for now', async (t) => {
  await using exit = await open({
    answer: (line) =>
      line.includes('<no@')
        ? '550 5.1.1 unknown'
        : line.includes('<full@')
          ? '452 4.2.2 full'
          : undefined,
  });
  const recipients = ['yes', 'no', 'full'].map((name) => ({ address: `${name}@exit.example` }));
  t.deepEqual(await exit.deliver(arrived({ recipients })), {
    accepted: ['yes@exit.example'],
    refused: [
      { address: 'no@exit.example', reply: '550 5.1.1 unknown', permanent: true },
      { address: 'full@exit.example', reply: '452 4.2.2 full', permanent: false },
    ],
  });
});

test('what a sender wants to hear is asked of the mail server, success included', async (t) => {
  await using exit = await open();
  const recipients = ['SUCCESS', 'SUCCESS,FAILURE', 'DELAY', undefined].map((notify, i) => {
    return { address: `u${i}@exit.example`, ...(notify === undefined ? {} : { notify }) };
  });
  await exit.deliver(arrived({ recipients }));
  t.deepEqual(
    exit.raw.lines.filter((line) => line.startsWith('RCPT')),
    [' NOTIFY=SUCCESS', ' NOTIFY=SUCCESS,FAILURE', ' NOTIFY=DELAY', ''].map(
      (notify, i) => `RCPT TO:<u${i}@exit.example>${notify}`,
    ),
  );
});

test('who opted out hears what became of his own mail, and gets no other mail', async (t) => {
  const policy = new ExitPolicy({
    owns: (domain) => domain === 'exit.example',
    wider: { domains: [], recipientsPerHour: 1, messageBytesMax: 1 },
    optedOut: ({ local }) => local === 'bob',
    now: Date.now,
  });
  await using exit = await open({}, { policy });
  t.regex((await exit.deliver(arrived())).refused[0]?.reply ?? '', /^550 5\.7\.1 Recipient takes/);
  t.regex((await exit.deliver(arrived({ from: '' }))).refused[0]?.reply ?? '', /^550 5\.7\.1/);
  const report = arrived({ from: '', isOwnReport: true });
  t.deepEqual((await exit.deliver(report)).accepted, ['bob@exit.example']);
  const foreign = [{ address: 'bob@other.example' }];
  t.deepEqual((await exit.deliver({ ...report, recipients: foreign })).accepted, []);
});

test('a mail server that is down is temporary', async (t) => {
  const exit = await open();
  await exit[Symbol.asyncDispose]();
  const { refused } = await exit.deliver(arrived());
  t.false(refused[0]?.permanent);
});
