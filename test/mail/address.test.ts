import test from 'ava';
import fc from 'fast-check';
import {
  ADDRESS_BYTES_MAX,
  lookupDomain,
  scanPath,
  splitAddress,
  type AddressReason,
} from '../../src/mail/address.ts';

/** What Postfix takes; a refusal of ours would make a bounce of each. */
const TAKEN: readonly [path: string, address: string, domain: string, why: string][] = [
  ['<a@b.example>', 'a@b.example', 'b.example', 'plain'],
  ['  <a@b.example>', 'a@b.example', 'b.example', 'blanks before the path'],
  ['a@b.example', 'a@b.example', 'b.example', 'no brackets'],
  ['<"a b"@b.example>', '"a b"@b.example', 'b.example', 'blank in a quoted local part'],
  ['<"a@b"@b.example>', '"a@b"@b.example', 'b.example', 'at sign in a quoted local part'],
  ['<"a>b<c"@b.example>', '"a>b<c"@b.example', 'b.example', 'brackets in a quoted local part'],
  ['<"a\\"b\\\\"@b.example>', '"a\\"b\\\\"@b.example', 'b.example', 'escapes in quotes'],
  ['<""@b.example>', '""@b.example', 'b.example', 'empty quoted local part'],
  ['<a\\@x@b.example>', 'a\\@x@b.example', 'b.example', 'escape outside quotes (RFC 821)'],
  ['<a..b@b.example>', 'a..b@b.example', 'b.example', 'two dots'],
  ['<user.@b.example>', 'user.@b.example', 'b.example', 'dot at the end of the local part'],
  ['<.user@b.example>', '.user@b.example', 'b.example', 'dot at its beginning'],
  ['<u@host_name.example>', 'u@host_name.example', 'host_name.example', 'underscore in the domain'],
  ['<u@xn--bcher-kva.example>', 'u@xn--bcher-kva.example', 'xn--bcher-kva.example', 'A-label kept'],
  ['<u@B.EXAMPLE>', 'u@B.EXAMPLE', 'b.example', 'case kept, looked up in lower case'],
  ['<u@b.example.>', 'u@b.example.', 'b.example', 'final dot kept, looked up without'],
  ['<u@[192.0.2.1]>', 'u@[192.0.2.1]', '[192.0.2.1]', 'address literal'],
  ['<u@[IPv6:2001:db8::1]>', 'u@[IPv6:2001:db8::1]', '[ipv6:2001:db8::1]', 'IPv6 literal'],
  ['<@r1.example,@r2.example:u@b.example>', 'u@b.example', 'b.example', 'source route dropped'],
  ['<@[192.0.2.1]:u@b.example>', 'u@b.example', 'b.example', 'route over a literal dropped'],
  ['<@r1.example:@r2.example:u@b.example>', 'u@b.example', 'b.example', 'a route behind a route'],
  ['<postmaster>', 'postmaster', '', 'no domain (RFC 5321 §4.1.1.3)'],
  ['<root>', 'root', '', 'no domain: Postfix adds its own'],
  ['<a@b@c.example>', 'a@b@c.example', 'c.example', 'two at signs: the last one counts'],
  ['<a%b.example@c.example>', 'a%b.example@c.example', 'c.example', 'percent hack'],
  ['<a!b@c.example>', 'a!b@c.example', 'c.example', 'bang path'],
  ['<u+tag=x/y@c.example>', 'u+tag=x/y@c.example', 'c.example', 'all that atoms may hold'],
  ['<δ@b.example>', 'δ@b.example', 'b.example', 'UTF-8 local part'],
  [
    '<u@bücher.example>',
    'u@bücher.example',
    'xn--bcher-kva.example',
    'U-label looked up as A-label',
  ],
  ['<u@BÜCHER.example>', 'u@BÜCHER.example', 'xn--bcher-kva.example', 'upper-case U-label'],
];

