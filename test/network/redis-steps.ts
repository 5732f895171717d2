/**
 * Stands between a node and its private Redis, on the path of its unix socket, and reads what the node
 * sends (RESP): so a test sees from outside at which step the node is, and may cut it off before
 * a command reaches Redis, or after it was executed and before the node knows.
 */
import { once } from 'node:events';
import { readFileSync, renameSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** What a node asks of its Redis, by what the README of src/redis calls it. */
export type RedisStep =
  | 'tag lookup'
  | 'commit'
  | 'mixing job'
  | 'outbound job'
  | 'packet of a tick'
  | 'removal of a record';

/** False cuts all connections: `asked` before Redis has the command, `done` after it. */
export type OnRedisStep = (step: RedisStep, moment: 'asked' | 'done') => boolean;

/** How long Redis may take to read what was sent before a connection broke off. */
const DRAIN_MS = 200;

/** In front of one node's Redis. What was connected before it came stays connected without it. */
export class RedisSteps {
  onStep: OnRedisStep = () => true;
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param nodeDataDir of a node that runs: its `redis.socket` names the path */
  constructor(nodeDataDir: string) {
    this.#path = readFileSync(join(nodeDataDir, 'redis.socket'), 'utf8').trim();
    this.#server = createServer((node) => this.#connect(node));
  }

  async open(): Promise<void> {
    renameSync(this.#path, this.#hidden);
    this.#server.listen(this.#path);
    await once(this.#server, 'listening');
  }

  /** Puts Redis' own socket back in its place. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
    renameSync(this.#hidden, this.#path);
  }

  get #hidden(): string {
    return `${this.#path}.hidden`;
  }

  #connect(node: Socket): void {
    const redis = createConnection(this.#hidden);
    const commands = new CommandReader();
    const cut = (): void => {
      node.destroy();
      redis.end();
      // Half closed: Redis reads to the end of what it was sent.
      setTimeout(() => redis.destroy(), DRAIN_MS).unref();
    };
    node.on('data', (chunk: Buffer) => {
      for (const { bytes, words } of commands.read(chunk)) {
        const step = stepOf(words);
        if (step !== null && !this.onStep(step, 'asked')) {
          cut();
          return;
        }
        redis.write(bytes);
        if (step !== null && !this.onStep(step, 'done')) {
          cut();
          return;
        }
      }
    });
    redis.on('data', (chunk: Buffer) => {
      if (node.writable) node.write(chunk);
    });
    for (const [socket, other] of [
      [node, redis],
      [redis, node],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.end();
      });
    }
  }
}

interface Command {
  /** As they came. */
  readonly bytes: Buffer;
  /** Its words, long values cut off. */
  readonly words: readonly string[];
}

const WORD_BYTES_MAX = 256;
const CRLF_BYTES = 2;

/** Takes commands apart: `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, as every client of ours sends them. */
class CommandReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The commands that are whole by now. */
  read(chunk: Buffer): Command[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const commands: Command[] = [];
    for (;;) {
      const command = this.#first();
      if (command === null) return commands;
      commands.push(command);
      this.#rest = this.#rest.subarray(command.bytes.length);
    }
  }

  #first(): Command | null {
    const head = this.#number(0, '*');
    if (head === null) return null;
    const words: string[] = [];
    let at = head.end;
    for (let i = 0; i < head.value; i++) {
      const length = this.#number(at, '$');
      if (length === null) return null;
      const end = length.end + length.value;
      if (this.#rest.length < end + CRLF_BYTES) return null;
      const shown = Math.min(end, length.end + WORD_BYTES_MAX);
      words.push(this.#rest.toString('latin1', length.end, shown));
      at = end + CRLF_BYTES;
    }
    return { bytes: this.#rest.subarray(0, at), words };
  }

  #number(at: number, mark: '*' | '$'): { readonly value: number; readonly end: number } | null {
    const end = this.#rest.indexOf('\r\n', at);
    if (end < 0) return null;
    const line = this.#rest.toString('latin1', at, end);
    if (!new RegExp(`^\\${mark}\\d+$`).test(line)) throw new Error(`no command: ${line}`);
    return { value: Number(line.slice(1)), end: end + CRLF_BYTES };
  }
}

/** Which step a command is; null for all others. Scripts are known by the keys that they get. */
function stepOf(words: readonly string[]): RedisStep | null {
  const name = words[0]?.toUpperCase();
  if (name === 'HEXISTS') return words[1]?.includes(':tags:') === true ? 'tag lookup' : null;
  if (name !== 'EVALSHA' && name !== 'EVAL') return null;
  const keys = words.slice(3, 3 + Number(words[2]));
  const has = (part: string): boolean => keys.some((key) => key.includes(part));
  if (has(':tags:')) return 'commit';
  if (keys.some((key) => key.endsWith(':mixing:id'))) return 'mixing job';
  if (keys.some((key) => /:outbound-[^:]*:id$/.test(key))) return 'outbound job';
  if (keys.length === 1 && has(':record:')) return 'removal of a record';
  if (has(':record:') && has(':sent:')) return 'packet of a tick';
  return null;
}
