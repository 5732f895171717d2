/** What stands on the wire when we are the client, against a server that keeps every byte. */
import test from 'ava';
import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { canonicalise } from '../../src/mail/message.ts';
import { Submitter, type SubmitterOptions } from '../../filters/submit.ts';
import type { OutgoingMail } from '../../filters/smtp-client.ts';
import { RawServer, type RawServerOptions } from './raw-server.ts';

const FIXTURES = new URL('../fixtures/mail/', import.meta.url);

interface Wire extends AsyncDisposable {
  readonly server: RawServer;
  readonly submitter: Submitter;
}

async function open(
  server: RawServerOptions = {},
  options: Partial<SubmitterOptions> = {},
): Promise<Wire> {
  const raw = await RawServer.start(server);
  const submitter = new Submitter({ server: raw.address, hostname: 'filter.example', ...options });
  return {
    server: raw,
    submitter,
    async [Symbol.asyncDispose]() {
      await submitter.close();
      await raw.stop();
    },
  };
}

function mail(change: Partial<OutgoingMail> = {}): OutgoingMail {
  return {
    sender: 'a@b.example',
    recipients: [{ address: 'c@d.example' }],
    body: '7BIT',
    smtputf8: false,
    data: Buffer.from('Subject: x\r\n\r\nbody\r\n'),
    ...change,
  };
}

test('BODY, SIZE, SMTPUTF8, RET, ENVID, XFORWARD and each recipient’s own DSN stand on the wire', async (t) => {
  await using wire = await open();
  const results = await wire.submitter.send(
    mail({
      sender: '"a>b"@b.example',
      recipients: [
        { address: '"x y"@d.example', notify: 'NEVER', orcpt: 'rfc822;o+2Bp@q.example' },
        { address: 'z@xn--bcher-kva.example', notify: 'SUCCESS,FAILURE' },
        { address: 'plain@d.example' },
      ],
      body: '8BITMIME',
      smtputf8: true,
      ret: 'HDRS',
      envid: 'e+2B1',
      queueId: '607F525845C',
    }),
  );
  t.deepEqual(wire.server.lines, [
    'EHLO filter.example',
    'XFORWARD IDENT=607F525845C',
    'MAIL FROM:<"a>b"@b.example> SIZE=20 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+2B1',
    'RCPT TO:<"x y"@d.example> NOTIFY=NEVER ORCPT=rfc822;o+2Bp@q.example',
    'RCPT TO:<z@xn--bcher-kva.example> NOTIFY=SUCCESS,FAILURE',
    'RCPT TO:<plain@d.example>',
    'DATA',
  ]);
  t.deepEqual(
    results.map(({ address, outcome }) => [address, outcome]),
    [
      ['"x y"@d.example', 'accepted'],
      ['z@xn--bcher-kva.example', 'accepted'],
      ['plain@d.example', 'accepted'],
    ],
  );
  t.is(results[0]?.reply.text, '2.0.0 Ok: queued as RAW1');
});

test('SMTPUTF8 is said as it was heard, also when only the header needs it', async (t) => {
  await using wire = await open();
  await wire.submitter.send(mail({ smtputf8: true, data: Buffer.from('Subject: é\r\n\r\n') }));
  await wire.submitter.send(mail({ sender: '', recipients: [{ address: 'é@d.example' }] }));
  t.deepEqual(
    wire.server.lines.filter((line) => line.startsWith('MAIL')),
    ['MAIL FROM:<a@b.example> SIZE=15 BODY=7BIT SMTPUTF8', 'MAIL FROM:<> SIZE=20 BODY=7BIT'],
  );
});

test('what the server does not announce is not said; SMTPUTF8 that is needed then waits', async (t) => {
  await using wire = await open({ extensions: [] });
  const full = mail({
    body: '8BITMIME',
    ret: 'FULL',
    envid: 'x',
    queueId: 'ABC',
    recipients: [{ address: 'c@d.example', notify: 'NEVER', orcpt: 'rfc822;x' }],
  });
  const [result] = await wire.submitter.send(full);
  t.is(result?.outcome, 'accepted');
  t.deepEqual(wire.server.lines, [
    'EHLO filter.example',
    'MAIL FROM:<a@b.example>',
    'RCPT TO:<c@d.example>',
    'DATA',
  ]);
  const [waits] = await wire.submitter.send(mail({ smtputf8: true }));
  t.is(waits?.outcome, 'deferred');
  t.is(wire.server.mails.length, 1);
});

