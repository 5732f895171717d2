/** More mail than the storage holds: 451 in time, and everything that was accepted crosses by itself. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

/** 60 % of this is about four mails in fragments. */
const MAX_MEMORY_MB = 32;
const MAIL_BYTES = 3_000_000;
const MAILS_MAX = 12;
const PATIENCE_MS = 240_000;

let real: RealMixnet;

test.before(async () => {
  real = await startRealMixnet({ redisMaxMemoryMb: MAX_MEMORY_MB, ticksPerSecond: 15 });
});

test.after.always(async () => {
  await real?.stop();
});

test.serial(
  'a storage that fills up answers 451 within 30 s and drains with nobody’s help',
  async (t) => {
    const tally = new Tally();
    let full = '';
    let sent = 0;
    while (full === '' && sent < MAILS_MAX) {
      const to = `bob+${++sent}@beta.example`;
      const lines = randomBytes(MAIL_BYTES * 0.73)
        .toString('base64')
        .replaceAll(/.{76}/g, '$&\r\n');
      const message = Buffer.from(`Subject: ${sent}\r\n\r\n${lines}\r\n`);
      const data = Buffer.concat([Buffer.from('X-PANORAMIX-Mixable: yes\r\n'), message]);
      // Each of another user: one alone may not fill it.
      const from = `ada${sent}@alpha.example`;
      const mail = { from, to: [to], data, queueId: `FULL${sent}` };
      const startMs = Date.now();
      const [result] = await real.send('alpha', mail);
      t.true(Date.now() - startMs < 30_000);
      if (result?.outcome === 'accepted') tally.expect(to, message);
      else full = `${result?.reply.code} ${result?.reply.text}`;
      await sleep(300);
    }
    t.regex(full, /^451 4\.3\.1 /);
    t.true(tally.sent >= 2);
    const note = (): boolean => {
      for (const arrival of real.arrived()) tally.note(arrival);
      return tally.complete;
    };
    await until('all that was accepted arrives', note, PATIENCE_MS);
    t.is(tally.exact, tally.sent);
    t.is(tally.twice, 0);
    const data = Buffer.from('X-PANORAMIX-Mixable: yes\r\nSubject: after\r\n\r\nafter\r\n');
    await real.submit('alpha', {
      from: 'ada@alpha.example',
      to: ['eve@beta.example'],
      data,
      queueId: 'AFTER',
    });
    await until('mail is taken again', () => real.arrived().length > 0, 60_000);
  },
);
