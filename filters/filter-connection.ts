/**
 * One connection of a Postfix to its filter: smtp-server's, with our own reading of MAIL, RCPT,
 * XFORWARD and DATA, one reply for each accepted RCPT in LMTP, and our status codes.
 * It stands on internals of smtp-server, so the version is exact and each seam has a wire test.
 */
/* eslint-disable no-underscore-dangle -- the seams of smtp-server are named so */
import { isIP, type Socket } from 'node:net';
import type { SMTPServer, SMTPServerDataStream } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection';
import type { ReceivedMail, ReceivedRecipient, Reply } from '../src/mail/envelope.ts';
import { decodeXtext, parseMail, parseRcpt, type MailCommand } from '../src/mail/parameters.ts';
import { DataParser } from './data-parser.ts';
import { replyTo } from './replies.ts';

/** Takes one mail; gives one reply for each recipient in LMTP, exactly one in SMTP. Never throws. */
export type ReceiveMail = (mail: ReceivedMail) => Promise<readonly Reply[]>;

export interface SmtpListenerOptions {
  readonly protocol: 'smtp' | 'lmtp';
  /** The name in greeting and EHLO. */
  readonly hostname: string;
  /** Announced as SIZE. */
  readonly messageBytesMax: number;
  readonly recipientsMax: number;
  readonly connectionsMax: number;
  /** All messages that connections hold at once. */
  readonly bufferedBytesMax: number;
  /** A client that sends nothing for so long is let go. */
  readonly idleMsMax: number;
  /** A message that has not come to its end after so long does not come: it holds memory that others need. */
  readonly messageMsMax: number;
  /** How long a stop waits for mails under way. */
  readonly stopMsMax: number;
  readonly receive: ReceiveMail;
  /** An error of a socket or of smtp-server; never ends the process. */
  readonly onError: (error: Error) => void;
}

/** What connections need of the server they belong to. */
export interface FilterServer extends SMTPServer {
  readonly filter: SmtpListenerOptions;
  /** Bytes of messages held now, by all connections. */
  bufferedBytes: number;
  readonly stopping: boolean;
}

/** Postfix as it is by default; see `parseMail`. */
const AS_POSTFIX = { utf8: 'any' } as const;
/**
 * Large messages leave some of the memory for messages to small ones: Postfix tries a mail that got 452 again
 * after minutes. Of 256 MiB, 32 are for messages of 1 MiB at most.
 */
const LARGE_SHARE = 7 / 8;
const SMALL_SHARE = 1 / 256;
/** Postfix's queue ids are shorter; longer ones are not worth keeping. */
const QUEUE_ID_CHARACTERS_MAX = 255;

interface Transaction {
  readonly mail: MailCommand;
  readonly recipients: ReceivedRecipient[];
}

/** A connection; `SmtpListener` makes one for each socket. */
export class FilterConnection extends SMTPConnection {
  readonly #listener: FilterServer;
  #transaction: Transaction | null = null;
  #queueId: string | null = null;
  #client: string | null = null;

  constructor(listener: FilterServer, socket: Socket, options?: SMTPConnectionOptions) {
    super(listener, socket, options);
    this.#listener = listener;
  }

  /** Without smtp-server's 100 ms wait for clients that talk too soon: the client is our Postfix. */
  override init(): void {
    this._setListeners(() => {
      if (this.#listener.connections.size > this.#listener.filter.connectionsMax) {
        this.#answer({ code: 421, text: `4.7.0 ${this.name} Too many connections` });
        return;
      }
      this.connectionReady();
    });
  }

  override _createParser(): DataParser {
    const parser = new DataParser();
    parser.oncommand = (command, callback) => this.#command(command, callback);
    parser.on('error', (error: Error) => this.send(421, `4.5.2 ${error.message}`, false));
    return parser;
  }

