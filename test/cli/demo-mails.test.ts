import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import { readMail } from '../../src/cli/demo/mails.ts';

const root = resolve(import.meta.dirname, '../..');
const folders = [join(root, 'test/fixtures/mail'), join(root, '../shared/mail')].filter(existsSync);

/** Where the opt-in that the demo puts on top is not simply taken off again. */
const DIFFERENT = new Map([
  ['continuation-first.eml', 'the first line goes on from the opt-in above it, and goes with it'],
  ['dkim-names-opt-in.eml', 'a signature names the opt-in, so it stays'],
]);

for (const folder of folders) {
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.eml'))) {
    test(`${name} of ${folder.split('/').slice(-2).join('/')}: what the demo expects is what a naive reading says`, (t) => {
      const { expected } = readMail(join(folder, name));
      const file = latin1(readFileSync(join(folder, name)));
      t.is(latin1(expected), naive(`X-PANORAMIX-Mixable: yes\r\n${file}`));
      t.is(latin1(expected) !== naive(file), DIFFERENT.has(name), DIFFERENT.get(name));
    });
  }
}

test('the tally counts what came, what was exact, what came twice and what is missing', (t) => {
  const tally = new Tally();
  tally.expect('a@x', fromUtf8('one'));
  tally.expect('b@x', fromUtf8('two'));
  tally.expect('c@x', fromUtf8('three'));
  const arrival = { from: '', smtputf8: false };
  t.deepEqual(tally.note({ ...arrival, recipients: ['a@x', 'other@x'], data: fromUtf8('one') }), [
    { recipient: 'a@x', exact: true },
  ]);
  t.false(tally.note({ ...arrival, recipients: ['b@x'], data: fromUtf8('twO') })[0]?.exact);
  tally.note({ ...arrival, recipients: ['a@x'], data: fromUtf8('one') });
  t.like(tally, { sent: 3, delivered: 2, exact: 1, twice: 1, complete: false, missing: ['c@x'] });
});

/** The policy by regular expressions over the whole text, written apart from the product's scanner. */
function naive(file: string): string {
  let text = file.replaceAll(/\r\n|\r|\n/g, '\r\n');
  if (text !== '' && !text.endsWith('\r\n')) text += '\r\n';
  const header = /^(?:[!-9;-~]+[ \t]*:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*)*/.exec(text)?.[0] ?? '';
  const fields = header.match(/[!-9;-~]+[ \t]*:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*/g) ?? [];
  const signed = fields
    .filter((field) => /^(dkim|arc-message)-signature\s*:/i.test(field))
    .flatMap(
      (field) =>
        /[:;]\s*h\s*=([^;]*)/
          .exec(field)?.[1]
          ?.toLowerCase()
          .split(/[\s:]+/) ?? [],
    );
  const goes = (field: string): boolean => {
    const name = /^[!-9;-~]+/.exec(field)?.[0].toLowerCase() ?? '';
    return ['received', 'x-panoramix-mixable'].includes(name) && !signed.includes(name);
  };
  return fields.filter((field) => !goes(field)).join('') + text.slice(header.length);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
