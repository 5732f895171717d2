/** A directory that has expired: mail waits, the operator reads why, and nobody's help is needed after. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { readStatus } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const LIFETIME_MS = 15_000;
const PATIENCE_MS = 90_000;

let real: RealMixnet;

test.before(async () => {
  real = await startRealMixnet({ snapshotLifetimeMs: LIFETIME_MS });
});

test.after.always(async () => {
  await real?.stop();
});

test.serial(
  'an expired directory: 451 and the reason; a new one is agreed on unattended, then the mail crosses',
  async (t) => {
    const config = readConfig(real.mixnet.gateway('alpha').nodeConfig);
    const meetingPlace = real.mixnet.controllers[0];
    await meetingPlace?.kill();
    await until(
      'the directory expires',
      async () => (await readStatus(config)).directory?.state === 'directory-expired',
      PATIENCE_MS,
    );
    const data = fromUtf8('X-PANORAMIX-Mixable: yes\r\nSubject: late\r\n\r\nlate\r\n');
    const mail = { from: 'ada@alpha.example', to: ['bob@beta.example'], data, queueId: 'EXP1' };
    const [result] = await real.send('alpha', mail);
    t.is(result?.outcome, 'deferred');
    t.deepEqual(result?.reply.code, 451);
    t.regex(result?.reply.text ?? '', /^4\.4\.1 Directory has expired/);
    t.regex(
      readFileSync(real.mixnet.logOf('alpha'), 'utf8'),
      /"reason":"directory-expired".*Opted-in mail waits/,
    );
    t.false((await readStatus(config)).ok);
    t.deepEqual([...real.arrived(), ...real.passed()], []);

    meetingPlace?.start();
    await real.submit('alpha', mail, PATIENCE_MS);
    await until('the mail arrives', () => real.arrived().length > 0, PATIENCE_MS);
    t.deepEqual(real.passed(), []);
  },
);
