/**
 * SIGTERM under load: every program ends what it has at hand and stops within 20 s, whoever hangs at its
 * doors or behind them. What was under way goes on after the next start, and nothing of it is done twice.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import type { Program } from '../../src/cli/demo/processes.ts';
import { programOf } from './hostile-inbox.ts';
import { countsOf } from './node-counts.ts';
import { startRealMixnet, until, type RealMixnet } from './real-mixnet.ts';

/** Between two mails, each way. */
const MAIL_MS = 400;
const STOPPED_MS = 20_000;
/** What a program takes that nobody holds up; a rewrite of the append-only file is in it. */
const POLITE_MS = 12_000;
const PATIENCE_MS = 120_000;

let real: RealMixnet;
const tally = new Tally();
let mails = 0;

test.before(async () => {
  real = await startRealMixnet({ ticksPerSecond: 10 });
});

test.after.always(async () => {
  await real?.stop();
});

test.serial(
  'each program stops under load and starts again, and nothing is tried twice for it',
  async (t) => {
    const load = startLoad(t);
    const controllers = ['mix-2.controller', 'beta.controller'];
    for (const name of ['alpha', 'mix-1', 'beta', ...controllers]) {
      await moreArrive(4);
      const program = programOf(real, name);
      await stopInTime(t, program, POLITE_MS);
      program.start();
    }
    await moreArrive(4);
    await load.stop();
    await allArrive(t);

    await Promise.all(real.mixnet.nodes.map(async (node) => await stopInTime(t, node, POLITE_MS)));
    for (const { name } of real.mixnet.nodes) {
      const counts = countsOf(real, name);
      // A mail server that got no answer, a delivery begun again, a packet that came twice.
      const retried = ['mail-repeat', 'delivery-deferred', 'forward-expired'];
      // Whose controller was away could not tell it what was committed, and was handed it again.
      const isHandedAgain = controllers.includes(`${name}.controller`);
      for (const what of isHandedAgain ? retried : [...retried, 'replayed']) {
        t.is(counts[what] ?? 0, 0, `${name}: ${what}`);
      }
      if (counts['sent-fragment']) {
        t.log(
          `${name}: ${counts['sent-again'] ?? 0} of ${counts['sent-fragment']} were sent again`,
        );
      }
      t.notRegex(
        readLog(name),
        /"reason":"stalled"|not stopped in time|stopping was not clean/,
        name,
      );
    }
    for (const node of real.mixnet.nodes) node.start();
  },
);

test.serial(
  'who hangs at a door, and a controller that hangs, hold up nobody’s stop',
  async (t) => {
    const load = startLoad(t);
    await moreArrive(4);
    const half = await beginMail(real.mixnet.gateway('alpha').smtpPort);
    const frozen = programOf(real, 'mix-3.controller');
    process.kill(frozen.pid as number, 'SIGSTOP');
    try {
      // Packets for it are under way, and its node's long poll.
      await sleep(2_000);
      const others = real.mixnet.programs.filter((program) => program !== frozen);
      const marks = new Map(others.map(({ name }) => [name, readLog(name).length]));
      await Promise.all(others.map(async (program) => await stopInTime(t, program, STOPPED_MS)));
      for (const { name } of others) {
        t.notRegex(readLog(name).slice(marks.get(name)), /not stopped in time/, name);
      }
      for (const program of others) program.start();
    } finally {
      process.kill(frozen.pid as number, 'SIGCONT');
      half.destroy();
    }
    await moreArrive(2);
    await load.stop();
    await allArrive(t);
  },
);

/** Mails each way at a steady rate; whoever is away gets its own as soon as it is back. It ends with the test. */
function startLoad(t: ExecutionContext): { stop(): Promise<void> } {
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const sending = [
    ['alpha', 'beta'],
    ['beta', 'alpha'],
  ].map(async ([from = '', to = '']) => {
    while (!stopping.signal.aborted) {
      await send(from, to);
      await sleep(MAIL_MS);
    }
  });
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(sending);
    },
  };
}

async function send(from: string, to: string): Promise<void> {
  const id = String(++mails);
  const message = Buffer.from(`Subject: ${id}\r\n\r\nstop?\r\n`);
  const recipient = `bob+${id}@${to}.example`;
  const data = Buffer.concat([Buffer.from('X-PANORAMIX-Mixable: yes\r\n'), message]);
  tally.expect(recipient, message);
  const mail = { from: `ada@${from}.example`, to: [recipient], data, queueId: `STOP${id}` };
  await real.submit(from, mail, PATIENCE_MS);
}

/** A mail of which a gateway has half, from a client that says no more. */
async function beginMail(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  let said = '';
  socket.on('data', (data: Buffer) => (said += data.toString('latin1')));
  await until('a greeting', () => /^220 /m.test(said), 5_000);
  for (const line of [
    'EHLO half.example',
    'MAIL FROM:<ada@alpha.example>',
    'RCPT TO:<half@beta.example>',
    'DATA',
  ]) {
    said = '';
    socket.write(`${line}\r\n`);
    await until(`an answer to ${line}`, () => /^[23]\d\d /m.test(said), 5_000);
  }
  if (!said.includes('354 ')) throw new Error(`DATA: ${said}`);
  socket.write('X-PANORAMIX-Mixable: yes\r\nSubject: half\r\n');
  return socket;
}

async function stopInTime(t: ExecutionContext, program: Program, withinMs: number): Promise<void> {
  const startMs = performance.now();
  await program.stop();
  const tookMs = Math.round(performance.now() - startMs);
  t.log(`${program.name} stopped in ${tookMs} ms`);
  t.true(tookMs < withinMs, `${program.name} took ${tookMs} ms`);
  t.is(program.exitCode, 0, program.name);
}

function note(): void {
  for (const arrival of real.arrived()) tally.note(arrival);
}

async function moreArrive(count: number): Promise<void> {
  note();
  const from = tally.delivered;
  const holds = (): boolean => {
    note();
    return tally.delivered >= from + count;
  };
  await until('mail goes on arriving', holds, PATIENCE_MS);
}

async function allArrive(t: ExecutionContext): Promise<void> {
  const holds = (): boolean => {
    note();
    return tally.complete;
  };
  await until('all mails arrive', holds, PATIENCE_MS).catch((error: unknown) => {
    t.log(`missing: ${tally.missing.join(' ')}`);
    throw error;
  });
  t.is(tally.exact, tally.sent);
  t.is(tally.twice, 0);
  t.deepEqual(real.passed(), []);
}

function readLog(name: string): string {
  return readFileSync(real.mixnet.logOf(name), 'utf8');
}
