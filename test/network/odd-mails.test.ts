/** Mails that are hard on every layer, across a mixnet of real processes. */
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import type { Arrival } from '../../src/cli/demo/arrivals.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const PATIENCE_MS = 180_000;
const OPT_IN = 'X-PANORAMIX-Mixable: yes\r\n';
const HEAD = 'From: ada@alpha.example\r\nSubject: odd\r\n\r\n';

let real: RealMixnet;
let number = 0;

test.before(async () => {
  real = await startRealMixnet({ ticksPerSecond: 15, messageBytesMax: 20_000_000 });
});

test.after.always(async () => {
  await real?.stop();
});

for (const [what, message] of [
  ['an empty body', Buffer.from('From: ada@alpha.example\r\nSubject: nothing\r\n\r\n')],
  ['no body at all', Buffer.from('Subject: nothing\r\n')],
  ['a line of 100 000 bytes', Buffer.from(`${HEAD}${'x'.repeat(100_000)}\r\n`)],
  ['a body of dots', Buffer.from(`${HEAD}${'.\r\n..\r\n...\r\n'.repeat(5000)}`)],
  ['NUL bytes', Buffer.from(`${HEAD}a\0b\0\0\r\n\0\r\n`)],
  ['UTF-8 headers', Buffer.from('From: Ädä <ada@alpha.example>\r\nSubject: Grüße €\r\n\r\nä\r\n')],
] as const) {
  test.serial(`${what}: crosses byte for byte`, async (t) => {
    const to = [`bob+${++number}@beta.example`];
    const arrival = await cross(t, to, message, /[^\0-\x7F]/.test(message.toString()));
    t.is(arrival.smtputf8, what === 'UTF-8 headers');
  });
}

test.serial('an address in UTF-8 crosses with SMTPUTF8', async (t) => {
  const arrival = await cross(t, ['jürgen@beta.example'], Buffer.from(`${HEAD}hello\r\n`), true);
  t.true(arrival.smtputf8);
});

test.serial('100 recipients over two providers: each once, one message to each exit', async (t) => {
  const to = Array.from({ length: 100 }, (_, i) => `r${i}@${i % 3 ? 'beta' : 'alpha'}.example`);
  const message = Buffer.from(`${HEAD}to many\r\n`);
  await real.submit('alpha', mailOf(to, message));
  const arrivals: Arrival[] = [];
  await until(
    'both arrive',
    () => {
      arrivals.push(...real.arrived());
      return arrivals.flatMap(({ recipients }) => recipients).length >= to.length;
    },
    PATIENCE_MS,
  );
  t.is(arrivals.length, 2);
  t.deepEqual(arrivals.flatMap(({ recipients }) => recipients).toSorted(), to.toSorted());
  for (const { data } of arrivals) t.true(message.equals(data));
});

test.serial('9 MB cross as hundreds of packets', async (t) => {
  const lines = randomBytes(6_750_000).toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  const message = Buffer.from(`${HEAD}${lines}\r\n`);
  t.true(message.length > 9_000_000);
  await cross(t, [`bob+${++number}@beta.example`], message);
});

test.serial('a mail over the announced size is refused with 552 5.3.4', async (t) => {
  const message = Buffer.alloc(20_000_100, 'x');
  const [result] = await real.send('alpha', mailOf(['big@beta.example'], message));
  t.is(result?.outcome, 'refused');
  t.like(result?.reply, { code: 552 });
  t.regex(result?.reply.text ?? '', /^5\.3\.4 /);
});

async function cross(
  t: ExecutionContext,
  to: readonly string[],
  message: Buffer,
  smtputf8 = false,
): Promise<Arrival> {
  await real.submit('alpha', { ...mailOf(to, message), smtputf8 });
  const arrivals: Arrival[] = [];
  await until(
    'the mail arrives',
    () => {
      arrivals.push(...real.arrived());
      return arrivals.length > 0;
    },
    PATIENCE_MS,
  );
  const [arrival] = arrivals as [Arrival];
  t.is(arrivals.length, 1);
  t.deepEqual(arrival.recipients, to);
  t.true(message.equals(arrival.data), `${arrival.data.length} bytes instead of ${message.length}`);
  return arrival;
}

function mailOf(to: readonly string[], message: Buffer) {
  const data = Buffer.concat([Buffer.from(OPT_IN), message]);
  return { from: 'ada@alpha.example', to, data, queueId: `ODD${++number}` };
}
