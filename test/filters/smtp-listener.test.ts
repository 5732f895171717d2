/** What stands on the wire, for each seam of smtp-server that the listener stands on. */
import test from 'ava';
import { once } from 'node:events';
import type { ReceivedMail, Reply } from '../../src/mail/envelope.ts';
import { listen, type ListenOptions, type Listening } from '../../filters/listen.ts';
import { silentLog } from '../../src/log.ts';
import { Dialogue } from './dialogue.ts';

interface Doors extends AsyncDisposable {
  readonly listening: Listening;
  readonly mails: ReceivedMail[];
}

const OK: Reply = { code: 250, text: '2.6.0 taken' };

/** Both doors, and a receiver that keeps what it is given. */
async function open(
  options: Partial<ListenOptions> = {},
  answer: (mail: ReceivedMail) => Promise<readonly Reply[]> = (mail) =>
    Promise.resolve(mail.recipients.map(() => OK)),
): Promise<Doors> {
  const mails: ReceivedMail[] = [];
  const listening = await listen({
    lmtp: { host: '127.0.0.1', port: 0 },
    smtp: { host: '127.0.0.1', port: 0 },
    hostname: 'filter.example',
    messageBytesMax: 100_000,
    recipientsMax: 5,
    stopMsMax: 2_000,
    log: silentLog,
    receive: (mail) => {
      mails.push(mail);
      return answer(mail);
    },
    ...options,
  });
  return { listening, mails, [Symbol.asyncDispose]: () => listening.stop() };
}

test('the greeting does not wait 100 ms for early talkers', async (t) => {
  await using doors = await open();
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const startMs = performance.now();
    (await Dialogue.open(doors.listening.smtp)).close();
    times.push(performance.now() - startMs);
  }
  t.true(Math.min(...times) < 80, `${Math.min(...times)} ms`);
});

test('EHLO announces what Postfix needs, and of XFORWARD only IDENT', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  const expected = [
    '250-filter.example',
    '250-PIPELINING',
    '250-SIZE 100000',
    '250-ENHANCEDSTATUSCODES',
    '250-8BITMIME',
    '250-DSN',
    '250-SMTPUTF8',
    '250 XFORWARD IDENT ADDR',
  ].join('\r\n');
  t.is(await smtp.say('EHLO client'), expected);
  const lmtp = await Dialogue.open(doors.listening.lmtp);
  t.is(await lmtp.say('LHLO client'), expected);
  t.regex(await lmtp.say('EHLO client'), /^500 /);
  smtp.close();
  lmtp.close();
});

test('addresses that Postfix takes reach the filter to the letter, and so do DSN parameters', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  const replies = await smtp.sayAll(
    'EHLO client',
    'MAIL FROM:<"a b"@xn--bcher-kva.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb',
    'RCPT TO:<"x@y"@host_name.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bp@q.example',
    'RCPT TO:<a..b.@in.example> NOTIFY=NEVER',
    'RCPT TO:<@relay.example:δ@in.example>',
  );
  t.deepEqual(replies.slice(1), ['250 2.1.0 Ok', '250 2.1.5 Ok', '250 2.1.5 Ok', '250 2.1.5 Ok']);
  t.is(await smtp.data('Subject: x\r\n\r\nbody\r\n'), '250 2.6.0 taken');
  const { data, ...mail } = doors.mails[0] as ReceivedMail;
  t.is(Buffer.from(data).toString(), 'Subject: x\r\n\r\nbody\r\n');
  t.deepEqual(mail, {
    protocol: 'smtp',
    queueId: null,
    client: null,
    sender: '"a b"@xn--bcher-kva.example',
    body: '8BITMIME',
    smtputf8: true,
    ret: 'HDRS',
    envid: 'a+2Bb',
    recipients: [
      {
        address: '"x@y"@host_name.example',
        domain: 'host_name.example',
        notify: 'SUCCESS,DELAY',
        orcpt: 'rfc822;o+2Bp@q.example',
      },
      { address: 'a..b.@in.example', domain: 'in.example', notify: 'NEVER' },
      { address: 'δ@in.example', domain: 'in.example' },
    ],
  });
  smtp.close();
});

