/**
 * The demo's child processes: each program of the mixnet is started as an operator would start it, with
 * its output in a log file of its own, and ended by its process id.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url),
);
const STOP_MS_MAX = 25_000;
const PORT_FROM = 15_000;
const PORT_TO = 32_000;

/** One running program and how to start it again. */
export class Program {
  readonly name: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  #child: ChildProcess | null = null;
  #stopping = false;

  /** @param args verb and flags of `panoramix` */
  constructor(name: string, args: readonly string[], logFile: string) {
    this.name = name;
    this.#args = args;
    this.#logFile = logFile;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** How it ended by itself; null while it runs, or where a signal ended it. */
  get exitCode(): number | null {
    return this.#child?.exitCode ?? null;
  }

  /** Whether it ended although nobody asked it to. */
  get died(): boolean {
    return this.#child !== null && !this.running && !this.#stopping;
  }

  /** Starts the program; its output is appended to its log file. */
  start(): void {
    this.#stopping = false;
    const log = openSync(this.#logFile, 'a', 0o600);
    this.#child = spawn(process.execPath, [MAIN, ...this.#args], {
      stdio: ['ignore', log, log],
      env: ownEnvironment(),
    });
    closeSync(log);
  }

  /** Runs the program to its end and gives each line that it prints. Secrets go by environment. */
  async run(
    onLine: (line: string) => void,
    secrets: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const log = openSync(this.#logFile, 'a', 0o600);
    const child = spawn(process.execPath, [MAIN, ...this.#args], {
      stdio: ['ignore', 'pipe', log],
      env: { ...ownEnvironment(), ...secrets },
    });
    closeSync(log);
    this.#child = child;
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    return new Promise((resolve) => {
      child.once('close', (code) => resolve(code ?? 1));
      child.once('error', () => resolve(1));
    });
  }

  /** Ends the program with kill -9 and waits for its end. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks the program to stop and waits; one that does not is killed. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#stopping = true;
    if (!child || !this.running) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(deadline);
  }
}

/**
 * Free ports of 127.0.0.1, all different. They are drawn below the range from which the kernel takes
 * ports for outgoing connections, so that a program that was killed finds its port free again.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = PORT_FROM + Math.floor(Math.random() * (PORT_TO - PORT_FROM));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** Ours, without what would lead a program to somebody's store or configuration. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, REDIS_URL: undefined, PANORAMIX_CONFIG: undefined };
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
