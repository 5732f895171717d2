/**
 * One SMTP connection to a Postfix service of ours. nodemailer opens it, greets and reads replies;
 * the transaction is our own, on its `_sendCommand` and `_responseActions`, because `send()` decides
 * SMTPUTF8 by the addresses, has one NOTIFY for all, refuses `<` in quoted local parts, knows no
 * XFORWARD, and makes a line of an empty message.
 */
/* eslint-disable no-underscore-dangle -- the seams of nodemailer are named so */
import type { Socket } from 'node:net';
import NodemailerConnection from 'nodemailer/lib/smtp-connection';
import type { Address } from '../src/config.ts';
import type { Reply } from '../src/mail/envelope.ts';
import { encodeXtext } from '../src/mail/parameters.ts';
import { stuff } from './stuff.ts';

export interface OutgoingRecipient {
  readonly address: string;
  readonly notify?: string;
  readonly orcpt?: string;
}

/** One transaction to send. */
export interface OutgoingMail {
  /** MAIL FROM; empty for the null sender. */
  readonly sender: string;
  readonly recipients: readonly OutgoingRecipient[];
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  /** XFORWARD IDENT, sent where it is offered. */
  readonly queueId?: string | null;
  /** Canonical: CRLF at every line end, the last one too; or empty. */
  readonly data: Uint8Array;
}

export interface ClientOptions {
  readonly server: Address;
  /** The name in EHLO. */
  readonly hostname: string;
  /** For connection, greeting and each reply before the message. */
  readonly replyMsMax: number;
  /** From the first byte of the message to the reply to it. */
  readonly dataMsMax: number;
}

/** What nodemailer calls private; version exact, wire test for each. */
interface Seams {
  _socket: Socket;
  _responseActions: ((reply: string) => void)[];
  _supportedExtensions: string[];
  _ehloLines?: string[];
  _sendCommand(line: string): void;
}

/** The connection broke or was too slow: what became of the commands under way is not known. */
export class ConnectionLost extends Error {}

export class SmtpClient {
  readonly #connection: NodemailerConnection & Seams;
  readonly #options: ClientOptions;
  readonly #pending = new Set<(error: ConnectionLost) => void>();
  #lost: ConnectionLost | null = null;
  #dataStarted = false;

