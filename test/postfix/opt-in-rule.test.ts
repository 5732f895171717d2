/**
 * Whether a mail goes to the gateway is decided twice: by the table in Postfix, by `viewHeader` in the
 * gateway. What the first sends and the second does not take only comes back; what the second would take and
 * the first does not send would leave in the clear. So they must agree about every header.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { fromUtf8 } from '../../src/bytes.ts';
import { viewHeader } from '../../src/mail/opt-in.ts';

const table = join(import.meta.dirname, '../../docker/postfix/panoramix_opt_in');
// postmap wants a main.cf, and would wait with one that was written this second.
const empty = mkdtempSync(join(tmpdir(), 'panoramix-postmap-'));
writeFileSync(join(empty, 'main.cf'), '');
spawnSync('touch', ['-d', '1 hour ago', join(empty, 'main.cf')]);
test.after.always(() => rmSync(empty, { recursive: true }));

/** What cleanup(8) would find in the table for these header lines, line ends LF. */
function postfixFilters(header: string): boolean {
  const { stdout, status, stderr } = spawnSync(
    'postmap',
    ['-c', empty, '-h', '-q', '-', `pcre:${table}`],
    { input: `${header}\n\nbody\n`, env: { PATH: `${process.env['PATH']}:/usr/sbin` } },
  );
  if (status === null || stderr.length > 0) throw new Error(`postmap: ${stderr?.toString()}`);
  return stdout.includes('FILTER panoramix:');
}

function gatewayMixes(header: string): boolean {
  const mail = `${header}\n\nbody\n`.replaceAll('\n', '\r\n');
  return viewHeader(fromUtf8(mail)).optIn !== 'no';
}

const word = fc.constantFrom(
  'no',
  'NO',
  'false',
  'False',
  '0',
  'yes',
  'required',
  '\v',
  '\f',
  'n',
  'o',
  '(',
  ';',
);
const blank = fc.constantFrom('', ' ', '\t', '  ', '\n ', '\n\t', '\n  ');
const value = fc
  .array(fc.tuple(blank, word, blank), { maxLength: 3 })
  .map((parts) => parts.map((part) => part.join('')).join(''));
const name = fc.constantFrom(
  'X-PANORAMIX-Mixable:',
  'x-panoramix-mixable:',
  'X-Panoramix-Mixable :',
  'X-PANORAMIX-Mixable\t:',
  'X-PANORAMIX-Mixables:',
  'XX-PANORAMIX-Mixable:',
  'Subject: X-PANORAMIX-Mixable:',
  'Subject: x\n X-PANORAMIX-Mixable:',
);
const header = fc
  .array(fc.tuple(name, blank, value), { minLength: 1, maxLength: 2 })
  .map((fields) => fields.map((field) => `From: a@b.example\n${field.join('')}`).join('\n'));

test('the table in Postfix and the gateway agree about every header', (t) => {
  fc.assert(
    fc.property(header, (text) => postfixFilters(text) === gatewayMixes(text)),
    { numRuns: 150, examples: [['X-PANORAMIX-Mixable: yes'], ['X-PANORAMIX-Mixable: no']] },
  );
  t.true(postfixFilters('X-PANORAMIX-Mixable: yes'));
  t.false(postfixFilters('X-PANORAMIX-Mixable:\n no'));
});
