import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dialogue } from './dialogue.ts';
import { HttpDialogue, KnownNodes } from './http-dialogue.ts';
import { BULLMQ_SCRIPTS, RedisDialogue } from './redis-dialogue.ts';
import { SmtpDialogue } from './smtp-dialogue.ts';
import type { Frame, HttpFrame, RedisFrame } from './step.ts';

/** What a client or a server has said, by turns. */
type Turn = readonly ['client' | 'server', string];

/** A session with Postfix as its client: it sends MAIL, RCPT and DATA together. */
const SMTP: readonly Turn[] = [
  ['server', '220 alpha.example ESMTP\r\n'],
  ['client', 'EHLO mail.alpha.example\r\n'],
  ['server', '250-alpha.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n'],
  ['client', 'MAIL FROM:<a@alpha.example>\r\nRCPT TO:<b@beta.example>\r\nDATA\r\n'],
  ['server', '250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n'],
  ['client', 'Subject: x\r\n\r\n..\r\nMAIL FROM:<c@d>\r\n.x\r\n.\r\n'],
  ['server', '250 2.6.0 queued\r\n'],
  ['client', 'MAIL FROM:<>\r\nRCPT TO:<b@beta.example>\r\nDATA\r\n'],
  ['server', '250 Ok\r\n250 Ok\r\n354 Go\r\n'],
  ['client', '.\r\n'],
  ['server', '250 empty\r\n'],
  ['client', 'QUIT\r\n'],
  ['server', '221 Bye\r\n'],
];

const LMTP: readonly Turn[] = [
  ['server', '220 ready\r\n'],
  [
    'client',
    'LHLO a\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nRCPT TO:<c@c>\r\nRCPT TO:<d@d>\r\nDATA\r\n',
  ],
  ['server', '250 a\r\n250 Ok\r\n250 Ok\r\n550 No\r\n250 Ok\r\n354 Go\r\n'],
  ['client', 'x\r\n.\r\n'],
  ['server', '250 one\r\n451 two\r\n'],
  ['client', 'RSET\r\n'],
  ['server', '250 Ok\r\n'],
];

