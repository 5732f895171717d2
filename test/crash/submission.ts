/**
 * A user's program at the submission port of a Postfix. It knows what it may believe: a mail is accepted with the
 * 250 to its last line; where the connection breaks after that line nobody knows; before it nothing was taken.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { stuff } from '../postfix/swaks.ts';

export type SubmissionOutcome =
  | { readonly kind: 'accepted' }
  /** Surely not taken: offered again, it is still the same mail. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Perhaps taken: offered again, it would perhaps be there twice. */
  | { readonly kind: 'unknown'; readonly why: string };

const REPLY_MS_MAX = 30_000;
const CRLF = Buffer.from('\r\n');

/** One connection at a time, kept for many mails, made anew where it broke. */
export class Submission {
  readonly #port: number;
  readonly #replyMsMax: number;
  #connection: Connection | null = null;

  /** @param replyMsMax how long a reply is waited for */
  constructor(port: number, replyMsMax = REPLY_MS_MAX) {
    this.#port = port;
    this.#replyMsMax = replyMsMax;
  }

  async send(from: string, to: string, message: Buffer): Promise<SubmissionOutcome> {
    let isSent = false;
    try {
      this.#connection ??= await Connection.open(this.#port, this.#replyMsMax);
      const connection = this.#connection;
      await connection.say(`MAIL FROM:<${from}> BODY=8BITMIME`, 250);
      await connection.say(`RCPT TO:<${to}>`, 250);
      await connection.say('DATA', 354);
      const stuffed = stuff(message);
      isSent = true;
      await connection.say(stuffed, 250);
      return { kind: 'accepted' };
    } catch (thrown) {
      this.close();
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      return { kind: isSent && !(thrown instanceof Refused) ? 'unknown' : 'refused', why };
    }
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }
}

/** The server has answered, and not as wished. */
class Refused extends Error {}

class Connection {
  readonly #socket: Socket;
  readonly #replyMsMax: number;
  readonly #lines: Interface;
  readonly #replies: AsyncIterator<string>;

  private constructor(socket: Socket, replyMsMax: number) {
    this.#socket = socket;
    this.#replyMsMax = replyMsMax;
    this.#lines = createInterface({ input: socket });
    this.#replies = this.#lines[Symbol.asyncIterator]();
  }

  static async open(port: number, replyMsMax: number): Promise<Connection> {
    const socket = createConnection(port, '127.0.0.1');
    await once(socket, 'connect');
    const connection = new Connection(socket, replyMsMax);
    // What breaks, or is given up, is seen by the end of its lines.
    socket.on('error', () => undefined);
    socket.on('close', () => connection.#lines.close());
    socket.on('timeout', () => socket.destroy());
    await connection.#reply(220);
    await connection.say('EHLO user.crash.test', 250);
    return connection;
  }

  async say(line: string | Buffer, wanted: number): Promise<void> {
    this.#socket.write(Buffer.concat([Buffer.from(line as string), CRLF]));
    await this.#reply(wanted);
  }

  close(): void {
    this.#lines.close();
    this.#socket.destroy();
  }

  async #reply(wanted: number): Promise<void> {
    // Only while a reply is waited for: between two mails there may be minutes.
    this.#socket.setTimeout(this.#replyMsMax);
    for (;;) {
      const next = await this.#replies.next();
      if (next.done === true) throw new Error('the connection broke');
      if (/^\d{3}-/.test(next.value)) continue;
      this.#socket.setTimeout(0);
      if (Number(next.value.slice(0, 3)) !== wanted) throw new Refused(next.value);
      return;
    }
  }
}
