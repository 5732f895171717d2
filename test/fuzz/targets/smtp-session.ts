/**
 * Whole dialogues at the door that Postfix talks to, over a real socket. Whatever is sent, and however it is cut: what
 * came in as a mail is what a client that goes by the book has sent as one, each command has one reply, and
 * the door stays open for the next who comes. Marks in an input say where it is cut in two.
 */
import { once } from 'node:events';
import { createConnection, type AddressInfo } from 'node:net';
import { SmtpListener } from '../../../filters/smtp-listener.ts';
import { equalBytes } from '../../../src/bytes.ts';
import type { ReceivedMail } from '../../../src/mail/envelope.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { hold, latin1, type Target } from '../target.ts';
import { followDialogue, type SentMail } from '../dialogue-by-the-book.ts';

const BYTES_MAX = 20_000;
const PIECES_MAX = 300;
const END = 'QUIT\r\n';
const WORDS = [
  'EHLO a.example\r\n', 'LHLO a.example\r\n', 'HELO a\r\n', 'MAIL FROM:<a@a.example>\r\n', 'MAIL FROM:<>', 'RCPT TO:<b@in.example>\r\n',
  'DATA\r\n', '.\r\n', '\r\n.\r\n', '\n.\n', '\r.\r', '\n.\r\n', '\r\n.\n', '\r\n.\r', '..\r\n', 'RSET\r\n', 'NOOP\r\n', 'QUIT\r\n', 'BDAT 5 LAST\r\nabcde',
  'XFORWARD IDENT=4ABC ADDR=192.0.2.1\r\n', 'VRFY a\r\n', 'EXPN a\r\n', 'STARTTLS\r\n', 'AUTH PLAIN AAAA\r\n', 'XCLIENT NAME=a\r\n', 'HELP\r\n',
  'GET / HTTP/1.1\r\n', '\0', '\r', '\n', '\xff\xff', ' SIZE=', ' SIZE=99999999', ' BODY=8BITMIME', ' SMTPUTF8', 'a'.repeat(1000), 'a'.repeat(5000),
]; // prettier-ignore

const MAIL =
  'MAIL FROM:<a@a.example> SIZE=20\r\nRCPT TO:<b@in.example>\r\nRCPT TO:<c@in.example> NOTIFY=NEVER\r\nDATA\r\n';
const SEEDS = [
  `${MAIL}Subject: it\r\n\r\ntext\r\n.\r\n`,
  `${MAIL}..\r\n.x\r\n..\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<d@in.example>\r\nDATA\r\nsecond\r\n.\r\n`,
  `XFORWARD IDENT=4ABC ADDR=192.0.2.1\r\n${MAIL}a\n.\nMAIL FROM:<e@e.example>\r\nb\r\n.\r\nNOOP\r\n`,
  `${MAIL}a\r.\rb\r\n.\rc\r\n.\nd\r\n.\r\nRSET\r\n`,
  `RCPT TO:<b@in.example>\r\nDATA\r\nMAIL FROM:<a b>\r\n${MAIL}${'x'.repeat(21_000)}\r\n.\r\nNOOP\r\n`,
  `${MAIL}${'.\r\n'.replace('.', '..').repeat(50)}.\r\n${MAIL}`,
];

interface Door {
  readonly port: number;
  readonly mails: ReceivedMail[];
}

