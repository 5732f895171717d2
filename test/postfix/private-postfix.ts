/**
 * A Postfix of the test's own: configuration, queue, data, log and mailboxes in a temporary folder,
 * ports on loopback, nothing of /etc/postfix touched. Several run at once. See README.md here.
 *
 *     const postfix = await startPostfix({ name: 'alpha', domains: { 'alpha.example': ['ada'] } });
 *     await postfix.submit({ from: 'ada@alpha.example', to: ['ada@alpha.example'], message });
 *     const [mail] = await postfix.waitForMail('ada@alpha.example');
 *     await postfix.stop();
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { readMaildir } from './maildir.ts';
import type { StoredMail } from './maildir.ts';
import { choosePorts } from './ports.ts';
import type { PostfixPorts } from './ports.ts';
import { writeConfiguration } from './stanzas.ts';
import { swaks } from './swaks.ts';
import type { Submission } from './swaks.ts';

const run = promisify(execFile);
/** A user's PATH on Debian is without the folder of the postfix command. */
const environment = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
const NOBODY = 65534;

export interface PostfixOptions {
  /** Its host name is NAME.postfix.test. */
  readonly name: string;
  /** Own domains, each with the local parts of its users; whoever is not listed is unknown. */
  readonly domains: Readonly<Record<string, readonly string[]>>;
  /** Chosen with `choosePorts` where others must know them beforehand. */
  readonly ports?: PostfixPorts;
  /** Other domains and the `outside` ports of their servers; any other domain is refused. */
  readonly routes?: Readonly<Record<string, number>>;
  /** How opted-in mail goes to the filter; LMTP unless told. */
  readonly protocol?: 'lmtp' | 'smtp';
  /** Further lines of main.cf. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A message that Postfix still holds, as `postqueue -j` shows it. */
export interface QueuedMail {
  readonly queue_id: string;
  readonly queue_name: 'active' | 'deferred' | 'incoming' | 'hold';
  readonly sender: string;
  readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[];
}

/** Why no private Postfix can run here, or null where it can: its master needs to be root. */
export async function whyNoPostfix(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'Postfix starts only as root';
  return run('postconf', ['-d', 'mail_version'], { env: environment }).then(
    () => null,
    () => 'Postfix is not installed: bash docker/setup.sh test',
  );
}

/** Starts an instance and waits until it listens; throws with its log where it does not. */
export async function startPostfix(options: PostfixOptions): Promise<PrivatePostfix> {
  const folder = await mkdtemp(join(tmpdir(), 'panoramix-postfix-'));
  const ports = options.ports ?? (await choosePorts());
  // Postfix's own user and nobody walk through this folder; mkdtemp makes it root's alone.
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'queue'));
  await mkdir(join(folder, 'mail'));
  await chown(join(folder, 'mail'), NOBODY, NOBODY);
  const etc = await writeConfiguration({
    routes: {},
    protocol: 'lmtp',
    settings: {},
    ...options,
    folder,
    ports,
    hostname: `${options.name}.postfix.test`,
  });
  const postfix = new PrivatePostfix(folder, etc, ports, startReaper(folder));
  try {
    await postfix.start();
    await postfix.waitForLog(/daemon started/);
  } catch (error) {
    const log = await postfix.log();
    await postfix.stop();
    throw new Error(`Postfix does not start: ${String(error)}\n${log}`, { cause: error });
  }
  return postfix;
}

/** A running instance. */
export class PrivatePostfix {
  readonly ports: PostfixPorts;
  /** The temporary folder: etc, queue, data, mail, mail.log. */
  readonly folder: string;
  readonly #etc: string;
  readonly #reaper: Reaper;

  constructor(folder: string, etc: string, ports: PostfixPorts, reaper: Reaper) {
    this.folder = folder;
    this.ports = ports;
    this.#etc = etc;
    this.#reaper = reaper;
  }