test('XFORWARD holds for one mail: the next one, and one after RSET, do not inherit it', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  await smtp.say('EHLO client');
  const send = async (...before: string[]): Promise<string | null | undefined> => {
    await smtp.sayAll(...before, 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
    await smtp.data('x\r\n');
    return doors.mails.at(-1)?.queueId;
  };
  // HELO=[UNAVAILABLE] made smtp-server forget that the client had said EHLO.
  t.is(
    await send('XFORWARD NAME=[UNAVAILABLE] HELO=[UNAVAILABLE]', 'XFORWARD IDENT=4Fz+2B1'),
    null,
    'a queue id with other characters than Postfix uses',
  );
  t.is(
    await send('XFORWARD ADDR=192.0.2.1 NAME=mx IDENT=607F525845C SOURCE=REMOTE'),
    '607F525845C',
  );
  t.is(doors.mails.at(-1)?.client, '192.0.2.1');
  t.is(await send(), null);
  t.is(doors.mails.at(-1)?.client, null);
  await send('XFORWARD ADDR=IPV6:2001:DB8::1');
  t.is(doors.mails.at(-1)?.client, '2001:db8::1');
  await send('XFORWARD ADDR=[UNAVAILABLE]');
  t.is(doors.mails.at(-1)?.client, null);
  t.is(await send('XFORWARD IDENT=ABC', 'RSET'), null);
  t.is(await send('XFORWARD IDENT=[UNAVAILABLE]'), null);
  t.regex(await smtp.say('XFORWARD'), /^501 /);
  t.is(await smtp.say('MAIL FROM:<>'), '250 2.1.0 Ok');
  t.regex(await smtp.say('XFORWARD IDENT=ABC'), /^503 /);
  smtp.close();
});

test('commands out of order get 503, and the dialogue goes on', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  t.regex(await smtp.say('MAIL FROM:<a@b.example>'), /^503 /);
  await smtp.say('EHLO client');
  t.regex(await smtp.say('RCPT TO:<c@d.example>'), /^503 5\.5\.1/);
  await smtp.say('MAIL FROM:<a@b.example>');
  t.regex(await smtp.say('MAIL FROM:<a@b.example>'), /^503 5\.5\.1/);
  t.regex(await smtp.say('RCPT TO:<>'), /^501 5\.1\.3/);
  t.regex(await smtp.say('MAIL FROM:<a@b.example> X=1'), /^503 /);
  t.regex(await smtp.say('AUTH PLAIN'), /^500 /);
  t.regex(await smtp.say('VRFY <a@b.example>'), /^252 /);
  t.is(await smtp.say('NOOP'), '250 OK');
  t.is(doors.mails.length, 0);
  smtp.close();
});

for (const [what, before, answer] of [
  ['before EHLO', [], /^503 Error: send HELO/],
  ['without MAIL', ['EHLO c'], /^503 5\.5\.1/],
  ['without recipients', ['EHLO c', 'MAIL FROM:<a@b.example>'], /^554 5\.5\.1/],
  ['misspelt', ['EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>'], /^500 /],
] as const) {
  test(`DATA ${what} is refused, and a message that came with it was read as commands`, async (t) => {
    await using doors = await open();
    const smtp = await Dialogue.open(doors.listening.smtp);
    await smtp.sayAll(...before);
    const inside = 'EHLO c\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<v@d.example>\r\n';
    const verb = what === 'misspelt' ? 'DATA\t' : 'DATA';
    smtp.write(`${verb}\r\n${inside}DATA\r\nx\r\n.\r\n.\r\n`);
    t.regex(await smtp.reply(), answer);
    t.regex(await smtp.reply(), /^421 4\.5\.0/);
    t.is(await smtp.reply(), '');
    t.is(doors.mails.length, 0);
  });
}

