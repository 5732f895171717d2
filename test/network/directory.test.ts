/** A directory that has expired: mail waits, the operator reads why, and nobody's help is needed after. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { readStatus, type Status } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const LIFETIME_MS = 30_000;
const PATIENCE_MS = 90_000;

let real: RealMixnet;

test.before(async () => {
  // Few ticks: where packets come late, as on a busy machine, status says that, and rightly.
  real = await startRealMixnet({ snapshotLifetimeMs: LIFETIME_MS, ticksPerSecond: 3 });
});

test.after.always(async () => {
  await real?.stop();
});

test.serial('status says of each program how it is, as text and as JSON', async (t) => {
  const { nodeConfig, controllerConfig } = real.mixnet.gateway('alpha');
  const whenWell = async (...flags: string[]): Promise<string> => {
    let said = await status('--config', nodeConfig, ...flags);
    await until(
      'alpha is well',
      async () => {
        if (said.code !== 0) said = await status('--config', nodeConfig, ...flags);
        return said.code === 0;
      },
      PATIENCE_MS,
    ).catch((thrown: unknown) => t.fail(`${String(thrown)}: ${said.output}`));
    return said.output;
  };
  const { queues, directory, storage, ok } = JSON.parse(await whenWell('--json')) as Status;
  t.true(ok);
  t.like(storage, { state: 'up', pressure: 'open' });
  t.like(directory, { state: 'valid', nodes: 5 });
  for (const name of ['mail', 'mixing', 'delivery']) t.like(queues[name], { failed: 0 });
  t.regex(await whenWell(), /^alpha: well\n[^]*mixing .*\d/);
  const controller = await status('--config', controllerConfig, '--json');
  t.like(JSON.parse(controller.output), { ok: true, directory: null });

  const mix = real.mixnet.nodes[0];
  await mix?.stop();
  const stopped = await status('--config', real.mixnet.peers[0]?.nodeConfig ?? '', '--json');
  t.like(JSON.parse(stopped.output), { ok: false, storage: { state: 'down' } });
  t.is(stopped.code, 1);
  mix?.start();
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
    const waits = /"reason":"directory-expired".*"msg":"Opted-in mail waits/;
    await until(
      'the log says so',
      () => waits.test(readFileSync(real.mixnet.logOf('alpha'), 'utf8')),
      PATIENCE_MS,
    );
    t.false((await readStatus(config)).ok);
    t.deepEqual([...real.arrived(), ...real.passed()], []);

    meetingPlace?.start();
    await real.submit('alpha', mail, PATIENCE_MS);
    await until('the mail arrives', () => real.arrived().length > 0, PATIENCE_MS);
    t.deepEqual(real.passed(), []);
  },
);

function status(...flags: readonly string[]): Promise<{ code: number; output: string }> {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'status', ...flags], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, output: stdout || stderr }),
    );
  });
}
