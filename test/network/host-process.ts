/**
 * A program that runs in a test host (namespaces.ts): its own process group, what it says kept, ended by its
 * process id.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_MS_MAX = 25_000;
const SAID_CHARACTERS_MAX = 4_000_000;

/** How a program is started. */
export interface StartOptions {
  readonly cwd?: string;
  /** Added to ours; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Its standard input, which is empty else. */
  readonly input?: string | Uint8Array;
}

/** How a program ended. */
export interface Outcome {
  /** Null where a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One running program; `ip netns exec` becomes the program, so its id is the program's. */
export class HostProcess {
  /** Settles when the program has ended and all that it said is here. */
  readonly ended: Promise<Outcome>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  constructor(program: string, args: readonly string[], options: StartOptions = {}) {
    const child = spawn(program, [...args], {
      cwd: options.cwd,
      env: { ...hostEnvironment(), ...options.env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-SAID_CHARACTERS_MAX);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-SAID_CHARACTERS_MAX);
    });
    // A program that does not read its input, or has ended, is no event.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) =>
        resolve({ status, stdout: this.#stdout, stderr: this.#stderr }),
      );
    });
    this.ended.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** All that it has said so far on both outputs. */
  get said(): string {
    return this.#stdout + this.#stderr;
  }

  /** Waits until it has said something like this; throws with what it said instead. */
  async says(pattern: RegExp, patienceMs = 20_000): Promise<RegExpExecArray> {
    for (const endMs = Date.now() + patienceMs; ; await sleep(50)) {
      const found = pattern.exec(this.said);
      if (found) return found;
      if (Date.now() > endMs || !this.running) {
        const what = this.running ? `not within ${patienceMs} ms` : 'it has ended';
        throw new Error(`${pattern}: ${what}; it said:\n${this.said.slice(-3_000)}`);
      }
    }
  }

  /** Asks it to stop and waits for its end; one that does not is killed, with what it has started. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGTERM');
    await Promise.race([this.ended, sleep(STOP_MS_MAX, undefined, { ref: false })]);
    await this.kill();
  }

  /** kill -9 of the program and of what is left of its process group. */
  async kill(): Promise<void> {
    if (!this.running || this.pid === undefined) return;
    process.kill(-this.pid, 'SIGKILL');
    await this.ended;
  }
}

/** Ours, with the folders of `ip` and daemons on PATH, and nothing that leads to somebody's store or configuration. */
export function hostEnvironment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
    REDIS_URL: undefined,
    PANORAMIX_CONFIG: undefined,
  };
}