  private constructor(options: ClientOptions) {
    this.#options = options;
    this.#connection = new NodemailerConnection({
      host: options.server.host,
      port: options.server.port,
      name: options.hostname,
      secure: false,
      ignoreTLS: true,
      connectionTimeout: options.replyMsMax,
      greetingTimeout: options.replyMsMax,
      // Above our own limits, which know what is waited for.
      socketTimeout: options.dataMsMax + options.replyMsMax,
      // Destroyed at once: a half-written message must not be written on while we call it failed.
      socketCloseTimeout: 0,
      logger: false,
    }) as NodemailerConnection & Seams;
    this.#connection.on('error', (error: Error) => this.#lose(error.message));
    this.#connection.on('end', () => this.#lose('connection closed'));
  }

  /** Connects and says EHLO. @throws ConnectionLost */
  static async connect(options: ClientOptions): Promise<SmtpClient> {
    const client = new SmtpClient(options);
    await client.#within(options.replyMsMax, (resolve, reject) => {
      client.#connection.connect((error) => {
        if (error) reject(new ConnectionLost(error.message));
        else resolve(undefined);
      });
    });
    return client;
  }

  /** Whether another mail can go over this connection. */
  get usable(): boolean {
    return this.#lost === null;
  }

  /** Whether any of the last mail's message has been written: before that it may be sent again. */
  get dataStarted(): boolean {
    return this.#dataStarted;
  }

  /** Ends the connection, abruptly: nothing that is worth waiting for is under way. */
  close(): void {
    this.#connection.close();
    this.#lose('closed');
  }

  /** Says QUIT and does not wait for the answer longer than the time of a reply. */
  async quit(): Promise<void> {
    if (!this.usable) return;
    await this.#command('QUIT').catch(() => undefined);
    this.close();
  }

  /**
   * Sends one mail and gives the reply to each recipient, in order: the one to RCPT where that was a
   * refusal, to MAIL where that was, else the one to the message.
   * @throws ConnectionLost where a reply did not come; then nothing is known of those not refused
   */
  async send(mail: OutgoingMail): Promise<readonly Reply[]> {
    this.#dataStarted = false;
    const missing = this.#missingExtension(mail);
    if (missing) return mail.recipients.map(() => missing);
    if (mail.queueId && this.#offersIdent()) {
      await this.#command(`XFORWARD IDENT=${encodeXtext(mail.queueId)}`);
    }
    const [mailReply, rcptReplies] = await this.#sendEnvelope(mail);
    if (refused(mailReply) || rcptReplies.every(refused)) {
      await this.#reset();
      return rcptReplies.map((reply) => (refused(mailReply) ? mailReply : reply));
    }
    const last = await this.#sendMessage(mail.data);
    return rcptReplies.map((reply) => (refused(reply) ? reply : last));
  }

  async #sendMessage(data: Uint8Array): Promise<Reply> {
    const go = await this.#command('DATA');
    if (go.code === 354) return await this.#sendData(data);
    if (refused(go)) {
      await this.#reset();
      return go;
    }
    // Whatever it says yes to, it has no message: and no reply of this connection can be told from another.
    this.close();
    return { code: 451, text: `4.5.0 Next server answers ${go.code} to DATA` };
  }

  /** The next mail must not be taken for a part of this one. */
  async #reset(): Promise<void> {
    const { code } = await this.#command('RSET');
    if (code !== 250) this.close();
  }

  async #sendEnvelope(mail: OutgoingMail): Promise<readonly [Reply, readonly Reply[]]> {
    const commands = [this.#mailLine(mail), ...mail.recipients.map((one) => this.#rcptLine(one))];
    if (this.#offers('PIPELINING')) {
      this.#connection._socket.cork();
      const replies = commands.map((command) => this.#command(command));
      this.#connection._socket.uncork();
      const [first, ...rest] = await Promise.all(replies);
      return [first as Reply, rest];
    }
    const replies: Reply[] = [];
    for (const command of commands) replies.push(await this.#command(command));
    return [replies[0] as Reply, replies.slice(1)];
  }

  #mailLine(mail: OutgoingMail): string {
    const parameters = [`MAIL FROM:<${mail.sender}>`];
    if (this.#offers('SIZE')) parameters.push(`SIZE=${mail.data.length}`);
    if (this.#offers('8BITMIME')) parameters.push(`BODY=${mail.body}`);
    if (mail.smtputf8) parameters.push('SMTPUTF8');
    if (this.#offers('DSN')) {
      if (mail.ret) parameters.push(`RET=${mail.ret}`);
      if (mail.envid) parameters.push(`ENVID=${mail.envid}`);
    }
    return parameters.join(' ');
  }

  #rcptLine(recipient: OutgoingRecipient): string {
    const parameters = [`RCPT TO:<${recipient.address}>`];
    if (this.#offers('DSN')) {
      if (recipient.notify) parameters.push(`NOTIFY=${recipient.notify}`);
      if (recipient.orcpt) parameters.push(`ORCPT=${recipient.orcpt}`);
    }
    return parameters.join(' ');
  }

  /** The end is written after all else, so a message cut short is never a whole one. */
  #sendData(data: Uint8Array): Promise<Reply> {
    this.#dataStarted = true;
    return this.#reply(this.#options.dataMsMax, () => {
      const socket = this.#connection._socket;
      if (data.length > 0) socket.write(stuff(data));
      socket.write('.\r\n');
    });
  }

  #command(line: string): Promise<Reply> {
    if (/[\r\n]/.test(line)) throw new Error('a command of two lines is a bug');
    return this.#reply(this.#options.replyMsMax, () => this.#connection._sendCommand(line));
  }

  #reply(msMax: number, write: () => void): Promise<Reply> {
    return this.#within(msMax, (resolve) => {
      this.#connection._responseActions.push((text) => resolve(parseReply(text)));
      write();
    });
  }

  /** A promise that also settles when the connection is lost or time is up, which loses it too. */
  async #within<Value>(
    msMax: number,
    start: (resolve: (value: Value) => void, reject: (error: Error) => void) => void,
  ): Promise<Value> {
    if (this.#lost) throw this.#lost;
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const timer = setTimeout(() => {
      this.#lose('no answer in time');
      this.#connection.close();
    }, msMax);
    this.#pending.add(reject);
    try {
      start(resolve, reject);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(reject);
    }
  }

  #lose(why: string): void {
    this.#lost ??= new ConnectionLost(why);
    for (const reject of this.#pending) reject(this.#lost);
  }

  #offers(extension: string): boolean {
    return this.#connection._supportedExtensions.includes(extension);
  }

  #offersIdent(): boolean {
    const lines = this.#connection._ehloLines ?? [];
    return lines.some((line) => /^XFORWARD\b.*\bIDENT\b/i.test(line));
  }

  /** A server that lacks what the mail needs is misconfigured, which is temporary. */
  #missingExtension(mail: OutgoingMail): Reply | null {
    if (!mail.smtputf8 || this.#offers('SMTPUTF8')) return null;
    return { code: 451, text: '4.6.7 Next server does not offer SMTPUTF8' };
  }
}

function refused({ code }: Reply): boolean {
  return code >= 400;
}

/**
 * Code and text of a reply; the lines of a long one are joined, for it goes on as one line of ours. What is no
 * reply is temporary.
 */
function parseReply(text: string): Reply {
  const lines = text.split(/\r?\n/);
  const code = Number(/^[2-5]\d\d(?=[ -]|$)/.exec(lines.at(-1) ?? '')?.[0] ?? 451);
  return { code, text: oneLine(lines.map((line) => line.slice(4)).join(' ')) };
}

/** What goes on in a reply of ours is one line of it; bytes from 0x80 on may be a part of UTF-8. */
export function oneLine(text: string): string {
  return text.replaceAll(/[^\P{Cc}\u0080-\u009f]+/gu, ' ');
}
