/**
 * Hostile bodies all the way, beside a real Postfix with our stanzas: submission, filter, back in at 10036,
 * and out of the mixnet at 10037. One mail in is one mail out, the same behind the filter and behind Postfix, or a refusal.
 */
import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { createExit } from '../../filters/exit.ts';
import { Submitter } from '../../filters/submit.ts';
import { dialogue, transaction } from '../postfix/dialogue.ts';
import { optIn } from '../postfix/messages.ts';
import { choosePorts } from '../postfix/ports.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { startEntryRig, type EntryRig } from './entry-rig.ts';
import { HOSTILE_BODIES } from './hostile-bodies.ts';

const LATER_MS = 40_000;

interface Beside {
  readonly postfix: PrivatePostfix;
  readonly rig: EntryRig;
  readonly back: Submitter;
  readonly out: Submitter;
}

const PROTOCOLS = ['lmtp', 'smtp'] as const;
const started = new Map<string, Beside>();

beforePostfixTests(async () => {
  for (const protocol of PROTOCOLS) started.set(protocol, await start(protocol));
});

test.after.always(async () => {
  for (const { postfix, rig, back, out } of started.values()) {
    await postfix.stop();
    await rig[Symbol.asyncDispose]();
    await Promise.all([back.close(), out.close()]);
  }
});

async function start(protocol: (typeof PROTOCOLS)[number]): Promise<Beside> {
  const ports = await choosePorts();
  const postfix = await startPostfix({
    name: protocol,
    protocol,
    domains: { 'alpha.example': ['ada', 'bob', 'carol', 'raw'] },
    ports,
    routes: { 'in.example': ports.outside },
    // What Postfix does by default from 3.9 on, and docker/README.md asks of older ones.
    settings: {
      smtpd_forbid_bare_newline: 'normalize',
      smtpd_forbid_bare_newline_exclusions: '',
    },
  });
  const back = new Submitter({ server: address(ports.reinject), hostname: 'filter.example' });
  const out = new Submitter({ server: address(ports.exit), hostname: 'exit.example' });
  const doors = { lmtp: null, smtp: null, [protocol]: address(ports[protocol]) };
  const rig = await startEntryRig({ entry: { submitter: back }, listen: doors });
  return { postfix, rig, back, out };
}

function beside(protocol: string): Beside {
  const found = started.get(protocol);
  if (!found) throw new Error(`no Postfix with ${protocol}`);
  return found;
}

/** Sends every row to a port of Postfix's; the subjects of those that were taken. */
async function sendRows(
  t: ExecutionContext,
  port: number,
  to: readonly string[],
  header: string,
): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const [i, { what, body }] of HOSTILE_BODIES.entries()) {
    const message = `${header}Subject: row ${i}\r\n\r\n${body}\r\n.\r\n`;
    const answers = await dialogue(port, transaction('ada@alpha.example', to, message));
    const [answer = '', goodbye = ''] = answers.slice(-2);
    t.regex(answer, /^(?:250 2\.0\.0|5\d\d 5\.\d\.\d) /, what);
    t.regex(goodbye, /^221 /, `${what}: nothing of it was read as a command`);
    if (answer.startsWith('250')) taken.push(`Subject: row ${i}`);
  }
  t.log(`${taken.length} of ${HOSTILE_BODIES.length} taken, the others refused`);
  return taken.toSorted();
}

for (const protocol of PROTOCOLS) {
  postfixTest(
    `submitted, split, mixed and passed by ${protocol}: one mail each, the same bytes`,
    async (t) => {
      const { postfix, rig } = beside(protocol);
      const to = ['ada@in.example', 'bob@alpha.example'];
      const taken = await sendRows(t, postfix.ports.submission, to, `${optIn}\r\n`);
      t.true(taken.length > 30);
      await postfix.waitForQueue((queue) => queue.length === 0, LATER_MS);
      const passed = await postfix.waitForMail('bob@alpha.example', taken.length, LATER_MS);
      t.deepEqual(passed.map(({ message }) => subjectOf(message)).toSorted(), taken);
      t.deepEqual(rig.mixed.map(({ data }) => subjectOf(data)).toSorted(), taken);
      for (const { recipients, from } of rig.mixed) {
        t.deepEqual([from, recipients], ['ada@alpha.example', [{ address: 'ada@in.example' }]]);
      }
      const mixed = new Set(rig.mixed.map(({ data }) => Buffer.from(data).toString('latin1')));
      for (const { message } of passed) {
        t.true(mixed.has(message.toString('latin1')), subjectOf(message));
      }
    },
  );
}

postfixTest('what was mixed comes out of the exit as one mail, byte for byte', async (t) => {
  const { postfix, rig, out } = beside('lmtp');
  const deliver = createExit({
    submitter: out,
    policy: { objectionTo: () => null },
    sender: 'return',
    returnDomain: 'alpha.example',
    returnKey: new Uint8Array(32),
    primitives: native,
    log: silentLog,
  });
  t.true(rig.mixed.length > 0);
  for (const mail of rig.mixed) {
    const arrived = { ...mail, recipients: [{ address: 'carol@alpha.example' }] };
    t.deepEqual((await deliver(arrived)).accepted, ['carol@alpha.example'], subjectOf(mail.data));
  }
  await postfix.waitForQueue((queue) => queue.length === 0, LATER_MS);
  const stored = await postfix.waitForMail('carol@alpha.example', rig.mixed.length, LATER_MS);
  t.is(stored.length, rig.mixed.length);
  const messages = new Set(stored.map(({ message }) => message.toString('latin1')));
  for (const { data } of rig.mixed) {
    t.true(messages.has(Buffer.from(data).toString('latin1')), subjectOf(data));
  }
});

for (const [name, port] of [
  ['10036', 'reinject'],
  ['10037', 'exit'],
] as const) {
  postfixTest(`raw at ${name}: one mail, or a refusal, and never a second one`, async (t) => {
    const { postfix } = beside('lmtp');
    const before = (await postfix.mailboxOf('raw@alpha.example')).length;
    const taken = await sendRows(t, postfix.ports[port], ['raw@alpha.example'], '');
    t.true(taken.length < HOSTILE_BODIES.length, 'bare LF is refused');
    await postfix.waitForQueue((queue) => queue.length === 0, LATER_MS);
    const wanted = before + taken.length;
    const stored = await postfix.waitForMail('raw@alpha.example', wanted, LATER_MS);
    const fresh = stored.slice(before).map(({ message }) => subjectOf(message));
    t.deepEqual(fresh.toSorted(), taken);
  });
}

function subjectOf(message: Uint8Array): string {
  return /Subject: row \d+/.exec(Buffer.from(message).toString('latin1'))?.[0] ?? 'no subject';
}

function address(port: number): { host: string; port: number } {
  return { host: '127.0.0.1', port };
}
