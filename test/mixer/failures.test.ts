import test from 'ava';
import { fromUtf8, toHex, toUtf8 } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import type { Report } from '../../src/mail/report.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';
import { temporaryStore } from '../redis/private-redis.ts';
import { exitFailures } from './exit-failures.ts';

const gateway = (number: number, ...domains: string[]) =>
  madeNode(number, { domains, roles: ['gateway'] });
const near = gateway(1, 'near.test');
const far = gateway(2, 'far.test', 'far2.test');
const bank = gateway(3, 'bank.test');
const directory = madeDirectory([near, far, bank], {});
const data = fromUtf8('Subject: x\r\n\r\nbody\r\n');

test('an exit reports in its own name, whoever else the mail was for', async (t) => {
  const store = await temporaryStore(t);
  const reports: Report[] = [];
  const { failures, bounces } = exitFailures(store, native.random(32), directory, {
    me: far.peerId,
    reporter: {
      keep: async (_id, _to, report) => {
        reports.push(report);
        return await Promise.resolve('kept');
      },
    },
  });
  const rows = [
    [['bob@bank.test', 'bob@FAR2.test'], 'far2.test'],
    [['bob@bank.test'], 'far.test'],
    [['bob@wider.example'], 'far.test'],
    [['bob@far.test'], 'far.test'],
  ] as const;
  for (const [addresses, name] of rows) {
    const envelope = {
      mixnet: directory.mixnetId,
      messageId: toHex(native.random(16)),
      exit: far.peerId,
      gateway: near.peerId,
      from: 'ada@near.test',
      recipients: addresses.map((address) => ({ address })),
      body: '8BITMIME',
      smtputf8: false,
      bytes: data.length,
      sha256: toHex(native.sha256(data)),
      expiryMs: 1,
    } as const;
    const failed = addresses.map((address) => ({ address, reason: 'mail-expired', reply: '' }));
    await failures.failed(envelope, data, failed);
    const text = toUtf8(reports.pop()?.data ?? new Uint8Array());
    t.regex(text, new RegExp(`^From: Mail delivery <MAILER-DAEMON@${name}>\r$`, 'm'));
    t.regex(text, new RegExp(`^Reporting-MTA: dns; ${name}\r$`, 'm'));
    t.notRegex(text, /(?:MAILER-DAEMON|dns;).*(?:bank|wider)/);
    const said = {
      original: null,
      final: addresses[0],
      action: 'failed',
      status: '5.1.1',
    } as const;
    await bounces.remember(envelope, data);
    await bounces.bounced(envelope.messageId, [{ ...said, reply: null }]);
    const bounce = toUtf8(reports.pop()?.data ?? new Uint8Array());
    t.regex(bounce, new RegExp(`^Reporting-MTA: dns; ${name}\r$`, 'm'));
  }
});
