/**
 * Machines whose clocks are wrong: by five minutes nobody notices, by hours mail waits with a named reason,
 * the operator reads how far and against whom, and setting the clock is all that there is to do. A machine
 * is a peer's node with its controller.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import type { Status } from '../../src/cli/status.ts';
import { programOf } from './hostile-inbox.ts';
import { countsOf, keyRefusals } from './node-counts.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const PATIENCE_MS = 90_000;
const PRELOAD = `--import=${new URL('shifted-clock.ts', import.meta.url).href}`;

let real: RealMixnet;
let mails = 0;
const tally = new Tally();

test.before(async () => {
  process.env['NODE_OPTIONS'] = PRELOAD;
  // While it is founded, too: the first keys and the first snapshot are made by clocks that differ.
  real = await startRealMixnet({ clocksMs: { 'mix-2': -5 * MINUTE_MS } });
});

test.after.always(async () => {
  await real?.stop();
});

for (const [name, shiftMs] of [
  ['mix-2', -5 * MINUTE_MS],
  ['mix-2', 5 * MINUTE_MS],
  ['beta', -5 * MINUTE_MS],
  ['beta', 5 * MINUTE_MS],
] as const) {
  test.serial(
    `mail crosses while the clock of ${name} is exactly five minutes ${shiftMs > 0 ? 'ahead' : 'behind'}`,
    async (t) => {
      set(name, shiftMs);
      await cross(t);
      t.notRegex(logs(), /clock-wrong|clock-differs/);
      set(name, 0);
    },
  );
}

test.serial('no packet was refused for a clock that is five minutes off', async (t) => {
  for (const { name } of real.mixnet.nodes) {
    await programOf(real, name).stop();
    t.deepEqual(keyRefusals(countsOf(real, name)), {}, name);
    programOf(real, name).start();
  }
  await cross(t);
});

for (const [shiftMs, text] of [
  [3 * HOUR_MS, '3 h 0 min ahead of'],
  [-3 * HOUR_MS, '(3 h 0|2 h 59) min behind'],
] as const) {
  test.serial(
    `a gateway whose clock is hours ${shiftMs > 0 ? 'ahead' : 'behind'} says so, its mail waits, and crosses when it is set`,
    async (t) => {
      t.teardown(() => set('beta', 0));
      const underWay = send('alpha', 'beta');
      const before = readLog('beta').length;
      set('beta', shiftMs);
      await says('beta', before, text);
      const [answer] = await real.send('beta', mail('beta', 'alpha', 'WRONG'));
      t.is(answer?.outcome, 'deferred');
      t.regex(answer?.reply.text ?? '', /^4\.4\.1 The clock of this server is wrong/);
      const { status, shown } = await statusOf('beta');
      t.false(status.ok);
      t.like(status.clock, { right: false });
      t.regex(shown, new RegExp(`clock-wrong: ${text} those of . of . controllers; mail waits`));
      // The others go on, and say who it is.
      await until(
        'the others name its controller',
        () =>
          readLog('mix-1').includes(`"controller":"${real.mixnet.gateway('beta').controllerUrl}"`),
        PATIENCE_MS,
      );
      t.like((await statusOf('mix-1')).status.clock, { right: true });
      await Promise.all([underWay, send('alpha', 'beta')]);

      set('beta', 0);
      await until(
        'status says so, too',
        async () => (await statusOf('beta')).status.clock?.right === true,
        PATIENCE_MS,
      );
      await cross(t);
    },
  );
}

/** One mail each way, and all that were sent before. */
async function cross(t: ExecutionContext): Promise<void> {
  await Promise.all([send('alpha', 'beta'), send('beta', 'alpha')]);
  await until(
    'all mails arrive',
    () => {
      for (const arrival of real.arrived()) tally.note(arrival);
      return tally.complete;
    },
    PATIENCE_MS,
  ).catch((error: unknown) => {
    t.log(`missing: ${tally.missing.join(' ')}`);
    throw error;
  });
  t.is(tally.exact, tally.sent);
  t.is(tally.twice, 0);
  t.deepEqual(real.passed(), []);
}

async function send(from: string, to: string): Promise<void> {
  const number = ++mails;
  const sent = mail(from, to, String(number));
  tally.expect(sent.to[0] as string, sent.data.subarray(sent.data.indexOf('Subject')));
  await real.submit(from, sent, PATIENCE_MS);
}

function mail(from: string, to: string, id: string) {
  const data = Buffer.from(fromUtf8(`X-PANORAMIX-Mixable: yes\r\nSubject: ${id}\r\n\r\nwhen?\r\n`));
  const recipient = `bob+${id}@${to}.example`;
  return { from: `ada@${from}.example`, to: [recipient], data, queueId: `CLOCK${id}` };
}

/** Sets the clock of a peer's machine. */
function set(name: string, aheadMs: number): void {
  const peer = real.mixnet.peers.find((each) => each.name === name);
  writeFileSync(join(dirname(peer?.nodeConfig ?? ''), 'clock'), String(aheadMs));
}

/** Waits for the line in a node's log that names its wrong clock. */
async function says(name: string, after: number, text: string): Promise<void> {
  const line = new RegExp(
    `"event":"clock-wrong".*"msg":"The clock of this machine is ${text} those`,
  );
  const isSaid = (): boolean => line.test(readLog(name).slice(after));
  await until(`${name} says that its clock is wrong`, isSaid, PATIENCE_MS);
}

function readLog(name: string): string {
  return readFileSync(real.mixnet.logOf(name), 'utf8');
}

function logs(): string {
  return real.mixnet.nodes.map(({ name }) => readLog(name)).join('\n');
}

/** As the operator of that machine sees it. */
async function statusOf(name: string): Promise<{ status: Status; shown: string }> {
  const peer = real.mixnet.peers.find((each) => each.name === name);
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const run = async (...flags: string[]): Promise<string> =>
    await new Promise((resolve) => {
      const args = [main, 'status', '--config', peer?.nodeConfig ?? '', ...flags];
      execFile(process.execPath, args, (_, stdout) => resolve(stdout));
    });
  return { status: JSON.parse(await run('--json')) as Status, shown: await run() };
}