test('every recipient’s reply is its own', async (t) => {
  await using wire = await open({
    answer: (line) =>
      line.includes('<no@')
        ? '550-5.1.1 No such\r\n550 5.1.1 user'
        : line.includes('<later@')
          ? '450 4.2.1 Full'
          : undefined,
  });
  const results = await wire.submitter.send(
    mail({
      recipients: ['yes@d.example', 'no@d.example', 'later@d.example'].map((address) => ({
        address,
      })),
    }),
  );
  t.deepEqual(results, [
    {
      address: 'yes@d.example',
      outcome: 'accepted',
      reply: { code: 250, text: '2.0.0 Ok: queued as RAW1' },
    },
    {
      address: 'no@d.example',
      outcome: 'refused',
      reply: { code: 550, text: '5.1.1 No such 5.1.1 user' },
    },
    { address: 'later@d.example', outcome: 'deferred', reply: { code: 450, text: '4.2.1 Full' } },
  ]);
  t.is(wire.server.mails.length, 1);
});

/** What the server does, and what every recipient's outcome is then. */
const FAILURES: readonly [
  answers: Readonly<Record<string, string>>,
  outcome: string,
  reply: RegExp,
  why: string,
][] = [
  [{ CONNECT: '554 no' }, 'deferred', /^451 4\.4\.2/, 'no greeting but 554: nothing is known'],
  [{ CONNECT: 'drop' }, 'deferred', /^451 4\.4\.2/, 'hangs up at once'],
  [{ CONNECT: 'hang' }, 'deferred', /^451 4\.4\.2/, 'never greets'],
  [{ EHLO: 'drop' }, 'deferred', /^451 4\.4\.2/, 'hangs up at EHLO'],
  [{ MAIL: '552 5.3.4 too big' }, 'refused', /^552 5\.3\.4 too big/, 'refuses the size'],
  [{ MAIL: '451 4.3.1 full' }, 'deferred', /^451 4\.3\.1 full/, 'is full'],
  [{ MAIL: 'drop' }, 'deferred', /^451 4\.4\.2/, 'hangs up at MAIL'],
  [{ MAIL: '421 4.3.2 bye' }, 'deferred', /^4[25]1 4/, 'says 421 at MAIL'],
  [{ RCPT: '550 5.1.1 no' }, 'refused', /^550 5\.1\.1 no/, 'knows no recipient'],
  [{ DATA: '451 4.5.0 no' }, 'deferred', /^451 4\.5\.0 no/, 'takes no DATA'],
  [{ DATA: '554 5.5.1 no' }, 'refused', /^554 5\.5\.1 no/, 'refuses DATA'],
  [{ DATA: '250 2.0.0 Ok' }, 'deferred', /^451 4\.5\.0/, 'says yes to DATA and asks for nothing'],
  [{ DATA: 'drop' }, 'deferred', /^451 4\.4\.2/, 'hangs up at DATA'],
  [{ 'DATA END': '550 5.7.1 spam' }, 'refused', /^550 5\.7\.1 spam/, 'refuses the content'],
  [
    { 'DATA END': '550 5.7.1 a\r250 b\0' },
    'refused',
    /^550 5\.7\.1 a 250 b $/,
    'hides a line in one',
  ],
  [{ CONNECT: '0-\n250 Ok\n' }, 'deferred', /^451 4\.4\.2 [ -~]+$/, 'greets with lines of its own'],
  [{ 'DATA END': '451 4.7.1 later' }, 'deferred', /^451 4\.7\.1 later/, 'greylists'],
  [{ 'DATA END': 'drop' }, 'deferred', /^451 4\.4\.2/, 'hangs up instead of an answer'],
  [{ 'DATA END': 'hang' }, 'deferred', /^451 4\.4\.2/, 'never answers'],
  [{ 'DATA END': 'garbage' }, 'deferred', /^451 /, 'answers what is no reply'],
  [{ XFOR: '550 5.7.0 no' }, 'accepted', /^250 /, 'does not want XFORWARD after all'],
];

for (const [answers, outcome, reply, why] of FAILURES) {
  test(`a server that ${why}: ${outcome}`, async (t) => {
    // Short limits only where nothing else ends the wait: a busy machine is slow to answer, too.
    const hangs = Object.values(answers).includes('hang');
    await using wire = await open(
      { answer: (line) => answers[line] ?? answers[line.slice(0, 4)] },
      hangs ? { replyMsMax: 500, dataMsMax: 500 } : {},
    );
    const two = [{ address: 'c@d.example' }, { address: 'e@d.example' }];
    const results = await wire.submitter.send(mail({ recipients: two, queueId: 'ABC' }));
    t.deepEqual(
      results.map((result) => result.outcome),
      [outcome, outcome],
    );
    for (const result of results) t.regex(`${result.reply.code} ${result.reply.text}`, reply);
  });
}

test('nobody listening is temporary', async (t) => {
  const raw = await RawServer.start();
  const { address } = raw;
  await raw.stop();
  const submitter = new Submitter({ server: address, hostname: 'filter.example' });
  const [result] = await submitter.send(mail());
  t.is(result?.outcome, 'deferred');
});

