/** The listeners, the client and the exit beside a real Postfix, wired as an operator wires it. */
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { canonicalise } from '../../src/mail/message.ts';
import { createExit } from '../../filters/exit.ts';
import { Submitter } from '../../filters/submit.ts';
import { dialogue, transaction } from '../postfix/dialogue.ts';
import { mail, optIn } from '../postfix/messages.ts';
import { choosePorts } from '../postfix/ports.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { startEntryRig, type EntryRig } from './entry-rig.ts';

const FIXTURES = new URL('../fixtures/mail/', import.meta.url);
/** What Postfix itself changes, whoever sends it: not ours to carry. */
const CHANGED_BY_POSTFIX: readonly (readonly [file: string, how: string])[] = [
  ['mbox-from-line', 'smtpd makes X-Mailbox-Line of "From "'],
  ['fields-blank-before-colon', 'cleanup takes blanks before a colon away'],
  ['nul-bytes', 'cleanup ends a header field at NUL; in the body NUL stays'],
  ['header-interrupted', 'cleanup sets an empty line before the first line that is no field'],
  ['only-body', 'the same'],
  ['body-begins-with-colon', 'the same'],
  ['continuation-first', 'the same'],
  ['dot-only', 'the same'],
  ['utf8-bom', 'the same'],
];

let postfix: PrivatePostfix;
let rig: EntryRig;
let back: Submitter;

beforePostfixTests(async () => {
  const ports = await choosePorts();
  postfix = await startPostfix({
    name: 'alpha',
    domains: { 'alpha.example': ['ada', 'bob', 'carol', 'odd'] },
    ports,
    routes: { 'in.example': ports.outside, 'waiting.example': ports.outside },
  });
  back = new Submitter({ server: address(ports.reinject), hostname: 'filter.example' });
  rig = await startEntryRig({
    entry: { submitter: back },
    listen: { lmtp: address(ports.lmtp), smtp: null, messageBytesMax: 20_480_000 },
  });
});

test.after.always(async () => {
  await postfix?.stop();
  await rig?.[Symbol.asyncDispose]();
  await back?.close();
});

postfixTest(
  'opted-in mail to a domain outside goes through the filter and comes back',
  async (t) => {
    const message = mail([optIn]);
    await postfix.submit({ from: 'ada@alpha.example', to: ['bob@alpha.example'], message });
    const [arrived] = await postfix.waitForMail('bob@alpha.example');
    t.is(arrived?.message.toString(), message.replace(`${optIn}\r\n`, ''));
    const line = rig.logged.at(-1);
    t.is(line?.['action'], 'pass');
    const queueId = String(line?.['queueId']);
    t.regex(await postfix.waitForLog(/status=sent \(250 2\.6\.0 passed: 2\.0\.0 Ok/), /relay=127/);
    t.true((await postfix.log()).includes(`${queueId}: to=<bob@alpha.example>`));
    t.true((await postfix.log()).includes(`orig_queue_id=${queueId}`), 'XFORWARD IDENT went back');
  },
);

postfixTest(
  'opted-in mail to the mixnet is taken, addresses to the letter, id in the log',
  async (t) => {
    const steps = transaction(
      'ada@alpha.example',
      ['"b b"@in.example', 'a..b@in.example', 'u.@in.example', '"x@y"@in.example'],
      `${mail([optIn])}.\r\n`,
    );
    await dialogue(postfix.ports.submission, steps);
    await postfix.waitForQueue((queue) => queue.length === 0);
    const [mixed] = rig.mixed;
    t.deepEqual(
      mixed?.recipients.map(({ address: to }) => to).toSorted(),
      // Postfix quotes what RFC 5321 would have quoted.
      ['"a..b"@in.example', '"b b"@in.example', '"u."@in.example', '"x@y"@in.example'],
    );
    t.regex(await postfix.log(), new RegExp(`250 2\\.6\\.0 queued in mix ${mixed?.messageId}`));
  },
);

postfixTest('one recipient waits and the other is served, over one LMTP transaction', async (t) => {
  const to = ['carol@alpha.example', 'w@waiting.example'];
  await postfix.submit({ from: 'ada@alpha.example', to, message: mail([optIn]) });
  await postfix.waitForMail('carol@alpha.example');
  const [waiting] = await postfix.waitForQueue(
    (queue) => queue.length === 1 && /delay_reason/.test(JSON.stringify(queue)),
  );
  t.regex(JSON.stringify(waiting), /w@waiting\.example.*451 4\.4\.1/);
  t.false(JSON.stringify(waiting).includes('carol'));
});

postfixTest(
  'an exit delivers every odd mail of ours byte for byte, but for what Postfix changes',
  async (t) => {
    const submitter = new Submitter({
      server: address(postfix.ports.exit),
      hostname: 'exit.example',
    });
    const deliver = createExit({
      submitter,
      policy: { objectionTo: () => null },
      sender: 'return',
      returnDomain: 'alpha.example',
      returnKey: new Uint8Array(32),
      primitives: native,
      log: silentLog,
    });
    const files = readdirSync(FIXTURES).filter((name) => name.endsWith('.eml'));
    const sent = new Map<string, Buffer>();
    for (const name of files) {
      const data = canonicalise(readFileSync(new URL(name, FIXTURES)));
      const result = await deliver({
        messageId: toHex(native.random(16)),
        from: 'ada@alpha.example',
        recipients: [{ address: 'odd@alpha.example' }, { address: 'nobody@alpha.example' }],
        body: '8BITMIME',
        smtputf8: false,
        data,
        sha256: toHex(native.sha256(data)),
      });
      t.deepEqual(result.accepted, ['odd@alpha.example'], name);
      t.true(result.refused[0]?.permanent && result.refused[0].reply.startsWith('550 5.1.1'), name);
      sent.set(name, Buffer.from(data));
    }
    await submitter.close();
    const arrived = await postfix.waitForMail('odd@alpha.example', files.length, 30_000);
    const messages = new Set(arrived.map(({ message }) => message.toString('latin1')));
    const changed = files.filter((name) => !messages.has(sent.get(name)?.toString('latin1') ?? ''));
    t.deepEqual(changed.toSorted(), CHANGED_BY_POSTFIX.map(([name]) => `${name}.eml`).toSorted());
  },
);

function address(port: number): { host: string; port: number } {
  return { host: '127.0.0.1', port };
}
