/** Inputs to begin with that several targets share. */
import { readFileSync, readdirSync } from 'node:fs';
import { latin1 } from './target.ts';

/** Mail, odd and plain, of the hostile-input tables (test/fixtures/mail). */
export function mailSeeds(bytesMax: number): Uint8Array[] {
  const folder = new URL('../fixtures/mail/', import.meta.url);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.eml'))
    .map((name) => new Uint8Array(readFileSync(new URL(name, folder))))
    .filter(({ length }) => length <= bytesMax);
}

/** Addresses as they stand between angle brackets: all that Postfix takes, and what it does not. */
export const ADDRESSES = [
  'bob@in.example',
  'bob+tag@IN.Example.',
  '"bob smith"@in.example',
  '"a\\"b@c"@in.example',
  'b\\@b@in.example',
  '@a.example,@b.example:bob@in.example',
  '@a.example:@b.example:bob@in.example',
  'bob..x.@in.example',
  'bob@[192.0.2.1]',
  'bob@[IPv6:2001:db8::1]',
  'bücher@bücher.example',
  'bob@xn--bcher-kva.example',
  'bob@_under.example',
  'bob',
  'bob%b.example@in.example',
  'a!b!bob@in.example',
  'bob@in.example\r\nRCPT TO:<eve@in.example>',
  'bob@in。example',
  'bob@ｉｎ.example',
  `${'a'.repeat(300)}@in.example`,
];

export const ADDRESS_WORDS = [
  '<', '>', '@', '"', '\\', '.', '..', ',', ':', '[', ']', '(', ')', ' ', '\t', '\r\n', '\0', '%', '!',
  '+', '@in.example', 'in.example', '@a.example:', 'xn--', '\xe3\x80\x82', '\xc3\xbc', '\xef\xbd\x89',
]; // prettier-ignore

/** Texts as seeds. */
export function textSeeds(texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => new Uint8Array(Buffer.from(text, 'utf8')));
}

/** A mail server's notification (RFC 3464) of one recipient, and a mail about nothing of the kind. */
export const BOUNCE = latin1(
  [
    'From: MAILER-DAEMON@b.example',
    'Content-Type: multipart/report; report-type=delivery-status;',
    '\tboundary="next.part/1"',
    '',
    'This is a MIME-encapsulated message.',
    '--next.part/1',
    'Content-Type: text/plain',
    '',
    'I am sorry.',
    '--next.part/1',
    'Content-Description: Delivery report',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; b.example',
    'X-Postfix-Queue-ID: 4ABC',
    '',
    'Final-Recipient: rfc822; bob@b.example',
    'Original-Recipient: rfc822;alias@b.example',
    'Action: failed',
    'Status: 5.1.1',
    'Remote-MTA: dns; 127.0.0.1',
    'Diagnostic-Code: smtp; 550 5.1.1 <bob@b.example>:',
    '    no such user',
    '',
    '--next.part/1',
    'Content-Type: message/rfc822',
    '',
    'Subject: it',
    '',
    'text',
    '--next.part/1--',
    '',
  ].join('\r\n'),
);