test('BDAT is not offered, and its chunk is not read as commands', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  await smtp.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
  smtp.write('bdat 70 LAST\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n');
  t.regex(await smtp.reply(), /^421 4\.5\.1/);
  t.is(await smtp.reply(), '');
  t.is(doors.mails.length, 0);
});

test('too large is 552 5.3.4, at SIZE= and in DATA, and the connection lives on', async (t) => {
  await using doors = await open();
  for (const door of [doors.listening.smtp, doors.listening.lmtp]) {
    const dialogue = await Dialogue.open(door);
    await dialogue.say(door === doors.listening.lmtp ? 'LHLO c' : 'EHLO c');
    t.is(await dialogue.say('MAIL FROM:<a@b.example> SIZE=100001'), '552 5.3.4 Message too big');
    const envelope = ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>'];
    await dialogue.sayAll(...envelope);
    t.is(await dialogue.data(`${'x'.repeat(99_999)}\r\n`), '552 5.3.4 Message too big');
    await dialogue.sayAll(...envelope);
    t.is(await dialogue.data(`${'x'.repeat(99_998)}\r\n`), '250 2.6.0 taken');
    dialogue.close();
  }
  t.is(doors.mails.length, 2);
});

test('LMTP gives one reply for each accepted RCPT, repeated ones and refusals by size too', async (t) => {
  await using doors = await open({}, (mail) =>
    Promise.resolve(
      mail.recipients.map(({ address }, i) => ({ code: 250, text: `${i} ${address}` })),
    ),
  );
  const lmtp = await Dialogue.open(doors.listening.lmtp);
  await lmtp.sayAll(
    'LHLO c',
    'MAIL FROM:<a@b.example>',
    'RCPT TO:<x@d.example>',
    'RCPT TO:<X@d.example>',
    'RCPT TO:<bad',
    'RCPT TO:<x@d.example>',
  );
  t.is(await lmtp.data('m\r\n'), '250 0 x@d.example');
  t.deepEqual([await lmtp.reply(), await lmtp.reply()], ['250 1 X@d.example', '250 2 x@d.example']);
  await lmtp.sayAll('MAIL FROM:<a@b.example>', 'RCPT TO:<x@d.example>', 'RCPT TO:<y@d.example>');
  t.regex(await lmtp.data(`${'x'.repeat(200_000)}\r\n`), /^552 5\.3\.4/);
  t.regex(await lmtp.reply(), /^552 5\.3\.4/);
  t.is(await lmtp.say('NOOP'), '250 OK');
  lmtp.close();
});

test('a receiver that throws, or answers too little, is 451 for all', async (t) => {
  await using doors = await open({}, (mail) =>
    mail.sender === '' ? Promise.resolve([]) : Promise.reject(new Error('a bug')),
  );
  const lmtp = await Dialogue.open(doors.listening.lmtp);
  await lmtp.say('LHLO c');
  for (const sender of ['', 'a@b.example']) {
    await lmtp.sayAll(`MAIL FROM:<${sender}>`, 'RCPT TO:<x@d.example>', 'RCPT TO:<y@d.example>');
    t.regex(await lmtp.data('m\r\n'), /^451 4\.3\.0/);
    t.regex(await lmtp.reply(), /^451 4\.3\.0/);
  }
  t.is(await lmtp.say('NOOP'), '250 OK');
  lmtp.close();
});

