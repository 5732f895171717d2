import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import {
  decodeXtext,
  encodeXtext,
  parseMail,
  parseRcpt,
  type CommandReason,
} from '../../src/mail/parameters.ts';

const STRICT = { utf8: 'declared' } as const;
const POSTFIX = { utf8: 'any' } as const;

test('MAIL keeps every parameter that is announced, values raw', (t) => {
  const line =
    'mail from:<"a b"@c.example> size=1234 Body=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314159';
  const parsed = parseMail(fromUtf8(line), STRICT);
  t.true(parsed.ok);
  if (!parsed.ok) return;
  const { sender, ...rest } = parsed.command;
  t.is(sender?.address, '"a b"@c.example');
  t.deepEqual(rest, {
    body: '8BITMIME',
    smtputf8: true,
    sizeBytes: 1234,
    ret: 'HDRS',
    envid: 'QQ+2B314159',
  });
});

test('MAIL without parameters is 7BIT, and the null sender is null', (t) => {
  t.deepEqual(parseMail(fromUtf8('MAIL FROM:<>'), STRICT), {
    ok: true,
    command: { sender: null, body: '7BIT', smtputf8: false },
  });
});

test('RCPT keeps NOTIFY and ORCPT, ORCPT raw', (t) => {
  const line = 'RCPT TO:<a@b.example> NOTIFY=success,FAILURE ORCPT=rfc822;list+2Bx@b.example';
  const parsed = parseRcpt(fromUtf8(line), false, STRICT);
  t.true(parsed.ok);
  if (!parsed.ok) return;
  t.is(parsed.command.notify, 'SUCCESS,FAILURE');
  t.is(parsed.command.orcpt, 'rfc822;list+2Bx@b.example');
});

test('a parameter without a value after a quoted address with SIZE= in it is not confused', (t) => {
  const parsed = parseMail(fromUtf8('MAIL FROM:<"> SIZE=5"@b.example> SIZE=7'), STRICT);
  t.true(parsed.ok && parsed.command.sizeBytes === 7);
});

const REFUSED: readonly [line: string, reason: CommandReason, why: string][] = [
  ['MAIL TO:<a@b.example>', 'command-malformed', 'the wrong word'],
  ['MAIL FROM <a@b.example>', 'command-malformed', 'no colon'],
  ['MAIL FROM:<a@b.example> FOO=1', 'parameter-unknown', 'a parameter nobody announced'],
  ['MAIL FROM:<a@b.example> NOTIFY=NEVER', 'parameter-unknown', "RCPT's parameter"],
  ['MAIL FROM:<a@b.example> SIZE=1 size=2', 'parameter-repeated', 'twice, in other case'],
  ['MAIL FROM:<a@b.example> SIZE', 'parameter-malformed', 'no value'],
  ['MAIL FROM:<a@b.example> SIZE=-1', 'parameter-malformed', 'below zero'],
  ['MAIL FROM:<a@b.example> SIZE=123456789012345678901', 'parameter-malformed', '21 digits'],
  ['MAIL FROM:<a@b.example> BODY=BINARYMIME', 'parameter-malformed', 'needs BDAT'],
  ['MAIL FROM:<a@b.example> SMTPUTF8=yes', 'parameter-malformed', 'takes no value'],
  ['MAIL FROM:<a@b.example> RET=ALL', 'parameter-malformed', 'neither FULL nor HDRS'],
  ['MAIL FROM:<a@b.example> ENVID=a+2', 'parameter-malformed', 'xtext cut short'],
  ['MAIL FROM:<a@b.example> ENVID=a+2b', 'parameter-malformed', 'xtext in lower case'],
  ['MAIL FROM:<a@b.example> ENVID=', 'parameter-malformed', 'empty'],
  ['MAIL FROM:<é@b.example>', 'smtputf8-not-declared', 'UTF-8 without SMTPUTF8'],
];

for (const [line, reason, why] of REFUSED) {
  test(`MAIL is refused: ${why}`, (t) => {
    t.deepEqual(parseMail(fromUtf8(line), STRICT), { ok: false, reason });
  });
}

const REFUSED_RCPT: readonly [line: string, reason: CommandReason, why: string][] = [
  ['RCPT TO:<>', 'recipient-missing', 'nobody'],
  ['RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY', 'parameter-malformed', 'NEVER beside another'],
  ['RCPT TO:<a@b.example> NOTIFY=', 'parameter-malformed', 'empty NOTIFY'],
  ['RCPT TO:<a@b.example> ORCPT=a@b.example', 'parameter-malformed', 'no address type'],
  ['RCPT TO:<a@b.example> ORCPT=rfc822;a=b', 'parameter-malformed', 'not xtext'],
  ['RCPT TO:<a@b.example> ORCPT=rfc822;', 'parameter-malformed', 'no address'],
  ['RCPT TO:<é@b.example>', 'smtputf8-not-declared', 'UTF-8 without SMTPUTF8'],
];

for (const [line, reason, why] of REFUSED_RCPT) {
  test(`RCPT is refused: ${why}`, (t) => {
    t.deepEqual(parseRcpt(fromUtf8(line), false, STRICT), { ok: false, reason });
  });
}

test('UTF-8 is taken where SMTPUTF8 was declared, and as Postfix does without', (t) => {
  t.true(parseMail(fromUtf8('MAIL FROM:<é@b.example> SMTPUTF8'), STRICT).ok);
  t.true(parseRcpt(fromUtf8('RCPT TO:<é@b.example>'), true, STRICT).ok);
  t.true(parseRcpt(fromUtf8('RCPT TO:<é@b.example>'), false, POSTFIX).ok);
});

test('bytes that are not UTF-8 are no address', (t) => {
  const line = Uint8Array.from([...fromUtf8('RCPT TO:<'), 0xe9, ...fromUtf8('@b.example>')]);
  t.deepEqual(parseRcpt(line, true, POSTFIX), { ok: false, reason: 'not-utf8' });
});

test('xtext is written and read back', (t) => {
  t.is(encodeXtext('a b+c=d\x7f'), 'a+20b+2Bc+3Dd+7F');
  t.is(decodeXtext('a+20b+2Bc+3Dd+7F'), 'a b+c=d\x7f');
  t.is(decodeXtext('a+2'), 'a+2');
});
