/**
 * A redis-server as an operator's, at a TCP port, for one program's `REDIS_URL`: with the settings that our private
 * one has, ended with kill -9 and started again on its files.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverSettings } from '../../src/redis/private-server.ts';
import { answers } from '../redis/crashing-redis.ts';

const MAX_MEMORY_BYTES = 512 * 1024 ** 2;
const ANSWER_MS_MAX = 30_000;

/** One server; several run at once. */
export class RedisServer {
  readonly #folder: string;
  readonly #port: number;
  #child: ChildProcess | null = null;

  /** @param folder of its own, for its files and its log */
  constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    const settings = {
      ...serverSettings(MAX_MEMORY_BYTES),
      port: String(this.#port),
      bind: '127.0.0.1',
      dir: this.#folder,
      logfile: join(this.#folder, 'redis.log'),
    };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const output = openSync(join(this.#folder, 'output.log'), 'a', 0o600);
    this.#child = spawn('redis-server', options, {
      cwd: this.#folder,
      stdio: ['ignore', output, output],
    });
    this.#child.on('error', () => undefined);
    closeSync(output);
  }

  /** Waits until it has loaded its files and answers. */
  async answers(): Promise<void> {
    const url = `redis://127.0.0.1:${this.#port}`;
    for (const endMs = Date.now() + ANSWER_MS_MAX; !(await answers(url)); await sleep(50)) {
      if (Date.now() > endMs) throw new Error(`no redis-server answers; see ${this.#folder}`);
    }
  }

  /** kill -9, and its end. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || !this.running) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