export async function openSmtpSession(protocol: 'smtp' | 'lmtp'): Promise<Target> {
  const mails: ReceivedMail[] = [];
  const errors: Error[] = [];
  const listener = new SmtpListener({
    protocol,
    hostname: 'filter.example',
    messageBytesMax: BYTES_MAX,
    recipientsMax: 5,
    connectionsMax: 50,
    bufferedBytesMax: 10 * BYTES_MAX,
    idleMsMax: 20_000,
    messageMsMax: 20_000,
    stopMsMax: 100,
    receive: (mail) => {
      mails.push(mail);
      const replies = mail.recipients.map(() => ({ code: 250, text: '2.0.0 Ok' }));
      return Promise.resolve(protocol === 'lmtp' ? replies : replies.slice(0, 1));
    },
    onError: (error) => void errors.push(error),
  });
  const server = listener.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const door = { port: (server.address() as AddressInfo).port, mails };
  const greeting = protocol === 'lmtp' ? 'LHLO a.example\r\n' : 'EHLO a.example\r\n';
  return {
    seeds: SEEDS.map((text) => latin1(greeting + text)),
    mutations: [...LINE_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 65_536,
    cpuMsMax: 300,
    shortRuns: 700,
    async run(input) {
      const whole = await talk(door, input, null);
      if (whole === null) return;
      const wanted = followDialogue(withQuit(input), whole.replies, protocol);
      hold(wanted.ok, wanted.ok ? '' : wanted.why);
      hold(same(whole.mails, wanted.mails), 'the mails that came in are not those that were sent');
      for (const [i, mail] of whole.mails.entries()) checkEnvelope(mail, wanted.mails[i]);
      // Byte by byte where it is short; what thousands of segments cost is the sender's affair.
      const everyBytes = Math.max(1 + (input.length % 97), Math.ceil(input.length / PIECES_MAX));
      const cut = await talk(door, input, everyBytes);
      if (cut === null) return;
      hold(cut.replies.join('') === whole.replies.join(''), 'the replies depend on segments');
      hold(same(cut.mails, whole.mails), 'the mails depend on segments');
      hold(listener.bufferedBytes === 0, 'bytes of mails are held for ever');
      hold(errors.length === 0, `an error of the listener: ${errors.splice(0).join()}`);
    },
    async close() {
      await listener.stop();
    },
  };
}

/**
 * One connection that sends all, in one piece or cut every few bytes, and reads to the end. Null where the listener
 * hung up on what we still had to send: then the kernel may throw away what it had answered.
 */
async function talk(
  door: Door,
  input: Uint8Array,
  everyBytes: number | null,
): Promise<{ replies: string[]; mails: ReceivedMail[] } | null> {
  door.mails.length = 0;
  const socket = createConnection({ port: door.port, host: '127.0.0.1', noDelay: true });
  const received: Buffer[] = [];
  let isReset = false;
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  socket.on('error', () => (isReset = true));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await Promise.race([once(socket, 'data'), closed]);
  const bytes = withQuit(input);
  for (let at = 0; at < bytes.length && socket.writable; at += everyBytes ?? bytes.length) {
    socket.write(bytes.subarray(at, at + (everyBytes ?? bytes.length)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  if (isReset) return null;
  const lines = Buffer.concat(received).toString('latin1');
  return { replies: repliesIn(lines).slice(1), mails: [...door.mails] };
}

/** What ends whatever the input has begun: a message, then a command line, then the connection. */
function withQuit(input: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([input, Buffer.from(`\r\n.\r\n${END}`)]));
}

/** Replies, each with all its lines. */
function repliesIn(lines: string): string[] {
  return lines.match(/(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/g) ?? [];
}

interface WithData {
  readonly data: Uint8Array;
}

function same(left: readonly WithData[], right: readonly WithData[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ data }, i) => equalBytes(data, right[i]?.data ?? new Uint8Array()))
  );
}

/** Sender and recipients are those of the lines that got 250, one for one. */
function checkEnvelope({ sender, recipients }: ReceivedMail, sent: SentMail | undefined): void {
  const { mailLine = '', rcptLines = [] } = sent ?? {};
  hold(asUtf8(mailLine).includes(sender), 'another sender than the one that was accepted');
  hold(recipients.length === rcptLines.length, 'more or fewer recipients than were accepted');
  for (const [i, { address }] of recipients.entries()) {
    hold(asUtf8(rcptLines[i] ?? '').includes(address), 'another recipient than was accepted');
  }
}

function asUtf8(line: string): string {
  return Buffer.from(line, 'latin1').toString('utf8');
}
