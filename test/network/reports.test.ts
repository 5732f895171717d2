/**
 * What a sender hears of a mail that did not arrive: real Postfix at both ends, wired with the stanzas that
 * we ship, reports read from the mailbox of who sent. A counter stands where either mail server would
 * reach another: whatever goes there and back goes through the mixnet.
 */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { simpleParser, type ParsedMail } from 'mailparser';
import type { Provider } from '../../src/cli/demo/layout.ts';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { dialogue } from '../postfix/dialogue.ts';
import { mail, optIn } from '../postfix/messages.ts';
import { choosePorts, freePort } from '../postfix/ports.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { startRecordingFilter, type RecordingFilter } from '../postfix/recording-filter.ts';
import { until } from './real-mixnet.ts';

const folder = mkdtempSync(join(tmpdir(), 'panoramix-reports-'));
/** How long a mail is tried, and a report, too: nobody hears of one that was too late itself. */
const EXPIRY_MS = 90_000;
/** On a busy machine a way through the mixnet takes half a minute, and a program was killed on it. */
const LATER_MS = 120_000;
const ABUSE = 'Complaints: abuse@beta.example';
const running: { stop(): Promise<void> }[] = [];
let alpha: PrivatePostfix;
let beta: PrivatePostfix;
let mixnet: DemoMixnet;
let door: Server;
let contacts = 0;
let startedMs = 0;