  /** Starts the master, as the service manager does after its death. */
  async start(): Promise<void> {
    await run('postfix', ['-c', this.#etc, 'start'], { env: environment });
  }

  /** kill -9 of the master and all of its children, which are its process group, at one moment. */
  async kill(): Promise<void> {
    const master = await this.#masterPid();
    if (master === null) return;
    process.kill(-master, 'SIGKILL');
    while ((await processesIn(this.#queue)).length > 0) await sleep(5);
  }

  /** Whether its master runs. */
  async isRunning(): Promise<boolean> {
    return (await this.#masterPid()) !== null;
  }

  /** Submits a mail as a user's program does; `port` chooses another service. */
  submit(submission: Submission, port = this.ports.submission): Promise<string> {
    return swaks(port, submission);
  }

  /** The mails of a user of ours, oldest first. */
  mailboxOf(address: string): Promise<StoredMail[]> {
    const [user, domain] = address.split('@');
    return readMaildir(join(this.folder, 'mail', domain ?? '', user ?? ''));
  }

  /** The mails of a user as soon as there are `count`; throws with the log after `timeoutMs`. */
  async waitForMail(address: string, count = 1, timeoutMs = 10_000): Promise<StoredMail[]> {
    return this.#until(`${count} mails for ${address}`, timeoutMs, async () => {
      const mails = await this.mailboxOf(address);
      return mails.length >= count ? mails : null;
    });
  }

  /** What Postfix holds, deferred mail with its reasons. */
  async queue(): Promise<QueuedMail[]> {
    const { stdout } = await run('postqueue', ['-c', this.#etc, '-j'], { env: environment });
    const lines = stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as QueuedMail);
  }

  /** The queue as soon as it is as wanted; throws with the log after `timeoutMs`. */
  waitForQueue(
    wanted: (queue: QueuedMail[]) => boolean,
    timeoutMs = 10_000,
  ): Promise<QueuedMail[]> {
    return this.#until('the queue', timeoutMs, async () => {
      const queue = await this.queue();
      return wanted(queue) ? queue : null;
    });
  }

  /** Has everything deferred tried again at once. */
  async flush(): Promise<void> {
    await run('postqueue', ['-c', this.#etc, '-f'], { env: environment });
  }

  /** Everything that Postfix has logged. */
  log(): Promise<string> {
    return readFile(join(this.folder, 'mail.log'), 'utf8').catch(() => '');
  }

  /** The log as soon as it matches; throws with the log after `timeoutMs`. */
  waitForLog(pattern: RegExp, timeoutMs = 10_000): Promise<string> {
    return this.#until(`a log line like ${pattern}`, timeoutMs, async () => {
      const log = await this.log();
      return pattern.test(log) ? log : null;
    });
  }

  /** Ends this instance's master and its children, and removes the folder. Harmless when repeated. */
  async stop(): Promise<void> {
    if (this.#reaper.exitCode !== null) return;
    const gone = once(this.#reaper, 'exit');
    this.#reaper.ref();
    this.#reaper.stdin.end();
    await gone;
  }

  get #queue(): string {
    return join(this.folder, 'queue');
  }

  async #masterPid(): Promise<number | null> {
    const text = await readFile(join(this.#queue, 'pid/master.pid'), 'utf8').catch(() => '');
    const pid = Number(text.trim());
    return (await processesIn(this.#queue)).includes(pid) ? pid : null;
  }

  async #until<T>(what: string, timeoutMs: number, look: () => Promise<T | null>): Promise<T> {
    const endMs = Date.now() + timeoutMs;
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      if (Date.now() > endMs) {
        const lastLines = (await this.log()).split('\n').slice(-30).join('\n');
        throw new Error(`${what}: not within ${timeoutMs} ms\n${lastLines}`);
      }
      await sleep(50);
    }
  }
}

/** Process ids of all whose work folder is this: of an instance's master and its children. */
async function processesIn(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const at = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => null)));
  return pids.filter((_, i) => at[i] === folder).map(Number);
}

type Reaper = ChildProcessByStdio<Writable, null, null>;

/**
 * A shell that waits for the end of its input, which is when `stop` closes it or when the test process
 * dies of anything, kill -9 included; then it ends the master whose pid file lies in this folder, and
 * removes the folder. The master's work folder is compared: a pid may have passed to somebody else.
 */
function startReaper(folder: string): Reaper {
  const script = `
    cat >/dev/null
    pid=$(tr -d ' ' <"$1/queue/pid/master.pid" 2>/dev/null)
    mine() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/queue" ]; }
    for signal in TERM KILL; do
      mine "$1" && kill -$signal "$pid"
      for ((i = 0; i < 100; i++)); do mine "$1" || break; sleep 0.05; done
    done
    for ((i = 0; i < 20; i++)); do rm -rf "$1" 2>/dev/null && break; sleep 0.1; done`;
  const reaper = spawn('bash', ['-c', script, 'reaper', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  reaper.unref();
  return reaper;
}
