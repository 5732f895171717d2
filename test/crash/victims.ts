/**
 * The programs that a run kills, each with the service manager that an operator has: whatever ends is started
 * again after a pause. A configuration error (exit code 2) is not worth a restart, and fails the run.
 */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from '../../src/cli/demo/processes.ts';
import { EXIT } from '../../src/cli/program.ts';
import { isDirectoryWell } from '../../src/cli/status-directory.ts';
import type { Status } from '../../src/cli/status.ts';
import type { PrivatePostfix } from '../postfix/private-postfix.ts';
import type { RedisServer } from './redis-server.ts';

export type VictimKind = 'gateway' | 'mix' | 'controller' | 'redis' | 'postfix';

/** What can be ended and started: the part that differs between kinds. */
export interface Process {
  start(): void | Promise<void>;
  /** kill -9, settles when it is gone. */
  kill(): Promise<void>;
  isRunning(): boolean | Promise<boolean>;
  /** Why it must not be started again; null where it may. */
  whyNot(): string | null;
}

/** What is not as it should be. */
export interface Ailment {
  readonly text: string;
  /** Own packets come back late, and nothing else is wrong: of a busy machine, or of what was held up a while ago. */
  readonly isAlarmAlone: boolean;
}

/** Null where all is well. */
export type Health = () => Promise<Ailment | null>;

/** Between a death and the next start, as `RestartSec` of systemd. */
const PAUSE_MS = 300;
const LOOK_MS = 100;
const GREETING_MS_MAX = 5_000;

/** One program under its service manager. */
export class Victim {
  /** Such as `beta`, `beta.controller`, `beta.redis`, `beta.controller.redis`, `beta.postfix`. */
  readonly name: string;
  readonly kind: VictimKind;
  readonly #process: Process;
  readonly #health: Health;
  #notBeforeMs = 0;
  #starts = 0;

  constructor(name: string, kind: VictimKind, process: Process, health: Health) {
    this.name = name;
    this.kind = kind;
    this.#process = process;
    this.#health = health;
  }

  /** How often its service manager has started it. */
  get starts(): number {
    return this.#starts;
  }

  /**
   * kill -9, settles when it is gone.
   * @param downMs how long its service manager leaves it so
   */
  async kill(downMs: number): Promise<void> {
    this.#notBeforeMs = Date.now() + downMs;
    await this.#process.kill();
    this.#notBeforeMs = Date.now() + downMs;
  }

  async isRunning(): Promise<boolean> {
    return await this.#process.isRunning();
  }

  /** What who runs it is told, for programs of ours and their Redis by `panoramix status`; null where it is well. */
  async ailment(): Promise<Ailment | null> {
    return await this.#health();
  }

  /** Its service manager, until `signal`; throws where it cannot be started again. */
  async supervise(signal: AbortSignal): Promise<void> {
    let wasRunning = true;
    while (!signal.aborted) {
      if (await this.#process.isRunning()) {
        wasRunning = true;
      } else {
        const why = this.#process.whyNot();
        if (why !== null) throw new Error(`${this.name} cannot be started again: ${why}`);
        if (wasRunning) this.#notBeforeMs = Math.max(this.#notBeforeMs, Date.now() + PAUSE_MS);
        wasRunning = false;
        if (Date.now() >= this.#notBeforeMs) {
          this.#starts++;
          wasRunning = true;
          await this.#process.start();
        }
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A program of ours. */
export function processOf(program: Program): Process {
  return {
    start: () => program.start(),
    kill: async () => await program.kill(),
    isRunning: () => program.running,
    whyNot: () =>
      program.exitCode === EXIT.misconfigured ? 'exit code 2, a configuration error' : null,
  };
}

/** As `panoramix status` sees it. */
export function healthByStatus(read: () => Promise<Status>): Health {
  return async () => {
    const { ok, program, storage, queues, directory, clock, loops } = await read();
    if (ok) return null;
    const isAlarmAlone =
      loops?.alarm === true &&
      program === 'running' &&
      storage.state === 'up' &&
      storage.pressure === 'open' &&
      isDirectoryWell(directory) &&
      clock?.right !== false &&
      Object.values(queues).every(({ failed }) => failed === 0);
    const { controllers, state, trouble } = directory ?? {};
    const about = { program, storage, state, trouble, controllers, clock, alarm: loops?.alarm };
    return { text: JSON.stringify(about), isAlarmAlone };
  };
}

/** Of a mail server: whether it greets at a port. */
export function healthByGreeting(port: number): Health {
  return async () => {
    const socket = createConnection(port, '127.0.0.1');
    try {
      const signal = AbortSignal.timeout(GREETING_MS_MAX);
      const [greeting] = (await once(socket, 'data', { signal })) as [Buffer];
      const text = greeting.toString();
      return text.startsWith('220 ') ? null : { text, isAlarmAlone: false };
    } catch (thrown) {
      return { text: String(thrown), isAlarmAlone: false };
    } finally {
      socket.destroy();
    }
  };
}

export function processOfRedis(server: RedisServer): Process {
  return {
    start: () => server.start(),
    kill: async () => await server.kill(),
    isRunning: () => server.running,
    whyNot: () => null,
  };
}

export function processOfPostfix(postfix: PrivatePostfix): Process {
  return {
    // Where it is killed while it starts, the command fails, and it is started again.
    start: async () => await postfix.start().catch(() => undefined),
    kill: async () => await postfix.kill(),
    isRunning: async () => await postfix.isRunning(),
    whyNot: () => null,
  };
}