for (const [path, address, domain, why] of TAKEN) {
  test(`an address is taken to the letter: ${why}`, (t) => {
    const scanned = scanPath(path);
    t.true(scanned.ok);
    if (scanned.ok) {
      t.is(scanned.mailbox?.address, address);
      t.is(scanned.mailbox?.domain, domain);
    }
  });
}

const REFUSED: readonly [path: string, reason: AddressReason, why: string][] = [
  ['', 'path-malformed', 'nothing'],
  ['   ', 'path-malformed', 'blanks'],
  ['<a@b.example', 'path-malformed', 'no closing bracket'],
  ['<a b@c.example>', 'path-malformed', 'blank outside quotes'],
  ['<a\tb@c.example>', 'path-malformed', 'tab outside quotes'],
  ['<<a@b.example>>', 'path-malformed', 'bracket in brackets'],
  ['<a@b.example>SIZE=1', 'path-malformed', 'no blank after the path'],
  ['<"a@b.example>', 'path-malformed', 'quote left open'],
  ['<a@b.example\\>', 'path-malformed', 'bracket escaped away'],
  ['"a b"@c.example', 'path-malformed', 'quotes without brackets'],
  ['<a@b.example\0>', 'control-character', 'NUL'],
  ['<a\r\nRCPT TO:<x@y>', 'control-character', 'CRLF: another command'],
  ['<a\x7f@b.example>', 'control-character', 'DEL'],
  ['<@b.example>', 'local-part-empty', 'no local part'],
  ['<@r.example:>', 'local-part-empty', 'a route to nowhere'],
  ['<@r.example:@r.example:@b.example>', 'local-part-empty', 'two routes to nobody'],
  ['<a@>', 'domain-malformed', 'no domain after the at sign'],
  ['<a@b,c.example>', 'domain-malformed', 'comma in the domain'],
  ['<a@[192.0.2.1>', 'domain-malformed', 'literal left open'],
  ['<a@b"c.example>', 'path-malformed', 'quote in the domain'],
  [
    `<${'a'.repeat(ADDRESS_BYTES_MAX)}@b.example>`,
    'address-too-long',
    'longer than Postfix writes',
  ],
];

for (const [path, reason, why] of REFUSED) {
  test(`an address is refused: ${why}`, (t) => {
    t.deepEqual(scanPath(path), { ok: false, reason });
  });
}

test('the null sender is a path without a mailbox, and what follows is handed on', (t) => {
  t.deepEqual(scanPath('<> SIZE=10'), { ok: true, mailbox: null, rest: ' SIZE=10' });
});

test('an address as long as Postfix may write is taken', (t) => {
  const domain = 'b.example';
  const address = `${'a'.repeat(ADDRESS_BYTES_MAX - domain.length - 1)}@${domain}`;
  t.true(scanPath(`<${address}>`).ok);
  t.is(splitAddress(`a${address}`), 'address-too-long');
});

test('what looks like URL syntax in a domain is not interpreted', (t) => {
  t.is(lookupDomain('in.example/ä'), 'in.example/ä');
  t.is(lookupDomain('in.example:25ä'), 'in.example:25ä');
  t.is(lookupDomain('ä@in.example'), 'ä@in.example');
  t.is(lookupDomain('in%2eexample'), 'in%2eexample');
});

test('any text gives an answer, and what is taken reads as itself again', (t) => {
  const noise = fc.string({
    unit: fc.constantFrom(...'ab"\\<>@. :,[]\t\0é'.split('')),
    maxLength: 40,
  });
  fc.assert(
    fc.property(noise, (text) => {
      const first = scanPath(`<${text}>`);
      if (!first.ok || !first.mailbox) return;
      const again = scanPath(`<${first.mailbox.address}>`);
      t.deepEqual(again, { ok: true, mailbox: first.mailbox, rest: '' });
    }),
    { numRuns: 3000 },
  );
});