test('a client that vanishes in DATA has sent no mail, wherever it stopped', async (t) => {
  await using doors = await open();
  const whole =
    'MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nb\r\n.\r\n';
  for (let cut = whole.indexOf('Subject'); cut < whole.length; cut++) {
    const smtp = await Dialogue.open(doors.listening.smtp);
    await smtp.say('EHLO c');
    smtp.write(whole.slice(0, cut));
    await smtp.reply();
    if (cut % 2) smtp.socket.resetAndDestroy();
    else {
      // Says FIN, as a client that ends in order; what came before is still no message.
      smtp.socket.end();
      await once(smtp.socket, 'close');
    }
  }
  t.is(doors.mails.length, 0);
  const smtp = await Dialogue.open(doors.listening.smtp);
  await smtp.say('EHLO c');
  smtp.write(whole);
  t.deepEqual(
    [await smtp.reply(), await smtp.reply(), (await smtp.reply()).slice(0, 3), await smtp.reply()],
    ['250 2.1.0 Ok', '250 2.1.5 Ok', '354', '250 2.6.0 taken'],
  );
  t.is(doors.mails.length, 1);
  smtp.close();
});

test('everything in one segment, mail after mail, is answered in order', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  const mail = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n..\r\n.\r\n';
  smtp.write(`EHLO c\r\n${mail.repeat(30)}QUIT\r\n`);
  const codes: string[] = [];
  for (let reply = await smtp.reply(); reply !== ''; reply = await smtp.reply()) {
    codes.push(reply.slice(0, 3));
  }
  const each = ['250', '250', '354', '250'];
  t.deepEqual(codes, ['250', ...Array.from({ length: 30 }, () => each).flat(), '221']);
  t.true(doors.mails.every(({ data }) => Buffer.from(data).equals(Buffer.from('.\r\n'))));
  t.is(doors.mails.length, 30);
});

test('more recipients than allowed get 452 one by one, the others are served', async (t) => {
  await using doors = await open();
  const smtp = await Dialogue.open(doors.listening.smtp);
  await smtp.sayAll('EHLO c', 'MAIL FROM:<a@b.example>');
  const replies = await smtp.sayAll(
    ...Array.from({ length: 7 }, (_, i) => `RCPT TO:<r${i}@d.example>`),
  );
  t.deepEqual(
    replies.map((reply) => reply.slice(0, 9)),
    [...Array.from({ length: 5 }, () => '250 2.1.5'), '452 4.5.3', '452 4.5.3'],
  );
  t.is(await smtp.data('m\r\n'), '250 2.6.0 taken');
  t.is(doors.mails[0]?.recipients.length, 5);
  smtp.close();
});

test('more connections than allowed get 421', async (t) => {
  await using doors = await open({ connectionsMax: 2 });
  const [first, second] = [
    await Dialogue.open(doors.listening.smtp),
    await Dialogue.open(doors.listening.smtp),
  ];
  const third = await Dialogue.open(doors.listening.smtp);
  t.is(await third.say('EHLO c'), '');
  t.regex(await first.say('EHLO c'), /^250/);
  first.close();
  second.close();
});

