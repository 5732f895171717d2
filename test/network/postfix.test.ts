/**
 * The flow of the README with two real Postfix: wired with the stanzas that we ship, mail submitted with
 * swaks, read from the mailboxes of the other side.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import type { Program } from '../../src/cli/demo/processes.ts';
import { mail, mailWithAttached, optIn } from '../postfix/messages.ts';
import { choosePorts } from '../postfix/ports.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { until } from './real-mixnet.ts';

const folder = mkdtempSync(join(tmpdir(), 'panoramix-postfix-flow-'));
const LATER_MS = 30_000;
const running: { stop(): Promise<void> }[] = [];
let alpha: PrivatePostfix;
let beta: PrivatePostfix;
let mixnet: DemoMixnet;

beforePostfixTests(async () => {
  const ports = { alpha: await choosePorts(), beta: await choosePorts() };
  const users = ['ada', 'bob', 'eve', 'kim'];
  const start = async (name: 'alpha' | 'beta', other: 'alpha' | 'beta') => {
    const postfix = await startPostfix({
      name,
      domains: { [`${name}.example`]: users, ...(name === 'beta' && { 'plain.example': users }) },
      ports: ports[name],
      routes: {
        [`${other}.example`]: ports[other].outside,
        ...(name === 'alpha' && { 'plain.example': ports.beta.outside }),
      },
    });
    running.push(postfix);
    return postfix;
  };
  alpha = await start('alpha', 'beta');
  beta = await start('beta', 'alpha');
  mixnet = await DemoMixnet.start(
    {
      folder,
      mixes: 3,
      providers: (['alpha', 'beta'] as const).map((name) => ({
        name,
        domains: [`${name}.example`],
        deliverPort: ports[name].exit,
        reinjectPort: ports[name].reinject,
        filterPorts: ports[name],
      })),
      delayMeanMs: 50,
      exitDelayMeanMs: 50,
      ticksPerSecond: 10,
    },
    () => undefined,
  );
  running.push(mixnet);
  await untilRouting('alpha', 0);
  await untilRouting('beta', 0);
});

test.after.always(async () => {
  for (const each of running.toReversed()) await each.stop();
  rmSync(folder, { recursive: true, force: true });
});

postfixTest(
  'opted-in mail comes out of the other Postfix, byte for byte, through the mixnet alone',
  async (t) => {
    const body = ['dots', '.', '..two', 'ä ö ü €', `long ${'x'.repeat(1500)}`, ''].join('\r\n');
    const message = mail([optIn, 'X-Kept: as it is'], body);
    await alpha.submit({ from: 'ada@alpha.example', to: ['bob@beta.example'], message });
    const [stored] = await beta.waitForMail('bob@beta.example', 1, LATER_MS);
    t.is(stored?.message.toString('utf8'), message.replace(`${optIn}\r\n`, ''));
    t.regex(stored?.from ?? '', /^panoramix\+[\w.=-]+@beta\.example$/);
    const log = await alpha.log();
    t.regex(
      log,
      /relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*status=sent \(250 2\.6\.0 queued in mix [0-9a-f]{32}\)/,
    );
    t.notRegex(
      log,
      new RegExp(`relay=\\S+:${beta.ports.outside},`),
      'nothing went straight to the other Postfix',
    );
  },
);

postfixTest('ordinary mail never meets the filter, also while the gateway is down', async (t) => {
  const gateway = program('alpha');
  const before = answered('alpha');
  await alpha.submit({ from: 'ada@alpha.example', to: ['eve@beta.example'], message: mail() });
  await beta.waitForMail('eve@beta.example');
  await gateway.kill();
  await alpha.submit({ from: 'ada@alpha.example', to: ['eve@beta.example'], message: mail() });
  await alpha.submit({
    from: 'ada@alpha.example',
    to: ['eve@beta.example'],
    message: mail([optIn], 'waits'),
  });
  await beta.waitForMail('eve@beta.example', 2);
  const [waiting] = await alpha.waitForQueue((queue) =>
    queue.some((each) => each.queue_name === 'deferred'),
  );
  t.is(waiting?.recipients[0]?.address, 'eve@beta.example');
  t.is(answered('alpha'), before, 'the filter has answered no mail');
  const startsBefore = starts('alpha');
  gateway.start();
  await untilRouting('alpha', startsBefore);
  await alpha.flush();
  const stored = await beta.waitForMail('eve@beta.example', 3, LATER_MS);
  t.true(stored.some(({ message }) => message.includes('waits')));
});

postfixTest(
  'opted-in mail to a domain outside the mixnet passes, without the header',
  async (t) => {
    const message = mail([optIn], 'to the outside');
    await alpha.submit({ from: 'ada@alpha.example', to: ['kim@plain.example'], message });
    const [stored] = await beta.waitForMail('kim@plain.example');
    t.is(stored?.message.toString(), message.replace(`${optIn}\r\n`, ''));
    t.is(stored?.from, 'ada@alpha.example');
  },
);

postfixTest('a mail with recipients inside and outside is split', async (t) => {
  const message = mail([optIn], 'to both');
  await alpha.submit({
    from: 'ada@alpha.example',
    to: ['kim@beta.example', 'eve@plain.example'],
    message,
  });
  const [mixed] = await beta.waitForMail('kim@beta.example', 1, LATER_MS);
  const [plain] = await beta.waitForMail('eve@plain.example');
  t.regex(mixed?.from ?? '', /^panoramix\+/);
  t.is(plain?.from, 'ada@alpha.example');
  t.deepEqual(mixed?.message, plain?.message);
});

postfixTest('neither an attached mail nor one from outside opts in', async (t) => {
  const before = [answered('alpha'), answered('beta')];
  const attached = mailWithAttached(mail([optIn], 'inner'));
  await alpha.submit({ from: 'ada@alpha.example', to: ['ada@beta.example'], message: attached });
  const outside = mail([optIn], 'from outside');
  await beta.submit(
    { from: 'x@elsewhere.example', to: ['ada@beta.example'], message: outside },
    beta.ports.outside,
  );
  const stored = await beta.waitForMail('ada@beta.example', 2);
  t.deepEqual(stored.map(({ from }) => from).toSorted(), [
    'ada@alpha.example',
    'x@elsewhere.example',
  ]);
  t.deepEqual([answered('alpha'), answered('beta')], before);
});

postfixTest(
  'a recipient that the far Postfix does not know is named in the log of the exit, and the others get the mail',
  async (t) => {
    const message = mail([optIn], 'partly');
    await alpha.submit({
      from: 'ada@alpha.example',
      to: ['nobody@beta.example', 'kim@beta.example'],
      message,
    });
    await until(
      'the other recipient has it',
      async () =>
        (await beta.mailboxOf('kim@beta.example')).some((each) => each.message.includes('partly')),
      LATER_MS,
    );
    await until('the exit says so', () => /"refused":1/.test(logOf('beta')), LATER_MS);
    t.notRegex(logOf('beta'), /nobody@|kim@/, 'no address in the log');
  },
);

function program(name: string): Program {
  const found = mixnet.nodes.find((node) => node.name === name);
  if (!found) throw new Error(`no program is called ${name}`);
  return found;
}

function logOf(name: string): string {
  return readFileSync(mixnet.logOf(name), 'utf8');
}

/** How many mails a gateway's filter has answered so far. */
function answered(name: string): number {
  return logOf(name).split('"mail answered"').length - 1;
}

/** How often a gateway has said that it takes mail: once a start, as soon as it can route. */
function starts(name: string): number {
  return logOf(name).split('"Gateway takes mail"').length - 1;
}

async function untilRouting(name: string, startsBefore: number): Promise<void> {
  await until(`${name} takes mail`, () => starts(name) > startsBefore, 60_000);
}
