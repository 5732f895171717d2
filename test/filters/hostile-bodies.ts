/**
 * What somebody who writes the message may put into it so that one server sees its end where another does
 * not, or so that it is no longer what was sent: by idea from what has been published about SMTP
 * smuggling (2023, and what Postfix, Exim and Sendmail said about it since), and from RFC 5321 §2.3.8, §4.1.1.4.
 */

export interface HostileBody {
  readonly what: string;
  /** What follows the header and its empty line, stuffed where its author chose to; each character a byte. */
  readonly body: string;
}

/** A whole transaction, as it would be smuggled. */
export const SMUGGLED = [
  'MAIL FROM:<evil@in.example>',
  'RCPT TO:<victim@in.example>',
  'DATA',
  'Subject: smuggled',
  '',
  'from inside',
  '',
].join('\r\n');

/** What this or that server has taken for the end of a message; the true one is CRLF dot CRLF. */
const FALSE_ENDS: readonly (readonly [end: string, what: string])[] = [
  ['\n.\n', 'LF dot LF'],
  ['\n.\r\n', 'LF dot CRLF'],
  ['\r\n.\n', 'CRLF dot LF'],
  ['\n\n.\n\n', 'LF LF dot LF LF'],
  ['\r.\r', 'CR dot CR'],
  ['\r.\r\n', 'CR dot CRLF'],
  ['\r\n.\r', 'CRLF dot CR'],
  ['\r.\n', 'CR dot LF'],
  ['\n.\r', 'LF dot CR'],
  ['\r\n.\r\r\n', 'CRLF dot CR CRLF'],
  ['\n\r.\n\r', 'LF CR dot LF CR'],
  ['\r\n\0.\r\n', 'NUL before the dot'],
  ['\r\n.\0\r\n', 'NUL behind the dot'],
  ['\r\n\0.\0\r\n', 'NUL on both sides'],
  ['\r\0\n.\r\0\n', 'NUL between CR and LF'],
  ['\r\n. \r\n', 'a blank behind the dot'],
  ['\r\n .\r\n', 'a blank before the dot'],
  ['\r\n.\t\r\n', 'a tabulator behind the dot'],
  ['\r\n..\r\n', 'a stuffed dot'],
  ['\r\n...\r\n', 'three dots'],
  ['\x0b.\x0b', 'vertical tabulators for line ends'],
  ['\x0c.\x0c', 'form feeds for line ends'],
  ['\x85.\x85', 'NEL for line ends'],
  ['\xe2\x80\xa8.\xe2\x80\xa8', 'LINE SEPARATOR in UTF-8 for line ends'],
  ['\r\n\x1a\r\n', 'the end of a file of DOS'],
  ['\r\n\x04\r\n', 'the end of a transmission'],
  ['\r\n\xff\xf4\r\n', 'an interrupt of telnet'],
];

export const HOSTILE_BODIES: readonly HostileBody[] = [
  ...FALSE_ENDS.map(([end, what]) => ({ what, body: `before${end}${SMUGGLED}` })),
  { what: 'commands as lines', body: `QUIT\r\nRSET\r\nDATA\r\n${SMUGGLED}` },
  { what: 'BDAT as a line', body: `BDAT 10 LAST\r\n${SMUGGLED}` },
  {
    what: 'a stuffed dot before each command',
    body: `x\r\n..${SMUGGLED.replaceAll('\r\n', '\r\n..')}`,
  },
  { what: 'nothing but dots', body: '..\r\n'.repeat(30) },
  { what: 'bare CRs alone', body: '\r\r\r\r' },
  { what: 'bare LFs alone', body: '\n\n\n\n' },
  { what: 'CR at the end', body: 'x\r' },
  { what: 'LF at the end', body: 'x\n' },
  { what: 'CR CRLF at each end of a line', body: 'a\r\r\nb\r\r\n' },
  { what: 'NUL alone', body: '\0\0\r\n\0' },
  { what: 'every byte there is', body: String.fromCharCode(...Array(256).keys()) },
  { what: 'a line of 999 bytes', body: 'x'.repeat(999) },
  { what: 'a line of 70 000 bytes, dots on its way', body: `${'x'.repeat(69)}.`.repeat(1_000) },
  { what: 'a line of 70 000 bytes with CRs', body: `${'x'.repeat(68)}\r.`.repeat(1_000) },
];

/** What a server that goes by the book reads of a stuffed body (RFC 5321 §4.5.2): not by our own code. */
export function unstuffed(wire: string): string {
  return wire.replaceAll(/(^|\r\n)\./g, '$1');
}

/** The one canonicalisation, said in another way than ours: every line end is CRLF, the last one is there. */
export function canonical(message: string): string {
  const lines = message.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  return (lines === '' || lines.endsWith('\n') ? lines : `${lines}\n`).replaceAll('\n', '\r\n');
}
