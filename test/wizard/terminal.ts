/**
 * Real terminals for tests: a tmux server of the test's own, one window for each program, keys typed into it
 * and the screen read as a person would see it. Ended by its process id.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const LOOK_MS = 100;
const PATIENCE_MS = 60_000;
const COLUMNS = 200;
const ROWS = 60;
const CONFIG =
  'set -g history-limit 50000\nset -g remain-on-exit on\nset -s escape-time 0\nset -s exit-empty off\n';

/**
 * Writes how the program has ended: tmux 3.3a does not always know. Caught signals, unlike ignored ones, are
 * back at their defaults in the program.
 */
const WITH_STATUS = 'trap : INT TERM HUP; "$@"; echo $? >"$0.draft"; mv "$0.draft" "$0"';

/** Why there are no terminals here, or null where there are. */
export function whyNoTerminals(): string | null {
  const { error } = spawnSync('tmux', ['-V']);
  return error ? 'there is no tmux: bash docker/setup.sh test' : null;
}

/** How a program is started in a terminal. */
export interface ScreenOptions {
  readonly cwd?: string;
  /** Added to ours. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A tmux server and its windows. */
export class Terminals {
  readonly #folder: string;
  readonly #server: ChildProcess;

  private constructor(folder: string, server: ChildProcess) {
    this.#folder = folder;
    this.#server = server;
  }

  /** Starts a server on a socket of its own. */
  static async start(): Promise<Terminals> {
    const folder = mkdtempSync(join(tmpdir(), 'panoramix-tmux-'));
    const config = join(folder, 'tmux.conf');
    writeFileSync(config, CONFIG);
    const server = spawn('tmux', ['-S', join(folder, 's'), '-f', config, '-u', '-D'], {
      env: { ...process.env, TMUX: undefined, LC_ALL: 'C.UTF-8' },
      stdio: 'ignore',
    });
    const terminals = new Terminals(folder, server);
    for (const endMs = Date.now() + PATIENCE_MS; ; await sleep(LOOK_MS)) {
      const ready = await terminals.run('start-server').then(
        () => true,
        () => false,
      );
      if (ready) return terminals;
      if (Date.now() > endMs) throw new Error('tmux does not start');
    }
  }

  /** Runs a program in a terminal of its own. */
  async open(
    name: string,
    command: readonly string[],
    { cwd = this.#folder, env = {} }: ScreenOptions = {},
  ): Promise<Screen> {
    const variables = Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
    const size = ['-x', String(COLUMNS), '-y', String(ROWS)];
    const where = ['-d', '-s', name, ...size, '-c', cwd, ...variables];
    const ending = join(this.#folder, `${name}.ended`);
    await this.run('new-session', ...where, 'sh', '-c', WITH_STATUS, ending, ...command);
    return new Screen(this, name, ending);
  }

  /** A tmux command. */
  async run(...args: readonly string[]): Promise<string> {
    // -N: the server is ours; a client that came before it would start another.
    const { stdout } = await execute('tmux', ['-N', '-S', join(this.#folder, 's'), ...args], {
      maxBuffer: 16_777_216,
      env: { ...process.env, TMUX: undefined, LC_ALL: 'C.UTF-8' },
    });
    return stdout;
  }

  /** Ends the server, with it what runs in the terminals, and removes its folder. */
  async stop(): Promise<void> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      const ended = once(this.#server, 'exit');
      this.#server.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One terminal. */
export class Screen {
  readonly name: string;
  readonly #terminals: Terminals;
  /** Holds the exit code, once there is one. */
  readonly #ending: string;

  constructor(terminals: Terminals, name: string, ending: string) {
    this.#terminals = terminals;
    this.name = name;
    this.#ending = ending;
  }

  /** All that it has shown, lines whole. */
  async text(): Promise<string> {
    const text = await this.#terminals.run('capture-pane', '-p', '-J', '-S', '-', '-t', this.name);
    return text
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n')
      .trimEnd();
  }

  /** Waits until it shows something; throws with what it shows instead. */
  async sees(pattern: RegExp, patienceMs = PATIENCE_MS): Promise<RegExpExecArray> {
    for (const endMs = Date.now() + patienceMs; ; await sleep(LOOK_MS)) {
      const text = await this.text();
      const found = pattern.exec(text);
      if (found) return found;
      if (Date.now() > endMs || this.exitCode() !== null) {
        throw new Error(`${this.name} does not show ${pattern}; it shows:\n${text.slice(-4_000)}`);
      }
    }
  }

  /** Types into the open question of these words, and Enter. */
  async answer(question: RegExp, text: string, patienceMs?: number): Promise<void> {
    await this.sees(open(question), patienceMs);
    await this.type(text);
    await this.press('Enter');
    await this.#answered(question);
  }

  /** Chooses one of the open question's answers with the arrow key, and Enter. */
  async choose(question: RegExp, value: string, patienceMs?: number): Promise<void> {
    await this.sees(open(question), patienceMs);
    for (let pressed = 0; ; pressed++) {
      const shown = (await this.text()).split(/◆ {2}/).at(-1) ?? '';
      const active = /● (\S+(?: \S+)*?)(?: \(|$)/m.exec(shown)?.[1];
      if (active === value) break;
      if (pressed > 20) throw new Error(`${this.name}: no answer ${value} in\n${shown}`);
      await this.press('Down');
      await sleep(LOOK_MS);
    }
    await this.press('Enter');
    await this.#answered(question);
  }

  async type(text: string): Promise<void> {
    if (text === '') return;
    await this.#terminals.run('send-keys', '-t', this.name, '-l', '--', text);
  }

  /** A key by tmux's name, such as `Enter` or `C-c`. */
  async press(key: string): Promise<void> {
    await this.#terminals.run('send-keys', '-t', this.name, key);
  }

  /** Process id of the program that was started. */
  async pid(): Promise<number> {
    const shell = await this.#terminals.run('display', '-p', '-t', this.name, '#{pane_pid}');
    const path = `/proc/${shell.trim()}/task/${shell.trim()}/children`;
    return Number(readFileSync(path, 'utf8').trim().split(' ')[0]);
  }

  /** Null while the program runs; 128 and more where a signal ended it. */
  exitCode(): number | null {
    return existsSync(this.#ending) ? Number(readFileSync(this.#ending, 'utf8')) : null;
  }

  /** Waits for the program's end. */
  async ended(patienceMs = PATIENCE_MS): Promise<number> {
    for (const endMs = Date.now() + patienceMs; ; await sleep(LOOK_MS)) {
      const code = this.exitCode();
      if (code !== null) return code;
      if (Date.now() > endMs) throw new Error(`${this.name} goes on:\n${await this.text()}`);
    }
  }

  /** A question that is asked again in other words is another. */
  async #answered(question: RegExp): Promise<void> {
    for (let look = 0; look < 100; look++) {
      const text = await this.text();
      if (/▲ {2}/.test(text.split(/[◆◇] {2}/).at(-1) ?? '')) return;
      if (!open(question).test(text)) return;
      await sleep(LOOK_MS);
    }
  }
}

/** An open question has a full mark before it, an answered one an empty one. */
function open(question: RegExp): RegExp {
  return new RegExp(`◆ {2}.*${question.source}`, question.flags);
}