test('a connection serves mail after mail, also after a refusal', async (t) => {
  let refuse = true;
  await using wire = await open({
    answer: (line) => (line.startsWith('RCPT') && refuse ? '450 4.2.0 not now' : undefined),
  });
  t.is((await wire.submitter.send(mail()))[0]?.outcome, 'deferred');
  refuse = false;
  for (let i = 0; i < 5; i++) t.is((await wire.submitter.send(mail()))[0]?.outcome, 'accepted');
  t.is(wire.server.connections, 1);
  t.true(wire.server.lines.includes('RSET'));
});

test('a connection that is not to be reset is not used again', async (t) => {
  let refuse = true;
  await using wire = await open({
    answer: (line) => (refuse && /^(?:RCPT|RSET)/.test(line) ? '450 4.2.0 not now' : undefined),
  });
  t.is((await wire.submitter.send(mail()))[0]?.outcome, 'deferred');
  refuse = false;
  t.is((await wire.submitter.send(mail()))[0]?.outcome, 'accepted');
  t.is(wire.server.connections, 2);
});

test('a kept connection that the server has closed meanwhile costs nothing', async (t) => {
  let closing = false;
  await using wire = await open({
    answer: (line) =>
      line.startsWith('MAIL') && closing ? ((closing = false), 'drop') : undefined,
  });
  await wire.submitter.send(mail());
  closing = true;
  t.is((await wire.submitter.send(mail()))[0]?.outcome, 'accepted');
  t.is(wire.server.connections, 2);
  t.is(wire.server.mails.length, 2);
});

test('no more connections at once than allowed, and everyone’s turn comes', async (t) => {
  await using wire = await open({}, { connectionsMax: 3 });
  const all = await Promise.all(Array.from({ length: 40 }, () => wire.submitter.send(mail())));
  t.true(all.every(([result]) => result?.outcome === 'accepted'));
  t.true(wire.server.connections <= 3, `${wire.server.connections} connections`);
  t.is(wire.server.mails.length, 40);
});

test('a message cut short is never a whole one', async (t) => {
  // Takes the envelope and says 354, then does not read until our time is up in mid-message.
  const received: Buffer[] = [];
  const closed = Promise.withResolvers<void>();
  const slow = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('close', () => closed.resolve());
    socket.write('220 slow\r\n');
    let inData = false;
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk);
      if (inData) return;
      const lines = chunk.toString('latin1').split('\r\n').slice(0, -1);
      inData = lines.includes('DATA');
      for (const line of lines) socket.write(line === 'DATA' ? '354 go\r\n' : '250 ok\r\n');
      if (!inData) return;
      socket.pause();
      setTimeout(() => socket.resume(), 300);
    });
  });
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  const submitter = new Submitter({
    server: { host: '127.0.0.1', port: (slow.address() as AddressInfo).port },
    hostname: 'filter.example',
    dataMsMax: 100,
  });
  const data = Buffer.alloc(30_000_000, 'xxxxxxxxx.xxxxxx\r\n');
  const [result] = await submitter.send(mail({ data: canonicalise(data) }));
  t.is(result?.outcome, 'deferred');
  await closed.promise;
  t.is(Buffer.concat(received).indexOf('\r\n.\r\n'), -1);
  slow.close();
});

test('any bytes, made canonical, arrive as they left', async (t) => {
  await using wire = await open();
  const parts = fc.constantFrom('\r', '\n', '\r\n', '.', '..', '\r\n.\r\n', 'a', '\0', '\xff');
  const lines = fc
    .array(parts, { maxLength: 50 })
    .map((all) => Buffer.from(all.join(''), 'latin1'));
  await fc.assert(
    fc.asyncProperty(fc.oneof(lines, fc.uint8Array({ maxLength: 300 })), async (bytes) => {
      const data = canonicalise(bytes);
      const [result] = await wire.submitter.send(mail({ data }));
      t.is(result?.outcome, 'accepted');
      t.true(wire.server.mails.at(-1)?.data.equals(data));
    }),
    { numRuns: 300 },
  );
});

test('every odd mail of our own arrives as it left, and so do nine megabytes of dots', async (t) => {
  await using wire = await open();
  const files = readdirSync(FIXTURES).filter((name) => name.endsWith('.eml'));
  t.true(files.length >= 55);
  const mails = files.map((name) => readFileSync(new URL(name, FIXTURES)));
  for (const bytes of [...mails, Buffer.alloc(9_000_000, '.\r\n'), Buffer.alloc(100_000, 'x')]) {
    const data = canonicalise(bytes);
    const [result] = await wire.submitter.send(mail({ data }));
    t.is(result?.outcome, 'accepted');
    t.true(wire.server.mails.at(-1)?.data.equals(data));
  }
});
