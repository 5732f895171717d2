import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import type { BouncedRecipient } from '../../src/mail/bounce.ts';
import { returnAddress } from '../../src/mail/return-address.ts';
import { writeReport } from '../../src/mail/report.ts';
import { silentLog } from '../../src/log.ts';
import { listen } from '../../filters/listen.ts';
import { createReturns, type ReturnsOptions } from '../../filters/returns.ts';
import { Submitter } from '../../filters/submit.ts';

const returnKey = new Uint8Array(32).fill(7);
const MESSAGE = '00112233445566778899aabbccddeeff';
const RETURN = returnAddress(native, returnKey, MESSAGE, 'own.example');
const bounce = writeReport(
  { sender: RETURN, data: new Uint8Array(), isWhole: false },
  [{ address: 'bob@own.example', status: '5.1.1', reply: '550 5.1.1 gone' }],
  {
    action: 'failed',
    domain: 'own.example',
    arrivedMs: null,
    untilMs: 0,
    nowMs: 0,
    id: 'cd'.repeat(16),
  },
).data;

async function open(over: Partial<ReturnsOptions> = {}) {
  const taken: { messageId: string; recipients: readonly BouncedRecipient[] }[] = [];
  const receive = createReturns({
    bounced: async (messageId, recipients) => {
      taken.push({ messageId, recipients });
      return await Promise.resolve('bounce-reported');
    },
    returnKey,
    primitives: native,
    log: silentLog,
    ...over,
  });
  const send = async (sender: string, address: string, data: Uint8Array = bounce) => {
    const replies = await receive({
      protocol: 'lmtp',
      queueId: 'Q1',
      client: null,
      sender,
      recipients: [{ address, domain: address.slice(address.lastIndexOf('@') + 1).toLowerCase() }],
      body: '7BIT',
      smtputf8: false,
      data,
    });
    return `${replies[0]?.code} ${replies[0]?.text}`;
  };
  return { taken, send, receive };
}

test('a bounce to a return address is read, and told by the message id in it', async (t) => {
  const { taken, send } = await open();
  t.is(await send('', RETURN), '250 2.0.0 Reported');
  t.is(await send('', RETURN.toUpperCase()), '250 2.0.0 Reported', 'case folded on its way');
  t.is(taken[0]?.messageId, MESSAGE);
  t.is(taken[0]?.recipients[0]?.final, 'bob@own.example');
  t.is(taken.length, 2);
});

const foreign = returnAddress(native, new Uint8Array(32).fill(8), MESSAGE, 'own.example');
const changed = RETURN.replace(/.@/, (end) => (end === 'a@' ? 'q@' : 'a@'));
const ROWS: readonly (readonly [
  what: string,
  from: string,
  to: string,
  data: Uint8Array,
  reply: string,
])[] = [
  ['a token under another key', '', foreign, bounce, '250 2.0.0 Dropped: return-forged'],
  ['a token with one letter changed', '', changed, bounce, '250 2.0.0 Dropped: return-forged'],
  [
    'no notification',
    '',
    RETURN,
    Buffer.from('Subject: away\r\n\r\n'),
    '250 2.0.0 Dropped: bounce-unreadable',
  ],
  [
    'a sender, who is no mail server',
    'eve@x.example',
    RETURN,
    bounce,
    '250 2.0.0 Dropped: return-not-a-bounce',
  ],
  [
    'an ordinary address',
    '',
    'bob@own.example',
    bounce,
    '550 5.1.1 Only return addresses of this exit are taken here',
  ],
  [
    'an address elsewhere',
    'eve@x.example',
    'bob@x.example',
    bounce,
    '550 5.1.1 Only return addresses of this exit are taken here',
  ],
];
for (const [what, from, to, data, reply] of ROWS) {
  test(`at the door for bounces, ${what}: ${reply.slice(0, 3)}, and nothing goes on`, async (t) => {
    const { taken, send } = await open();
    t.is(await send(from, to, data), reply);
    t.is(taken.length, 0);
  });
}

test('what a bounce comes to is named, and where storage is away it comes again', async (t) => {
  const unknown = await open({ bounced: async () => await Promise.resolve('return-unknown') });
  t.is(await unknown.send('', RETURN), '250 2.0.0 Dropped: return-unknown');
  const away = await open({
    bounced: async () => await Promise.reject(new PanoramixError('redis-unavailable', 'away')),
  });
  t.regex(await away.send('', RETURN), /^451 4\.3\.0 /);
});

test('the door listens beside the others, answers each recipient, and is on loopback only', async (t) => {
  const { receive, taken } = await open();
  const loopback = { host: '127.0.0.1', port: 0 };
  const options = {
    lmtp: null,
    smtp: null,
    returns: { address: loopback, receive },
    hostname: 'own.example',
    messageBytesMax: 1_000_000,
    recipientsMax: 10,
    receive: async () => await Promise.resolve([]),
    log: silentLog,
  };
  const doors = await listen(options);
  t.teardown(async () => await doors.stop());
  t.truthy(doors.returns?.port);
  const far = { ...options, returns: { address: { host: '0.0.0.0', port: 0 }, receive } };
  const refused = await t.throwsAsync(listen(far), { instanceOf: PanoramixError });
  t.regex(refused.message, /gateway\.returns is 0\.0\.0\.0/);
  t.is(taken.length, 0);
  // It speaks LMTP: SMTP's EHLO is refused.
  const submitter = new Submitter({ server: doors.returns ?? loopback, hostname: 'x.example' });
  const [result] = await submitter.send({
    sender: '',
    recipients: [{ address: RETURN }],
    body: '7BIT',
    smtputf8: false,
    data: bounce,
  });
  t.not(result?.outcome, 'accepted');
  await submitter.close();
});
