/** A client that speaks SMTP or LMTP byte by byte, so that tests see replies as they stand on the wire. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Address } from '../../src/config.ts';

export class Dialogue {
  readonly socket: Socket;
  #received = '';
  #ended = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** Connects and reads the greeting. */
  static async open(address: Address | null): Promise<Dialogue> {
    if (address === null) throw new Error('that door is shut');
    const socket = connect(address.port, address.host);
    const dialogue = new Dialogue(socket);
    await once(socket, 'connect');
    await dialogue.reply();
    return dialogue;
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes);
  }

  /** The next reply, all its lines; empty where the other side hung up. */
  async reply(): Promise<string> {
    const pattern = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/;
    for (;;) {
      const found = pattern.exec(this.#received)?.[0];
      if (found !== undefined) {
        this.#received = this.#received.slice(found.length);
        return found.trimEnd();
      }
      if (this.#ended) return '';
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Sends one command and gives its reply. */
  async say(command: string): Promise<string> {
    this.write(`${command}\r\n`);
    return this.reply();
  }

  /** Sends commands one by one; the replies. */
  async sayAll(...commands: readonly string[]): Promise<string[]> {
    const replies: string[] = [];
    for (const command of commands) replies.push(await this.say(command));
    return replies;
  }

  /** DATA, the bytes (already stuffed) and the end; the first reply after it. */
  async data(bytes: string | Uint8Array): Promise<string> {
    const go = await this.say('DATA');
    if (!go.startsWith('354')) return go;
    this.write(bytes);
    this.write('.\r\n');
    return this.reply();
  }

  close(): void {
    this.socket.destroy();
  }
}
