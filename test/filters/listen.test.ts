import test from 'ava';
import { listen } from '../../filters/listen.ts';
import { silentLog } from '../../src/log.ts';

const options = {
  lmtp: null,
  smtp: null,
  hostname: 'filter.example',
  messageBytesMax: 1000,
  recipientsMax: 1,
  receive: () => Promise.resolve([]),
  log: silentLog,
};

test('an address beyond loopback is refused unless it is configured', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
    const error = await t.throwsAsync(listen({ ...options, smtp: { host, port: 0 } }));
    t.like(error, { code: 'config-invalid' });
  }
  const open = await listen({ ...options, smtp: { host: '0.0.0.0', port: 0 }, allowRemote: true });
  t.is(open.smtp?.host, '0.0.0.0');
  t.is(open.lmtp, null);
  await open.stop();
});

test('a port that is taken is said so, and the other door is shut again', async (t) => {
  const first = await listen({ ...options, smtp: { host: '127.0.0.1', port: 0 } });
  const error = await t.throwsAsync(
    listen({ ...options, lmtp: { host: '127.0.0.1', port: 0 }, smtp: first.smtp }),
  );
  t.like(error, { code: 'listen-failed' });
  t.regex(error?.message ?? '', /gateway\.smtp: \S+ cannot be listened on: listen EADDRINUSE/);
  await first.stop();
});
