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
const DAY_MS = 24 * HOUR_MS;
const PATIENCE_MS = 90_000;
/** What a clock that was wrong for a moment does to a node that believes it. */
const HARM =
  /key-(destroyed|created)|mail-(lost|late|expired)|(forward|fragment|messages)-expired|forward-keyless/;
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
      t.notRegex(logs(), /"event":"clock-(wrong|differs)"/);
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

test.serial(
  'a mix and an exit whose clocks jump by days while mail is on its way keep their keys, and go on when they are set back',
  async (t) => {
    t.teardown(() => {
      set('mix-1', 0);
      set('beta', 0);
    });
    const names = ['mix-1', 'beta'];
    const before = names.map((name) => readLog(name).length);
    for (let each = 0; each < 5; each++) {
      await send('alpha', 'beta');
      await send('beta', 'alpha');
    }
    // By one clock all that waits is due, expired or over; by the other what comes next is put off for days.
    set('mix-1', 7 * DAY_MS);
    set('beta', -7 * DAY_MS);
    await says('mix-1', before[0] ?? 0, '7 d 0 h ahead of');
    await says('beta', before[1] ?? 0, '(7 d 0|6 d 23) h behind');
    for (const name of names) set(name, 0);
    await cross(t);
    for (const [i, name] of names.entries()) {
      const lines = readLog(name).slice(before[i]);
      t.regex(lines, /"event":"clock-set"/);
      t.notRegex(lines, HARM, name);
    }
  },
);

test.serial(
  'a node that starts with a clock of days ahead loses neither mail nor keys, and comes back by itself, too',
  async (t) => {
    await send('beta', 'alpha');
    await programOf(real, 'beta').stop();
    const before = readLog('beta').length;
    // By this clock all mail under way would have expired, and all keys would be over.
    set('beta', 7 * DAY_MS);
    programOf(real, 'beta').start();
    await send('alpha', 'beta');
    await says('beta', before, '7 d 0 h ahead of');
    set('beta', 0);
    await cross(t);
    t.notRegex(readLog('beta').slice(before), HARM);
  },
);

/** One mail each way, and all that were sent before. */
async function cross(t: ExecutionContext, patienceMs = PATIENCE_MS): Promise<void> {
  await Promise.all([send('alpha', 'beta'), send('beta', 'alpha')]);
  await until(
    'all mails arrive',
    () => {
      for (const arrival of real.arrived()) tally.note(arrival);
      return tally.complete;
    },
    patienceMs,
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
