import test from 'ava';
import { CommandReader, ReplyReader } from './resp.ts';

const COMMANDS = [
  '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n',
  '*3\r\n$3\r\nSET\r\n$0\r\n\r\n$6\r\na\r\n$b\n\r\n',
  '*1\r\n$4\r\nPING\r\n',
];
/** Of RESP2 and RESP3; each answers one command, but for the push. */
const REPLIES = [
  '+OK\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '$5\r\na\r\nbc\r\n',
  '*3\r\n:1\r\n*2\r\n$1\r\nx\r\n_\r\n-ERR no\r\n',
  '%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n',
  '>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n',
  '~2\r\n,1.5\r\n(12\r\n',
  '|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n',
  '=7\r\ntxt:abc\r\n',
];

test('commands are taken apart, wherever their bytes are cut', (t) => {
  const all = Buffer.from(COMMANDS.join(''), 'latin1');
  for (let cut = 0; cut <= all.length; cut++) {
    const reader = new CommandReader();
    const found = [all.subarray(0, cut), all.subarray(cut)].flatMap((part) => reader.read(part));
    t.deepEqual(
      found.map(({ bytes }) => bytes.toString('latin1')),
      COMMANDS,
      `cut at ${cut}`,
    );
    t.deepEqual(found[1]?.words.map(String), ['SET', '', 'a\r\n$b\n']);
  }
});

test('a command of a megabyte in many pieces is one', (t) => {
  const value = Buffer.alloc(1024 * 1024, 'v');
  const all = Buffer.concat([
    Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${value.length}\r\n`),
    value,
    Buffer.from('\r\n'),
  ]);
  const reader = new CommandReader();
  const found = Array.from({ length: Math.ceil(all.length / 16_384) }, (_, i) =>
    reader.read(all.subarray(i * 16_384, (i + 1) * 16_384)),
  ).flat();
  t.is(found.length, 1);
  t.deepEqual(found[0]?.words[2], value);
  t.deepEqual(found[0]?.bytes, all);
});

test('what is no command is refused', (t) => {
  t.throws(() => new CommandReader().read(Buffer.from('PING\r\n')), { message: /no command/ });
});

test('replies are taken apart, wherever their bytes are cut', (t) => {
  const all = Buffer.from(REPLIES.join(''), 'latin1');
  for (let cut = 0; cut <= all.length; cut++) {
    const reader = new ReplyReader();
    const found = [all.subarray(0, cut), all.subarray(cut)].flatMap((part) => reader.read(part));
    t.deepEqual(
      found.map(({ bytes }) => bytes.toString('latin1')),
      REPLIES,
      `cut at ${cut}`,
    );
    t.deepEqual(
      found.flatMap(({ isAnswer }, i) => (isAnswer ? [] : [i])),
      [7],
      'a push answers nothing',
    );
  }
});

test('what is no reply is refused', (t) => {
  t.throws(() => new ReplyReader().read(Buffer.from('HTTP/1.1 200\r\n')), { message: /no reply/ });
});
