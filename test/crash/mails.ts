/**
 * The mails of a crash run: each is made from its number alone, so that nothing of it needs to be kept to say
 * whether it arrived unchanged. Sizes are odd and unlike.
 */
import { createHash } from 'node:crypto';
import { optIn } from '../postfix/messages.ts';

/** Which way mails go. Each provider is the entry of one and the exit of the other. */
export interface Direction {
  readonly from: string;
  readonly to: string;
  /** Names of the gateways. */
  readonly entry: string;
  readonly exit: string;
}

export const DIRECTIONS: readonly Direction[] = [
  { from: 'ada@alpha.example', to: 'bob@beta.example', entry: 'alpha', exit: 'beta' },
  { from: 'bob@beta.example', to: 'ada@alpha.example', entry: 'beta', exit: 'alpha' },
];

/** A report has the original's header in its last part. */
const HEAD_BYTES_MAX = 20_000;
const LINE_BYTES = [76, 0, 1, 300, 76, 990, 3, 76, 77];

/**
 * - `small`, `middle`, `large`: of one fragment, of a few, of a hundred
 * - `failing`: to somebody whom the far provider does not know. What must arrive is one report, at its sender's
 * - `bouncing`: to an alias that leads nowhere, which the far Postfix finds out after its 250. The same
 * - `passing`: opted in, to a domain that is in no mixnet: handed back to Postfix, it goes there in the clear
 */
export type MailKind = 'small' | 'middle' | 'large' | 'failing' | 'bouncing' | 'passing';

/** One mail as it is submitted, and as it must arrive. */
export interface CrashMail {
  readonly number: number;
  readonly kind: MailKind;
  readonly direction: Direction;
  /** RCPT TO. */
  readonly to: string;
  readonly submitted: Buffer;
  readonly expected: Buffer;
}

/** @param run names the run: mails of another one are strangers */
export function mailOf(run: string, number: number, kind: MailKind): CrashMail {
  const direction = DIRECTIONS[number % DIRECTIONS.length] as Direction;
  const to = recipientOf(kind, direction.to);
  const head = [
    `From: <${direction.from}>`,
    `To: <${to}>`,
    `Subject: number ${number} of run ${run}`,
    'Date: Fri, 01 Jan 2027 12:00:00 +0000',
    `Message-ID: <crash.${run}.${number}@${direction.from.split('@')[1]}>`,
  ];
  const body = bodyOf(run, number, kind);
  const message = (lines: readonly string[]): Buffer =>
    Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'utf8');
  return {
    number,
    kind,
    direction,
    to,
    submitted: message([...head.slice(0, 3), optIn, ...head.slice(3)]),
    expected: message(head),
  };
}

/** Whether what must arrive is a report. */
export function isReported(kind: MailKind): boolean {
  return kind === 'failing' || kind === 'bouncing';
}

/** Of the far provider: `alias` leads nowhere, `nobody` does not exist, `plain.` stands before a domain that is not mixed. */
function recipientOf(kind: MailKind, to: string): string {
  if (kind === 'failing') return to.replace(/^\w+/, 'nobody');
  if (kind === 'bouncing') return to.replace(/^\w+/, 'alias');
  return kind === 'passing' ? to.replace('@', '@plain.') : to;
}

/** What an arrived mail is: the number of one of this run, or of which it is a report; null for a stranger. */
export function recognise(
  run: string,
  message: Buffer,
): { readonly number: number; readonly isReport: boolean } | null {
  const text = message.toString('latin1', 0, HEAD_BYTES_MAX);
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  const isReport = /^Content-Type: multipart\/report/im.test(head);
  const found = /^Message-ID: <crash\.([\w-]+)\.(\d+)@/im.exec(isReport ? text : head);
  return found?.[1] === run ? { number: Number(found[2]), isReport } : null;
}

/** SHA-256 in hex. */
export function hashOf(message: Uint8Array): string {
  return createHash('sha256').update(message).digest('hex');
}

/** Lines of every length, dots in front, eight bits; ends with CRLF. */
function bodyOf(run: string, number: number, kind: MailKind): string {
  const seed = createHash('sha256').update(`${run}/${number}`).digest();
  const [bytesMin, bytesMax] = BYTES[kind];
  const bytes = bytesMin + Math.round(((bytesMax - bytesMin) * seed.readUInt32BE()) / 2 ** 32);
  const text = createHash('shake256', { outputLength: Math.ceil(bytes * 0.75) })
    .update(seed)
    .digest('base64');
  const lines: string[] = ['.', '..', 'ä ö ü €', 'From here on it is drawn:', ''];
  for (let at = 0, i = number; at < text.length; i++) {
    const length = LINE_BYTES[i % LINE_BYTES.length] as number;
    lines.push(`${i % 3 === 0 ? '.' : ''}${text.slice(at, at + length)}`);
    at += length;
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** Bodies are drawn between the two. */
const BYTES: Readonly<Record<MailKind, readonly [number, number]>> = {
  small: [100, 20_000],
  middle: [30_000, 120_000],
  large: [1_000_000, 3_000_000],
  failing: [100, 20_000],
  bouncing: [100, 20_000],
  passing: [100, 200_000],
};