test('messages that together are more than memory allows get 452, and room comes back', async (t) => {
  const release = Promise.withResolvers<void>();
  await using doors = await open({ bufferedBytesMax: 120_000 }, async (mail) => {
    await release.promise;
    return mail.recipients.map(() => OK);
  });
  const begin = async (): Promise<Dialogue> => {
    const smtp = await Dialogue.open(doors.listening.smtp);
    await smtp.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
    return smtp;
  };
  const [first, second] = [await begin(), await begin()];
  const body = `${'x'.repeat(90_000)}\r\n`;
  const kept = first.data(body);
  while (doors.mails.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(await second.data(body), '452 4.3.1 Too much mail at once');
  release.resolve();
  t.is(await kept, '250 2.6.0 taken');
  await second.sayAll('MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
  t.is(await second.data(body), '250 2.6.0 taken');
  first.close();
  second.close();
});

test('small messages had to wait for minutes where large ones held all of the memory for messages', async (t) => {
  const release = Promise.withResolvers<void>();
  await using doors = await open(
    { bufferedBytesMax: 681_000, messageBytesMax: 500_000 },
    async (mail) => {
      if (mail.data.length > 100_000) await release.promise;
      return mail.recipients.map(() => OK);
    },
  );
  const begin = async (): Promise<Dialogue> => {
    const smtp = await Dialogue.open(doors.listening.smtp);
    await smtp.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
    return smtp;
  };
  const large = await Promise.all([begin(), begin(), begin()]);
  const [first, second, third] = large.map((smtp) => smtp.data(`${'x'.repeat(340_000)}\r\n`));
  t.is(await Promise.race([first, second, third]), '452 4.3.1 Too much mail at once');
  for (let i = 0; i < 20; i++) {
    const small = await begin();
    t.is(await small.data(`${'x'.repeat(2_000)}\r\n`), '250 2.6.0 taken');
    small.close();
  }
  release.resolve();
  const codes = (await Promise.all([first, second, third])).map((reply) => reply?.slice(0, 3));
  t.is(codes.filter((code) => code === '250').length, 1);
  for (const smtp of large) smtp.close();
});

test('a client that says nothing is let go with 421', async (t) => {
  await using doors = await open({ idleMsMax: 100 });
  const smtp = await Dialogue.open(doors.listening.smtp);
  t.regex(await smtp.reply(), /^421 /);
  t.is(await smtp.reply(), '');
});

test('a client that trickles a message held its memory for ever: it is let go with 421, and is no mail', async (t) => {
  await using doors = await open({
    idleMsMax: 5_000,
    messageMsMax: 300,
    messageBytesMax: 90_000,
    bufferedBytesMax: 100_000,
  });
  const smtp = await Dialogue.open(doors.listening.smtp);
  await smtp.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA');
  smtp.write('x'.repeat(80_000));
  const trickle = setInterval(() => smtp.write('x'), 20);
  t.regex(await smtp.reply(), /^421 4\.4\.2/);
  clearInterval(trickle);
  smtp.socket.end();
  t.is(await smtp.reply(), '');
  const other = await Dialogue.open(doors.listening.smtp);
  await other.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>');
  t.is(await other.data(`${'x'.repeat(80_000)}\r\n`), '250 2.6.0 taken');
  t.is(doors.mails.length, 1);
  other.close();
});

test('a stop finishes the mail under way, says 421 to the idle, and takes nothing new', async (t) => {
  const release = Promise.withResolvers<void>();
  const doors = await open({}, async (mail) => {
    await release.promise;
    return mail.recipients.map(() => OK);
  });
  const idle = await Dialogue.open(doors.listening.smtp);
  await idle.say('EHLO c');
  const working = await Dialogue.open(doors.listening.smtp);
  await working.sayAll('EHLO c', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA');
  working.write('m\r\n');
  const stopped = doors.listening.stop();
  t.is(await idle.reply(), '421 4.3.2 Shutting down');
  working.write('.\r\n');
  await t.throwsAsync(Dialogue.open(doors.listening.smtp), { message: /ECONNREFUSED/ });
  release.resolve();
  t.is(await working.reply(), '250 2.6.0 taken');
  t.is(await working.reply(), '421 4.3.2 Shutting down');
  t.is(await working.reply(), '');
  await stopped;
});

test('noise instead of commands ends in 421 and harms nobody', async (t) => {
  await using doors = await open();
  for (const noise of [
    Buffer.alloc(40_000, 'x'),
    Buffer.from('\0\r\n'.repeat(50)),
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 0xc4, 13, 10]),
  ]) {
    const smtp = await Dialogue.open(doors.listening.smtp);
    smtp.write(noise);
    smtp.write('\r\nQUIT\r\n');
    let last = '';
    for (let reply = await smtp.reply(); reply !== ''; reply = await smtp.reply()) last = reply;
    t.regex(last, /^(421|221) /);
  }
  const smtp = await Dialogue.open(doors.listening.smtp);
  t.regex(await smtp.say('EHLO c'), /^250/);
  smtp.close();
});