  /**
   * A client that sends a message without waiting for our word on DATA, or in chunks, which we do not offer,
   * would have its message read as commands where that word is no: so nothing that follows is read.
   */
  #command(command: Buffer, callback?: () => void): void {
    const verb = /^[a-z]*/i.exec(command.toString('latin1'))?.[0].toUpperCase();
    if (verb === 'BDAT') {
      this.#answer(replyTo('chunking-unoffered'));
    } else if (verb === 'DATA') {
      this._onCommand(command, () => {
        if (this._dataStream) callback?.();
        else this.#answer(replyTo('data-refused'));
      });
    } else this._onCommand(command, callback);
  }

  /** Ends the connection unless a message is coming in or being worked on. */
  stopIfIdle(): void {
    if (!this._dataStream) this.#answer(replyTo('stopping'));
  }

  override handler_EHLO(_command: Buffer, callback: () => void): void {
    const { filter } = this.#listener;
    this.hostNameAppearsAs = 'client';
    this.#forget();
    const features = [
      this.name,
      'PIPELINING',
      `SIZE ${filter.messageBytesMax}`,
      'ENHANCEDSTATUSCODES',
      '8BITMIME',
      'DSN',
      'SMTPUTF8',
    ];
    // Of all that Postfix could tell about its client, only the queue id is wanted here.
    if (this.#mayForward()) features.push('XFORWARD IDENT ADDR');
    this.send(250, features, false);
    callback();
  }

  override handler_HELO(_command: Buffer, callback: () => void): void {
    this.hostNameAppearsAs = 'client';
    this.#forget();
    this.#answer({ code: 250, text: this.name }, callback);
  }

  override handler_RSET(_command: Buffer, callback: () => void): void {
    this.#forget();
    this.#answer({ code: 250, text: '2.0.0 Ok' }, callback);
  }

  /** XFORWARD (Postfix's XFORWARD_README): for the next mail only, and only IDENT and ADDR are kept. */
  override handler_XFORWARD(command: Buffer, callback: () => void): void {
    if (!this.#mayForward()) {
      this.#answer({ code: 550, text: '5.7.0 Not allowed' }, callback);
      return;
    }
    if (this.#transaction) {
      this.#answer(replyTo('mail-nested'), callback);
      return;
    }
    const attributes = command
      .toString('latin1')
      .trim()
      .split(/[ \t]+/)
      .slice(1);
    if (attributes.length === 0 || attributes.some((attribute) => !/^[A-Za-z]+=/.test(attribute))) {
      this.#answer(replyTo('parameter-malformed'), callback);
      return;
    }
    for (const attribute of attributes) {
      const ident = /^IDENT=(.*)$/i.exec(attribute)?.[1];
      if (ident !== undefined) this.#queueId = queueIdOf(decodeXtext(ident));
      const address = /^ADDR=(.*)$/i.exec(attribute)?.[1];
      if (address !== undefined) this.#client = clientOf(decodeXtext(address));
    }
    this.#answer({ code: 250, text: '2.0.0 Ok' }, callback);
  }

  override handler_MAIL(command: Buffer, callback: () => void): void {
    if (this.#transaction) {
      this.#answer(replyTo('mail-nested'), callback);
      return;
    }
    const parsed = parseMail(command, AS_POSTFIX);
    if (!parsed.ok) {
      this.#answer(replyTo(parsed.reason), callback);
      return;
    }
    if ((parsed.command.sizeBytes ?? 0) > this.#listener.filter.messageBytesMax) {
      this.#answer(replyTo('too-large'), callback);
      return;
    }
    this.#transaction = { mail: parsed.command, recipients: [] };
    this.#answer({ code: 250, text: '2.1.0 Ok' }, callback);
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    if (!this.#transaction) {
      this.#answer(replyTo('mail-missing'), callback);
      return;
    }
    const { mail, recipients } = this.#transaction;
    const parsed = parseRcpt(command, mail.smtputf8, AS_POSTFIX);
    if (!parsed.ok) {
      this.#answer(replyTo(parsed.reason), callback);
      return;
    }
    if (recipients.length >= this.#listener.filter.recipientsMax) {
      this.#answer(replyTo('too-many-recipients'), callback);
      return;
    }
    const { recipient, ...parameters } = parsed.command;
    recipients.push({ address: recipient.address, domain: recipient.domain, ...parameters });
    this.#answer({ code: 250, text: '2.1.5 Ok' }, callback);
  }

  override handler_DATA(_command: Buffer, callback: () => void): void {
    const transaction = this.#transaction;
    if (!transaction || transaction.recipients.length === 0 || !this._parser) {
      this.#answer(replyTo(transaction ? 'rcpt-missing' : 'mail-missing'), callback);
      return;
    }
    const stream = this._parser.startDataMode(this.#listener.filter.messageBytesMax);
    this._dataStream = stream;
    this.#takeMessage(stream, transaction).catch((error: unknown) => {
      this.#listener.filter.onError(error as Error);
      this.close();
    });
    this.send(354, 'End data with <CR><LF>.<CR><LF>', false);
    callback();
  }

  async #takeMessage(stream: SMTPServerDataStream, transaction: Transaction): Promise<void> {
    const { filter } = this.#listener;
    const replies = filter.protocol === 'lmtp' ? transaction.recipients.length : 1;
    const { messageMsMax } = filter;
    const timer = setTimeout(() => this.#answer(replyTo('message-slow')), messageMsMax);
    const collected = await this.#collect(stream).finally(() => clearTimeout(timer));
    // The client went away: what came is no message, and nobody is there to be answered.
    if (collected === 'gone') return;
    let answers: readonly Reply[];
    if ('reason' in collected) {
      answers = Array.from({ length: replies }, () => replyTo(collected.reason));
    } else {
      try {
        answers = await filter.receive(this.#receivedMail(transaction, collected.data));
      } catch (error) {
        filter.onError(error as Error);
        answers = [];
      } finally {
        this.#listener.bufferedBytes -= collected.data.length;
      }
    }
    this._dataStream = false;
    this._transactionCounter++;
    this._unrecognizedCommands = 0;
    this.#forget();
    for (let i = 0; i < replies; i++) this.#answer(answers[i] ?? replyTo('unexpected'));
    if (this.#listener.stopping) this.#answer(replyTo('stopping'));
    if (this._parser) this._parser.continue();
  }

  /** The whole message; its bytes stay counted in `bufferedBytes` until it has been dealt with. */
  async #collect(
    stream: SMTPServerDataStream,
  ): Promise<{ data: Buffer } | { reason: 'too-large' | 'buffers-full' } | 'gone'> {
    const listener = this.#listener;
    let chunks: Buffer[] = [];
    let held = 0;
    let full = false;
    const drop = (): void => {
      listener.bufferedBytes -= held;
      held = 0;
      chunks = [];
    };
    stream.on('data', (chunk: Buffer) => {
      if (full || stream.sizeExceeded) return drop();
      const { bufferedBytesMax } = listener.filter;
      const isSmall = held + chunk.length <= bufferedBytesMax * SMALL_SHARE;
      const bytesMax = bufferedBytesMax * (isSmall ? 1 : LARGE_SHARE);
      if (listener.bufferedBytes + chunk.length > bytesMax) {
        full = true;
        return drop();
      }
      chunks.push(chunk);
      held += chunk.length;
      listener.bufferedBytes += chunk.length;
    });
    const whole = await new Promise<boolean>((resolve) => {
      stream.once('end', () => resolve(true));
      stream.once('close', () => resolve(false));
      stream.once('error', () => resolve(false));
    });
    if (!whole) {
      drop();
      return 'gone';
    }
    if (stream.sizeExceeded) {
      drop();
      return { reason: 'too-large' };
    }
    return full ? { reason: 'buffers-full' } : { data: Buffer.concat(chunks, held) };
  }

  #receivedMail({ mail, recipients }: Transaction, data: Uint8Array): ReceivedMail {
    return {
      protocol: this.#listener.filter.protocol,
      queueId: this.#queueId,
      client: this.#client,
      sender: mail.sender?.address ?? '',
      recipients,
      body: mail.body,
      smtputf8: mail.smtputf8,
      ...(mail.ret === undefined ? {} : { ret: mail.ret }),
      ...(mail.envid === undefined ? {} : { envid: mail.envid }),
      data,
    };
  }

  /** XFORWARD holds for one mail: smtp-server keeps it for all that follow on the connection. */
  #forget(): void {
    this.#transaction = null;
    this.#queueId = null;
    this.#client = null;
    this._resetSession();
  }

  #mayForward(): boolean {
    return this.remoteAddress.startsWith('127.') || this.remoteAddress === '::1';
  }

  #answer({ code, text }: Reply, callback?: () => void): void {
    this.send(code, text, false);
    callback?.();
  }
}

function queueIdOf(ident: string): string | null {
  const known = /^[\w.-]+$/.test(ident) && ident.length <= QUEUE_ID_CHARACTERS_MAX;
  return known ? ident : null;
}

/** An address as Postfix writes it (`IPV6:` before those of IPv6); null for `[UNAVAILABLE]` and the like. */
function clientOf(text: string): string | null {
  const address = text.replace(/^IPV6:/i, '').toLowerCase();
  return isIP(address) === 0 ? null : address;
}
