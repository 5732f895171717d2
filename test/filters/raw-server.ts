/**
 * An SMTP server of a few lines that keeps what it is sent byte by byte, unstuffed but otherwise as it
 * came, and answers what the test says: the other side of everything that we submit.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Address } from '../../src/config.ts';

/** A reply line without CRLF; `hang`: none at all; `drop`: the connection ends instead. */
export type Answer = string;

export interface RawServerOptions {
  /** Lines after the name in the EHLO reply. */
  readonly extensions?: readonly string[];
  /** The answer to a command line, undefined for the usual one. `DATA END` stands for the message. */
  readonly answer?: (line: string) => Answer | undefined;
}

export interface TakenMail {
  readonly commands: readonly string[];
  readonly data: Buffer;
}

export const EXTENSIONS = [
  'PIPELINING',
  'SIZE 20480000',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT',
];

export class RawServer {
  /** Every command line of every connection, in order. */
  readonly lines: string[] = [];
  /** Every message that came to its end and got 250. */
  readonly mails: TakenMail[] = [];
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #options: RawServerOptions;

  private constructor(options: RawServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(options: RawServerOptions = {}): Promise<RawServer> {
    const server = new RawServer(options);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get address(): Address {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    // Replies one by one: with Nagle each would wait 40 ms for the client's delayed ACK.
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    let rest: Buffer = Buffer.alloc(0);
    let inData = false;
    let commands: string[] = [];
    const reply = (line: string, usual: string): void => {
      const answer = this.#options.answer?.(line) ?? usual;
      if (answer === 'drop') socket.destroy();
      else if (answer !== 'hang') socket.write(`${answer}\r\n`);
      if (line === 'DATA END' && !answer.startsWith('250')) this.mails.pop();
      if (line === 'DATA' && answer.startsWith('354')) inData = true;
    };
    reply('CONNECT', '220 raw.example ESMTP');
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (!socket.destroyed) {
        if (inData) {
          const end = rest.subarray(0, 3).equals(Buffer.from('.\r\n')) ? 0 : endOfData(rest);
          if (end < 0) return;
          this.mails.push({ commands, data: unstuff(rest.subarray(0, end)) });
          rest = rest.subarray(end + 3);
          inData = false;
          commands = [];
          reply('DATA END', '250 2.0.0 Ok: queued as RAW1');
          continue;
        }
        const newline = rest.indexOf('\r\n');
        if (newline < 0) return;
        const line = rest.subarray(0, newline).toString('utf8');
        rest = rest.subarray(newline + 2);
        this.lines.push(line);
        commands.push(line);
        reply(line, this.#usual(line));
      }
    });
  }

  #usual(line: string): string {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO') {
      const lines = ['raw.example', ...(this.#options.extensions ?? EXTENSIONS)];
      return lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}`).join('\r\n');
    }
    if (verb === 'DATA') return '354 go';
    if (verb === 'QUIT') return '221 2.0.0 Bye';
    return '250 2.0.0 Ok';
  }
}

/** Where the dot of CRLF.CRLF stands. */
function endOfData(bytes: Buffer): number {
  const index = bytes.indexOf('\r\n.\r\n');
  return index < 0 ? -1 : index + 2;
}

/** By the book, and not by our own code (RFC 5321 §4.5.2). */
function unstuff(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(text.replace(/(^|\r\n)\./g, '$1'), 'latin1');
}
