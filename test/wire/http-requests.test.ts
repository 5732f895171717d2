import test from 'ava';
import { RequestReader, type SeenRequest } from './http-requests.ts';

const POST = 'POST /a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello';
const GET = 'GET /c HTTP/1.1\r\nHost: x\r\n\r\n';

function read(chunks: readonly (readonly [number, string])[]): SeenRequest[] {
  const seen: SeenRequest[] = [];
  const reader = new RequestReader((request) => seen.push(request));
  for (const [atMs, text] of chunks) reader.read(Buffer.from(text, 'latin1'), atMs);
  return seen;
}

test('requests are found however the connection cuts them', (t) => {
  const whole = POST + GET + POST;
  for (let size = 1; size <= whole.length; size++) {
    const chunks = Array.from(
      { length: Math.ceil(whole.length / size) },
      (_, i): [number, string] => [i, whole.slice(i * size, (i + 1) * size)],
    );
    const seen = read(chunks);
    t.deepEqual(
      seen.map(({ method, target, bytes, body }) => [method, target, bytes, body.toString()]),
      [
        ['POST', '/a?b=1', POST.length, 'hello'],
        ['GET', '/c', GET.length, ''],
        ['POST', '/a?b=1', POST.length, 'hello'],
      ],
    );
  }
});

test('a request began with its first byte and ended with its last', (t) => {
  const [first, second] = read([
    [10, POST.slice(0, 20)],
    [15, POST.slice(20)],
    [30, GET],
  ]);
  t.deepEqual([first?.beganMs, first?.endedMs], [10, 15]);
  t.deepEqual([second?.beganMs, second?.endedMs], [30, 30]);
  t.is(first?.headers.get('host'), 'x');
});

test('what is no HTTP of ours is said, not passed over', (t) => {
  t.throws(() => read([[0, 'EHLO mail.example\r\n\r\n']]));
  t.throws(() => read([[0, 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n']]));
  t.throws(() => read([[0, 'x'.repeat(70_000)]]));
});
