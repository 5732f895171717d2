/**
 * A real redis-server that is killed at an exact point: a proxy before it sees each write as it passes, and
 * kills the server (kill -9) before one has reached it, or after it was done and before its answer is
 * told. Then the server starts again on the same files.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ExecutionContext } from 'ava';

import { createProbe } from '../../src/redis/clients.ts';
import { isAlive, until } from './private-redis.ts';

/** When a write meets its crash. */
export type CrashPoint = 'before it is done' | 'before its answer';

/** Commands of ours and of BullMQ that write; samples and lookups pass uncounted. */
const WRITES = /\$\d+\r\n(eval|evalsha|hdel|del)\r\n/i;

export class CrashingRedis {
  /** Where programs connect: the proxy. */
  readonly url: string;
  readonly dataDir: string;
  /** Writes since `arm`, those of one pipeline counted as one. */
  writes = 0;
  crashes = 0;
  readonly #behind: string;
  #server: ChildProcess | null = null;
  #proxy: Server | null = null;
  #target: { readonly write: number; readonly point: CrashPoint } | null = null;
  readonly #sockets = new Set<Socket>();

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
    this.url = join(dataDir, 'proxy.sock');
    this.#behind = join(dataDir, 'redis.sock');
  }

  static async start(t: ExecutionContext): Promise<CrashingRedis> {
    const redis = new CrashingRedis(await mkdtemp(join(tmpdir(), 'panoramix-test-')));
    t.teardown(async () => {
      redis.#proxy?.close();
      await redis.#kill();
      await rm(redis.dataDir, { recursive: true, force: true });
    });
    await redis.#start();
    redis.#proxy = createServer((client) => redis.#serve(client)).listen(redis.url);
    await once(redis.#proxy, 'listening');
    return redis;
  }

  /** Counts writes from now on, and crashes at one of them, from 0. */
  arm(write: number, point: CrashPoint): void {
    this.writes = 0;
    this.#target = { write, point };
  }

  #serve(client: Socket): void {
    const server = connect(this.#behind);
    let isLast = false;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (request: Buffer) => {
      // One crash ends all connections; what was sent after it is lost with them.
      if (isLast) return;
      const crash = this.#crashAt(request);
      isLast = crash !== null;
      if (crash === 'before it is done') void this.#crash();
      else server.write(request);
      if (crash === 'before its answer') server.once('data', () => void this.#crash());
    });
    server.on('data', (answer: Buffer) => {
      if (!isLast) client.write(answer);
    });
  }

  #crashAt(request: Buffer): CrashPoint | null {
    if (request.toString('latin1').search(WRITES) === -1) return null;
    const target = this.#target;
    if (target === null || this.writes++ !== target.write) return null;
    this.#target = null;
    return target.point;
  }

  async #crash(): Promise<void> {
    this.crashes++;
    await this.#kill();
    for (const socket of this.#sockets) socket.destroy();
    await this.#start();
  }

  async #start(): Promise<void> {
    const options = {
      port: '0',
      unixsocket: this.#behind,
      dir: this.dataDir,
      save: '',
      appendonly: 'yes',
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
    };
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    this.#server = spawn('redis-server', flags, { stdio: 'ignore' });
    await until(async () => await answers(this.#behind));
  }

  async #kill(): Promise<void> {
    const pid = this.#server?.pid;
    if (pid === undefined || !isAlive(pid)) return;
    process.kill(pid, 'SIGKILL');
    await until(() => this.#server?.signalCode !== null);
  }
}

/** Whether a server answers at a URL. */
export async function answers(url: string): Promise<boolean> {
  const probe = createProbe({ url });
  try {
    await probe.connect();
    return (await probe.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    probe.disconnect();
  }
}
