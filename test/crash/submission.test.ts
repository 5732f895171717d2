/** A user, a Postfix and a mailbox without a mixnet in between: what the ledger believes is so. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { Ledger } from './ledger.ts';
import { Mailboxes } from './mailboxes.ts';
import { mailOf, type MailKind } from './mails.ts';
import { Submission } from './submission.ts';

const RUN = 'r1';

/** A Postfix to which bob belongs, with his mailbox. */
async function start(t: ExecutionContext) {
  const domains = { 'beta.example': ['bob'], 'plain.beta.example': ['bob'] };
  const postfix = await startPostfix({ name: 'beta', domains });
  t.teardown(async () => await postfix.stop());
  // Where the far server takes mail, too, Received lines stay, which submission takes away.
  const submission = new Submission(postfix.ports.outside);
  t.teardown(() => submission.close());
  const mailboxes = new Mailboxes([mailFolder(postfix)], RUN);
  return { postfix, submission, mailboxes, ledger: new Ledger() };
}

function mailFolder({ folder }: PrivatePostfix): string {
  return join(folder, 'mail', 'beta.example', 'bob');
}

postfixTest('what is accepted lies in the mailbox, its bytes and its times known', async (t) => {
  const { submission, mailboxes, ledger } = await start(t);
  const fromMs = Date.now();
  const kinds: MailKind[] = ['small', 'middle', 'large'];
  for (const [i, kind] of kinds.entries()) {
    // Without the opt-in: nothing listens where it would go.
    const mail = mailOf(RUN, 2 * i, kind);
    ledger.offer(mail);
    const { from } = mail.direction;
    t.deepEqual(await submission.send(from, mail.to, mail.expected), { kind: 'accepted' });
    ledger.accept(mail.number);
  }
  for (let tries = 0; ledger.underWay > 0 && tries < 200; tries++) {
    for (const copy of await mailboxes.take()) {
      t.regex(copy.queueId, /^[0-9A-Za-z]{6,}$/);
      t.true(copy.takenAtMs >= fromMs - 1_000 && copy.takenAtMs <= copy.atMs);
      t.true(copy.atMs >= fromMs && copy.atMs <= Date.now());
      t.false(copy.isReport);
      ledger.arrive(copy);
    }
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
  t.like(ledger.verdict([]), { arrived: 3, lost: [], altered: [], twice: [], strangers: [] });
});

postfixTest(
  'a Postfix that is away refuses, and takes the same mail once it is back',
  async (t) => {
    const { postfix, submission } = await start(t);
    const mail = mailOf(RUN, 0, 'large');
    const { from } = mail.direction;
    const to = 'x@elsewhere.example';
    t.like(await submission.send('no address', to, mail.expected), { kind: 'refused' });
    t.deepEqual(await submission.send(from, mail.to, mail.expected), { kind: 'accepted' });
    await postfix.kill();
    t.like(await submission.send(from, mail.to, mail.expected), { kind: 'refused' });
    t.like(await submission.send(from, mail.to, mail.expected), { kind: 'refused' });
    await postfix.start();
    t.deepEqual(await submission.send(from, mail.to, mail.expected), { kind: 'accepted' });
  },
);

/** A server that takes all mail, and does something else with the line that ends so. */
async function startServer(
  t: ExecutionContext,
  lastWords: string,
  then: (socket: Socket) => void,
): Promise<number> {
  const server = createServer((socket) => {
    let heard = '';
    socket.on('error', () => undefined);
    socket.write('220 any\r\n');
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
      if (heard.endsWith(lastWords)) then(socket);
      else if (heard.endsWith('DATA\r\n')) socket.write('354 go on\r\n');
      else if (heard.endsWith('\r\n.\r\n')) {
        heard = '';
        socket.write('250 taken\r\n');
      } else if (heard.endsWith('\r\n') && !heard.includes('DATA\r\n')) {
        socket.write('250 any\r\n');
      }
    });
    t.teardown(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

for (const [where, lastWords, kind] of [
  ['at the last line', '\r\n.\r\n', 'unknown'],
  ['at DATA', 'DATA\r\n', 'refused'],
] as const) {
  for (const [what, then] of [
    ['breaks off', (socket: Socket) => socket.destroy()],
    ['is reset', (socket: Socket) => socket.resetAndDestroy()],
    ['hangs', () => undefined],
  ] as const) {
    test(`of a mail whose connection ${what} ${where} it is ${kind} whether it was taken`, async (t) => {
      const submission = new Submission(await startServer(t, lastWords, then), 300);
      const { direction, to, submitted } = mailOf(RUN, 0, 'small');
      t.is((await submission.send(direction.from, to, submitted)).kind, kind);
    });
  }
}

test('between two mails a connection may rest for longer than a reply may take', async (t) => {
  const submission = new Submission(await startServer(t, 'never', () => undefined), 200);
  t.teardown(() => submission.close());
  const { direction, to, submitted } = mailOf(RUN, 0, 'small');
  for (let mails = 0; mails < 3; mails++) {
    t.deepEqual(await submission.send(direction.from, to, submitted), { kind: 'accepted' });
    await new Promise((resolve) => void setTimeout(resolve, 500));
  }
});

test('a run names its mails, and no other run its own', (t) => {
  t.notDeepEqual(mailOf('r1', 0, 'small').expected, mailOf('r2', 0, 'small').expected);
});
