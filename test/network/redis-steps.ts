/**
 * Stands between a node and its private Redis, on the path of its unix socket, and reads what the node
 * sends (RESP): so a test sees from outside at which step the node is, and may cut it off before
 * a command reaches Redis, or after it was executed and before the node knows.
 */
import { once } from 'node:events';
import { readFileSync, renameSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { RedisDialogue } from '../crash/redis-dialogue.ts';
import { adds, isScript, touches } from '../crash/redis-step.ts';
import type { RedisFrame } from '../crash/step.ts';

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
    const dialogue = new RedisDialogue();
    const cut = (): void => {
      node.destroy();
      redis.end();
      // Half closed: Redis reads to the end of what it was sent.
      setTimeout(() => redis.destroy(), DRAIN_MS).unref();
    };
    node.on('data', (chunk: Buffer) => {
      for (const { bytes, frame } of dialogue.requests(chunk)) {
        const step = frame?.protocol === 'redis' ? stepOf(frame) : null;
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

/** Which step a command is, or a whole transaction; null for all others. */
function stepOf(frame: RedisFrame): RedisStep | null {
  if (frame.command === 'HEXISTS' && touches(frame, /:tags:/)) return 'tag lookup';
  if (adds(frame, /^mixing$/)) return 'mixing job';
  if (adds(frame, /^outbound-/)) return 'outbound job';
  if (!isScript(frame)) return null;
  if (touches(frame, /:tags:/)) return 'commit';
  if (touches(frame, /:record:/, /:records:/, /:sent:/)) return 'packet of a tick';
  return frame.keys.length === 1 && touches(frame, /:record:/) ? 'removal of a record' : null;
}