const KEY = 'ab'.repeat(32);
const BODY = `{"data":0,"meta":{"key_data":"${KEY}"}}`;
const HTTP: readonly Turn[] = [
  [
    'client',
    'GET /panoramix/messages?box=INBOX&wait=20000 HTTP/1.1\r\nHost: a\r\n' +
      `Signature-Input: sig1=("@method");created=1;keyid="${KEY}";alg="ed25519"\r\n\r\n`,
  ],
  [
    'server',
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"data":1',
  ],
  [
    'client',
    'POST /panoramix/messages/ HTTP/1.1\r\nHost: a\r\ncontent-length: ' +
      `${BODY.length}\r\n\r\n${BODY}`,
  ],
  ['server', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nDate: x\r\n\r\n'],
  ['client', 'HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['server', 'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n'],
  [
    'client',
    'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /y HTTP/1.1\r\n\r\n',
  ],
  [
    'server',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n' +
      'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
  ],
];

test('SMTP is read as commands and ends of messages, with the reply to each', (t) => {
  const { frames, answers } = everyCut(t, () => new SmtpDialogue(), SMTP);
  t.deepEqual(
    frames.map((frame) => frame.protocol === 'smtp' && frame.command),
    ['EHLO', 'MAIL', 'RCPT', 'DATA', '.', 'MAIL', 'RCPT', 'DATA', '.', 'QUIT'],
  );
  t.deepEqual(answers, [null, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 'the greeting answers nothing');
});

test('the end of a message passes apart from the message', (t) => {
  const dialogue = new SmtpDialogue();
  for (const [who, text] of SMTP.slice(0, 5)) {
    if (who === 'client') dialogue.requests(Buffer.from(text));
    else dialogue.replies(Buffer.from(text));
  }
  const requests = dialogue.requests(Buffer.from('one\r\ntwo\r\n.\r\n'));
  t.deepEqual(
    requests.map(({ bytes, frame }) => [bytes.toString(), frame?.protocol]),
    [
      ['one\r\ntwo\r\n', undefined],
      ['.\r\n', 'smtp'],
    ],
  );
});

test('LMTP answers to the end of a message for each recipient that was taken', (t) => {
  const { frames, answers } = everyCut(t, () => new SmtpDialogue(), LMTP);
  t.is(frames.length, 8);
  t.deepEqual(answers, [null, 0, 1, 2, 3, 4, 5, 6, null, 7]);
});

test('HTTP is read as whole requests and answers, with who signed', (t) => {
  const { frames, answers } = everyCut(t, () => new HttpDialogue(), HTTP);
  const requests = frames as HttpFrame[];
  t.deepEqual(
    requests.map(({ method, path, signer }) => [method, path, signer]),
    [
      ['GET', '/panoramix/messages', KEY],
      ['POST', '/panoramix/messages/', KEY],
      ['HEAD', '/health', null],
      ['POST', '/x', null],
      ['GET', '/y', null],
    ],
  );
  t.deepEqual(answers, [0, null, 1, 2, 3, 4]);
  t.is(requests[0]?.query.get('wait'), '20000');
});

test('a node is known by the INBOX that it lists', (t) => {
  const nodes = new KnownNodes();
  const [list, post] = new HttpDialogue()
    .requests(Buffer.from(`${HTTP[0]?.[1]}${HTTP[2]?.[1]}`))
    .map(({ frame }) => frame as HttpFrame);
  nodes.learn(post as HttpFrame, 'beta.controller');
  t.is(nodes.nameOf(KEY), null, 'others post there, too');
  nodes.learn(list as HttpFrame, 'alpha.controller');
  t.is(nodes.nameOf(KEY), 'alpha');
});

test('a transaction of Redis is one frame, at its EXEC', (t) => {
  const { frames, answers } = everyCut(t, () => new RedisDialogue(), [
    ['client', command('GET', 'a') + command('MULTI') + command('HSET', 'b', 'c', 'd')],
    ['client', command('PEXPIREAT', 'b', '1') + command('EXEC') + command('DEL', 'e')],
    ['server', '+x\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:1\r\n:0\r\n'],
  ]);
  const own = (frames as RedisFrame[]).filter((frame) => frame.command !== '');
  t.deepEqual(
    own.map((frame) => [frame.command, frame.keys]),
    [
      ['GET', ['a']],
      ['MULTI', []],
      ['EXEC', ['b', 'b']],
      ['DEL', ['e']],
    ],
  );
  t.true(own[2]?.words.includes('HSET'));
  t.deepEqual(answers, [0, 1, 2, 3, 4, 5]);
});

test("BullMQ's scripts are known by name, whether their text or its hash is sent", (t) => {
  const content = BULLMQ_SCRIPTS.find(({ name }) => name === 'moveToFinished')?.content ?? '';
  const dialogue = new RedisDialogue();
  const [byText] = dialogue.requests(Buffer.from(command('EVAL', content, '1', 'p:mail:wait')));
  t.like(byText?.frame, { script: 'moveToFinished', keys: ['p:mail:wait'] });
  const [ours] = dialogue.requests(Buffer.from(command('evalsha', 'ab', '2', 'k', 'l', 'v')));
  t.like(ours?.frame, { command: 'EVALSHA', script: '', keys: ['k', 'l'] });
  const [, next] = dialogue.requests(
    Buffer.from(command('INFO') + command('EVALSHA', 'cd', '1', 'm')),
  );
  t.like(next?.frame, { keys: ['m'], previousKeys: ['k', 'l'] });
});

test('who visits a store is no program', (t) => {
  const dialogue = new RedisDialogue();
  const frames = dialogue
    .requests(
      Buffer.from(
        command('client', 'setname', 'panoramix:visitor:1:x:y') + command('CONFIG', 'GET'),
      ),
    )
    .map(({ frame }) => (frame as RedisFrame).command);
  t.deepEqual(frames, ['', '']);
});

/** Reads a dialogue whole, and again with each of its turns cut in two at each place: always the same. */
function everyCut(
  t: ExecutionContext,
  open: () => Dialogue,
  turns: readonly Turn[],
): { readonly frames: readonly Frame[]; readonly answers: readonly (number | null)[] } {
  const whole = read(open(), turns, null);
  t.is(whole.bytes, turns.map(([, text]) => text).join(''), 'every byte passes');
  for (const [place, [, text]] of turns.entries()) {
    for (let at = 1; at < text.length; at++) {
      const cut = read(open(), turns, { place, at });
      if (JSON.stringify(cut) === JSON.stringify(whole)) continue;
      t.deepEqual(cut, whole, `turn ${place} cut at ${at}`);
      return whole;
    }
  }
  return whole;
}

function read(
  dialogue: Dialogue,
  turns: readonly Turn[],
  cut: { readonly place: number; readonly at: number } | null,
): { frames: Frame[]; answers: (number | null)[]; bytes: string } {
  const frames: Frame[] = [];
  const answers: (number | null)[] = [];
  let bytes = '';
  for (const [place, [who, text]] of turns.entries()) {
    const at = cut?.place === place ? cut.at : text.length;
    for (const part of [text.slice(0, at), text.slice(at)].map((each) => Buffer.from(each))) {
      if (who === 'client') {
        for (const request of dialogue.requests(part)) {
          bytes += request.bytes.toString();
          if (request.frame !== null) frames.push(request.frame);
        }
      } else {
        for (const reply of dialogue.replies(part)) {
          bytes += reply.bytes.toString();
          answers.push(reply.answers);
        }
      }
    }
  }
  return { frames, answers, bytes };
}

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