beforePostfixTests(async () => {
  const ports = { alpha: await choosePorts(), beta: await choosePorts() };
  door = createServer((socket) => {
    contacts++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(door, 'listening');
  const { port } = door.address() as AddressInfo;
  const mailboxPort = await freePort();
  const full = Object.assign(new Error('Mailbox full'), { responseCode: 552 });
  const mailboxes: RecordingFilter = await startRecordingFilter(mailboxPort, 'smtp', () => full);
  running.push(mailboxes);
  alpha = await startPostfix({
    name: 'alpha',
    domains: { 'alpha.example': ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'] },
    ports: ports.alpha,
    // Were a mail to leave in the clear, it would be counted here.
    routes: { 'beta.example': port, 'gamma.example': port, 'dead.example': port },
    settings: {
      virtual_alias_maps:
        'inline:{ {alias@alpha.example=i@alpha.example}, {others@alpha.example=k@alpha.example} }',
    },
  });
  running.push(alpha);
  beta = await startPostfix({
    name: 'beta',
    domains: { 'beta.example': ['bob', 'full', 'out'] },
    ports: ports.beta,
    routes: { 'alpha.example': port, 'full@beta.example': mailboxPort },
    settings: {
      virtual_alias_maps: 'inline:{ {list@beta.example=bob@beta.example,gone@nowhere.example} }',
    },
  });
  running.push(beta);
  const optOut = join(folder, 'opt-out');
  writeFileSync(optOut, 'out@beta.example\n');
  const ownOptOut = join(folder, 'opt-out-alpha');
  writeFileSync(ownOptOut, 'f@alpha.example\n');
  const provider = (name: 'alpha' | 'beta', gateway: object): Provider => ({
    name,
    domains: [`${name}.example`],
    deliverPort: ports[name].exit,
    reinjectPort: ports[name].reinject,
    filterPorts: ports[name],
    gateway: { ...gateway },
  });
  mixnet = await DemoMixnet.start(
    {
      folder,
      mixes: 1,
      providers: [
        provider('alpha', {
          reports: { delay_warning_ms: 20_000 },
          exit: { delay_mean_ms: 50, opt_out_file: ownOptOut },
        }),
        provider('beta', {
          exit: { delay_mean_ms: 50, abuse_text: ABUSE, opt_out_file: optOut },
        }),
        await lonely('gamma', { reports: { delay_warning_ms: 10_000 } }),
        await lonely('dead'),
      ],
      delayMeanMs: 50,
      exitDelayMeanMs: 50,
      ticksPerSecond: 10,
      expiryMs: EXPIRY_MS,
    },
    () => undefined,
  );
  running.push(mixnet);
  await until('alpha takes mail', () => /Gateway takes mail/.test(logOf('alpha')), 60_000);
  await program('dead').kill();
  // These take that long to end; the other tests run meanwhile.
  startedMs = Date.now();
  await submit('g@alpha.example', ['x@gamma.example'], { body: 'too old' });
  await submit('h@alpha.example', ['x@dead.example'], { body: 'never acked' });
});

test.after.always(async () => {
  for (const each of running.toReversed()) await each.stop();
  door?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** No mail server stands behind these; of the second not even the gateway will run. */
async function lonely(name: string, gateway: object = {}): Promise<Provider> {
  return {
    gateway: { ...gateway },
    name,
    domains: [`${name}.example`],
    deliverPort: await freePort(),
    reinjectPort: await freePort(),
  };
}

interface Wishes {
  readonly body?: string;
  readonly ret?: string;
  readonly notify?: string;
  readonly header?: string;
}

/** Submits a mail that opts in, with what the sender wants to hear. */
async function submit(from: string, to: readonly string[], wishes: Wishes = {}): Promise<void> {
  const { body = 'secret body', ret = '', notify = '', header = optIn } = wishes;
  const message = mail([header, `X-Sender: ${from}`], body);
  const answers = await dialogue(alpha.ports.submission, [
    'EHLO client.example\r\n',
    `MAIL FROM:<${from}>${ret}\r\n`,
    ...to.map((address) => `RCPT TO:<${address}>${notify}\r\n`),
    'DATA\r\n',
    `${message}.\r\n`,
    'QUIT\r\n',
  ]);
  if (!/^250 .*queued/m.test(answers.at(-2) ?? '')) throw new Error(answers.join('\n'));
}

interface Heard {
  readonly parsed: ParsedMail;
  readonly text: string;
  /** The fields of each recipient. */
  readonly recipients: readonly string[];
  readonly returned: string;
}

/** The reports in a mailbox, once there are so many. */
async function reportsTo(address: string, count = 1, patienceMs = LATER_MS): Promise<Heard[]> {
  const stored = await alpha.waitForMail(address, count, patienceMs);
  return await Promise.all(
    stored.map(async ({ message, from }) => {
      const parsed = await simpleParser(message, { keepDeliveryStatus: true });
      const part = (type: RegExp): string =>
        parsed.attachments
          .find(({ contentType }) => type.test(contentType))
          ?.content.toString()
          .replaceAll('\r\n', '\n') ?? '';
      if (from !== '') throw new Error(`a report from ${from}`);
      const groups = part(/^message\/delivery-status/)
        .trim()
        .split('\n\n');
      return {
        parsed,
        text: message.toString('latin1'),
        recipients: groups.slice(1),
        returned: part(/^text\/rfc822-headers|^message\/rfc822/),
      };
    }),
  );
}

/** What every report is, and what none says. */
function checkReport(t: ExecutionContext, heard: Heard | undefined, to: string): void {
  if (heard === undefined) return t.fail('no report');
  const { parsed, text, returned } = heard;
  const type = parsed.headers.get('content-type') as {
    value: string;
    params: Record<string, string>;
  };
  t.is(type.value, 'multipart/report');
  t.is(type.params['report-type'], 'delivery-status');
  t.is(parsed.headers.get('auto-submitted'), 'auto-replied');
  t.regex(parsed.from?.value[0]?.address ?? '', /^MAILER-DAEMON@\w+\.example$/);
  t.is(Array.isArray(parsed.to) ? '' : parsed.to?.text, to);
  t.regex(returned, new RegExp(`^X-Sender: ${to}$`, 'm'), 'the original header comes back');
  t.notRegex(returned, /X-PANORAMIX/i);
  const route = mixnet.peers.map(
    ({ name, controllerUrl }) => `${name}\\.controller|${controllerUrl}`,
  );
  t.notRegex(text, new RegExp(`panoramix\\+|mix-1|127\\.0\\.0\\.1|${route.join('|')}`), 'no route');
  t.notRegex(text, /[0-9a-f]{64}/, 'no peer id');
}

postfixTest('an unknown user: the sender hears of him alone, from the far provider', async (t) => {
  await submit('a@alpha.example', ['nobody@beta.example', 'bob@beta.example']);
  const [heard] = await reportsTo('a@alpha.example');
  checkReport(t, heard, 'a@alpha.example');
  t.is(heard?.recipients.length, 1);
  t.regex(heard?.recipients[0] ?? '', /^Final-Recipient: rfc822; nobody@beta\.example$/m);
  t.regex(
    heard?.recipients[0] ?? '',
    /^Action: failed\nStatus: 5\.1\.1\nDiagnostic-Code: smtp; 550 5\.1\.1 /m,
  );
  t.is(heard?.parsed.from?.value[0]?.address, 'MAILER-DAEMON@beta.example');
  t.true(heard?.parsed.text?.includes(ABUSE));
  t.false(heard?.text.includes('secret body'), 'RET was not asked for');
  t.is((await beta.waitForMail('bob@beta.example')).length, 1);
});

postfixTest('a mailbox over quota, and an alias that fails after acceptance', async (t) => {
  await submit('b@alpha.example', ['full@beta.example']);
  await submit('c@alpha.example', ['list@beta.example']);
  const [quota] = await reportsTo('b@alpha.example');
  checkReport(t, quota, 'b@alpha.example');
  t.regex(
    quota?.recipients[0] ?? '',
    /full@beta\.example\nAction: failed\nStatus: 5\.2\.2\nDiagnostic-Code: smtp; 552 5\.2\.2 Mailbox full/,
  );
  const [alias] = await reportsTo('c@alpha.example');
  checkReport(t, alias, 'c@alpha.example');
  t.regex(alias?.recipients[0] ?? '', /list@beta\.example\nAction: failed\nStatus: 5\.4\.4/);
  t.false(alias?.text.includes('nowhere'), 'where the alias leads is not told');
});

postfixTest('RET and NOTIFY come through Postfix and are kept', async (t) => {
  const body = 'secret body\r\n.dots';
  await submit('d@alpha.example', ['nobody@beta.example'], {
    body: body.replace('\r\n.', '\r\n..'),
    ret: ' RET=FULL ENVID=order-of-the-sender',
    notify: ' NOTIFY=FAILURE',
  });
  for (const notify of ['NEVER', 'SUCCESS', 'DELAY']) {
    await submit('e@alpha.example', ['nobody@beta.example'], { notify: ` NOTIFY=${notify}` });
  }
  await submit('e@alpha.example', ['list@beta.example'], { notify: ' NOTIFY=NEVER' });
  await submit('', ['nobody@beta.example'], { header: 'X-PANORAMIX-Mixable: required' });
  const [heard] = await reportsTo('d@alpha.example');
  checkReport(t, heard, 'd@alpha.example');
  t.true(heard?.returned.includes(body.replaceAll('\r\n', '\n')), 'the whole mail, as it was');
  t.false(heard?.text.includes('order-of-the-sender'), 'ENVID stays behind');
  await until(
    'all have failed',
    () => (logOf('beta').match(/did not reach everybody/g) ?? []).length >= 6,
    LATER_MS,
  );
  await sleep(3_000);
  t.deepEqual(await alpha.mailboxOf('e@alpha.example'), []);
});

postfixTest(
  'NOTIFY=SUCCESS: the sender hears that the mailbox has it, through the mixnet',
  async (t) => {
    await submit('j@alpha.example', ['bob@beta.example', 'nobody@beta.example'], {
      notify: ' NOTIFY=SUCCESS',
      ret: ' RET=FULL',
    });
    await submit('j@alpha.example', ['bob@beta.example']);
    const [heard] = await reportsTo('j@alpha.example');
    checkReport(t, heard, 'j@alpha.example');
    t.is(heard?.parsed.subject, 'Your mail was delivered');
    t.deepEqual(heard?.recipients, [
      'Final-Recipient: rfc822; bob@beta.example\nAction: delivered\nStatus: 2.0.0',
    ]);
    t.is(heard?.parsed.from?.value[0]?.address, 'MAILER-DAEMON@beta.example');
    t.false(heard?.text.includes('secret body'), 'RET is for failures');
    await sleep(3_000);
    t.is((await alpha.mailboxOf('j@alpha.example')).length, 1, 'nothing that was not asked for');
  },
);

postfixTest('who wants no mail out of the mixnet gets none, and the sender hears it', async (t) => {
  await submit('f@alpha.example', ['out+lists@beta.example']);
  const [heard] = await reportsTo('f@alpha.example');
  checkReport(t, heard, 'f@alpha.example');
  t.regex(
    heard?.recipients[0] ?? '',
    /Status: 5\.7\.1\nDiagnostic-Code: smtp; 550 5\.7\.1 Recipient takes no mail/,
  );
  // The sender himself is on his own provider's list: he hears of his mail, and of no other's.
  await submit('b@alpha.example', ['f@alpha.example']);
  const heardByB = (await reportsTo('b@alpha.example', 2)).flatMap(({ recipients }) => recipients);
  t.true(heardByB.some((each) => /f@alpha\.example\nAction: failed\nStatus: 5\.7\.1/.test(each)));
  t.is((await alpha.mailboxOf('f@alpha.example')).length, 1);
});

postfixTest('an exit that is killed while mails fail: each sender hears once', async (t) => {
  const before = failures();
  for (let i = 0; i < 8; i++) {
    await submit('alias@alpha.example', [`nobody${i}@beta.example`]);
    if (i % 3 !== 2) continue;
    await until('some fail', () => failures() > before + i - 2, LATER_MS);
    await program('beta').kill();
    program('beta').start();
  }
  const names = Array.from({ length: 8 }, (_, i) => `nobody${i}`);
  // MAIL FROM is an alias: what comes back is read by who is behind it.
  await until(
    'all are told',
    async () => new Set(await failedOf('i@alpha.example')).size === names.length,
    LATER_MS,
  );
  await sleep(3_000);
  t.deepEqual((await failedOf('i@alpha.example')).toSorted(), names);
});

postfixTest('an entry that is killed while reports come in: each sender hears once', async (t) => {
  const before = failures();
  const names = Array.from({ length: 8 }, (_, i) => `gone${i}`);
  for (const name of names) await submit('others@alpha.example', [`${name}@beta.example`]);
  for (let times = 1; times <= 3; times++) {
    await until('some fail', () => failures() >= before + 2 * times, LATER_MS);
    await program('alpha').kill();
    program('alpha').start();
  }
  await until('all have failed', () => failures() >= before + names.length, LATER_MS);
  await until(
    'all are told',
    async () => new Set(failedIn(await reportsTo('k@alpha.example', 0))).size === names.length,
    LATER_MS,
  );
  await sleep(3_000);
  const heard = await reportsTo('k@alpha.example', names.length);
  // Twice only where it died between the mail server's 250 and its record: then it is the same report.
  const byId = new Map(heard.map((each) => [each.parsed.messageId, each]));
  t.deepEqual(failedIn([...byId.values()]).toSorted(), names);
  t.true(failedIn(heard).length <= names.length + 3);
});

postfixTest('a mail that its exit never acks: a warning, then a failure', async (t) => {
  const heard = await reportsTo('h@alpha.example', 2, EXPIRY_MS + 30_000);
  const [late, lost] = heard;
  checkReport(t, late, 'h@alpha.example');
  t.is(late?.parsed.subject, 'Your mail is delayed');
  t.regex(
    late?.recipients[0] ?? '',
    /x@dead\.example\nAction: delayed\nStatus: 4\.4\.7\nWill-Retry-Until: /,
  );
  t.true((late?.parsed.date?.getTime() ?? 0) < startedMs + 45_000);
  checkReport(t, lost, 'h@alpha.example');
  t.is(lost?.parsed.subject, 'Your mail was not delivered');
  t.regex(lost?.recipients[0] ?? '', /x@dead\.example\nAction: failed\nStatus: 5\.4\.7$/);
  t.true((lost?.parsed.date?.getTime() ?? 0) >= startedMs + EXPIRY_MS - 1_000);
  t.is(lost?.parsed.from?.value[0]?.address, 'MAILER-DAEMON@alpha.example', 'the entry tells it');
});

postfixTest(
  'a mail whose exit has no mail server: a warning of the exit, then a failure',
  async (t) => {
    const [late, heard, ...more] = await reportsTo('g@alpha.example', 2, EXPIRY_MS + 30_000);
    checkReport(t, late, 'g@alpha.example');
    t.regex(
      late?.recipients[0] ?? '',
      /x@gamma\.example\nAction: delayed\nStatus: 4\.4\.[12]\nWill-/,
    );
    t.is(late?.parsed.from?.value[0]?.address, 'MAILER-DAEMON@gamma.example');
    checkReport(t, heard, 'g@alpha.example');
    t.regex(heard?.recipients[0] ?? '', /x@gamma\.example\nAction: failed\nStatus: 5\.4\.7$/);
    t.is(heard?.parsed.from?.value[0]?.address, 'MAILER-DAEMON@gamma.example');
    t.deepEqual(more, [], 'it was acked in time: no warning of the entry');
  },
);

postfixTest('nothing went from one mail server to another', async (t) => {
  t.is(contacts, 0);
  t.notRegex(await beta.log(), /to=<\w+@alpha\.example>/);
  t.notRegex(await alpha.log(), /postfix\/smtpd\[/, 'nobody came from outside');
  t.is((await alpha.mailboxOf('h@alpha.example')).length, 2);
  for (const name of ['alpha', 'beta', 'gamma']) {
    t.notRegex(logOf(name), /@(?:alpha|beta|gamma)\.example/, 'no address in a log');
  }
});

/** Of whom reports say that he failed, one of each; while its entry is down, a mail may also be late. */
function failedIn(heard: readonly Heard[]): string[] {
  return heard.flatMap(
    ({ recipients }) => /(\w+)@beta\S+\nAction: failed/.exec(recipients[0] ?? '')?.[1] ?? [],
  );
}

async function failedOf(address: string): Promise<string[]> {
  return failedIn(await reportsTo(address, 0));
}

function failures(): number {
  return logOf('beta').split('did not reach everybody').length - 1;
}

function program(name: string) {
  const found = mixnet.nodes.find((node) => node.name === name);
  if (!found) throw new Error(`no program is called ${name}`);
  return found;
}

function logOf(name: string): string {
  return readFileSync(mixnet.logOf(name), 'utf8');
}
