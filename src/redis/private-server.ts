/**
 * The private redis-server of one data directory: found and adopted where it runs, else started under
 * a lock. It outlives a killed program, so that what it holds is there for the next one; the lock is
 * its own for as long as it lives, so that no second server can ever open the same files.
 */
import { spawn } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, open, readFile, realpath } from 'node:fs/promises';
import { constants, accessSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { makeFolderDurably, syncFilesIn } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';
import { createProbe, guarded } from './clients.ts';
import { setting } from './durability.ts';

/** Longest unix socket path that the kernel takes, its closing zero byte not counted. */
const SOCKET_PATH_BYTES_MAX = 107;
/** flock's exit code where another server has the lock; redis-server has no use for it. */
const LOCK_TAKEN = 75;
/** A server that cannot start fails at once each time; one that was pushed aside starts then. */
const START_TRIES = 3;
const POLL_MS = 25;
/** For a server to answer after its start; one that is loading its file has all the time it needs. */
const ANSWER_MS_MAX = 10_000;

const HOW_TO_GET_ONE = 'install it (Debian: apt-get install redis-server), or set REDIS_URL';

/** What is private to one data directory. */
export interface PrivatePaths {
  /** The server's own directory, as it reports it in `CONFIG GET dir`. */
  readonly dir: string;
  /** Held by the running server. */
  readonly lock: string;
  /** Holds the path of its socket; written by whoever has the lock, just before the server starts. */
  readonly note: string;
  /** Its log, and what it prints. */
  readonly log: string;
}

/** Creates the directories that are missing, so that a power cut leaves them. */
export async function privatePaths(dataDir: string): Promise<PrivatePaths> {
  makeFolderDurably(dataDir);
  makeFolderDurably(join(dataDir, 'redis'));
  const paths = pathsIn(await realpath(dataDir));
  await chmod(paths.dir, 0o700);
  return paths;
}

/** The same for who only looks, and creates nothing: there may be nothing at these paths. */
export async function visitedPaths(dataDir: string): Promise<PrivatePaths> {
  return pathsIn(await realpath(dataDir).catch(() => resolve(dataDir)));
}

function pathsIn(root: string): PrivatePaths {
  const dir = join(root, 'redis');
  return {
    dir,
    lock: join(root, 'redis.lock'),
    note: join(root, 'redis.socket'),
    log: join(dir, 'redis.log'),
  };
}

/**
 * The settings that make an acknowledgement true. `hz` is how exactly due jobs leave (notes: 100 ms
 * late at the default of 10). Streams keep one entry per node, because BullMQ trims its event streams
 * by whole nodes and they would otherwise keep the last hundred times and ids. The slow log would keep
 * keys with times in memory, and the log a line for each rewrite (rewrite.ts). What is sealed does not
 * compress.
 */
export function serverSettings(maxMemoryBytes: number): Readonly<Record<string, string>> {
  return {
    appendonly: 'yes',
    appendfsync: 'always',
    'no-appendfsync-on-rewrite': 'no',
    'aof-load-truncated': 'yes',
    'auto-aof-rewrite-percentage': '100',
    'auto-aof-rewrite-min-size': String(32 * 1024 * 1024),
    save: '',
    'maxmemory-policy': 'noeviction',
    maxmemory: String(maxMemoryBytes),
    hz: '100',
    'dynamic-hz': 'no',
    'stream-node-max-entries': '1',
    'hash-max-listpack-entries': '128',
    'hash-max-listpack-value': '64',
    'slowlog-log-slower-than': '-1',
    'slowlog-max-len': '0',
    rdbcompression: 'no',
    loglevel: 'warning',
  };
}

/**
 * The socket of the running server, or null where none runs. Never starts one.
 * A note that is unreadable, half written or of another time counts as none.
 */
export async function findServer(paths: PrivatePaths): Promise<string | null> {
  const socket = await readNote(paths);
  return socket !== null && (await whoAnswers(paths, socket)) === 'ours' ? socket : null;
}

/**
 * Finds the server, or starts it: the same path again where it can be, so that clients that lost it
 * find it. Any number of programs may call this at once; they all get the one server.
 * @returns its socket, and whether this call started it
 */
export async function ensureServer(
  paths: PrivatePaths,
  maxMemoryBytes: number,
): Promise<{ readonly socket: string; readonly started: boolean }> {
  const deadline = performance.now() + ANSWER_MS_MAX;
  let failures = 0;
  while (true) {
    const running = await findServer(paths);
    if (running !== null) return { socket: running, started: false };
    const socket = (await usableNote(paths)) ?? (await freshSocket());
    const outcome = await start(paths, socket, serverSettings(maxMemoryBytes)).catch(
      async (thrown: unknown) => {
        // A program that closed at this moment has taken the folder away, or just made it again.
        if (++failures >= START_TRIES && (await isOurs(dirname(socket)))) throw thrown;
        return 'folder-gone' as const;
      },
    );
    if (outcome === 'answers') return { socket, started: true };
    // Another program was faster, or a server is still leaving: look again until it answers.
    if (performance.now() > deadline) {
      throw new PanoramixError(
        'redis-unavailable',
        `another process holds ${paths.lock}, but no server answers at the path in ${paths.note}; ` +
          `end the redis-server that uses ${paths.dir} and start again`,
      );
    }
    await sleep(POLL_MS);
  }
}

/**
 * Sets what differs on an adopted server, such as a changed memory limit.
 * @throws PanoramixError `redis-unavailable`; `unexpected` where the server refuses a setting
 */
export async function applySettings(socket: string, maxMemoryBytes: number): Promise<void> {
  const probe = createProbe({ socket });
  try {
    await guarded('set up the adopted Redis', async () => {
      await probe.connect();
      for (const [name, wanted] of Object.entries(serverSettings(maxMemoryBytes))) {
        if ((await setting(probe, name)) !== wanted) await probe.config('SET', name, wanted);
      }
    });
  } finally {
    probe.disconnect();
  }
}

async function readNote(paths: PrivatePaths): Promise<string | null> {
  try {
    const text = await readFile(paths.note, 'utf8');
    const socket = text.trim();
    // Without its end the line is a part of a path, which a power cut has left: of several programs perhaps the same.
    const isWhole = text.endsWith('\n') && socket.startsWith('/');
    return isWhole && Buffer.byteLength(socket) <= SOCKET_PATH_BYTES_MAX ? socket : null;
  } catch {
    return null;
  }
}

/**
 * The noted path, where its directory is ours alone, or could be made again: whatever empties the
 * folder for temporary files must not make running programs lose their server for good.
 */
async function usableNote(paths: PrivatePaths): Promise<string | null> {
  const socket = await readNote(paths);
  if (socket === null) return null;
  await mkdir(dirname(socket), { mode: 0o700 }).catch(() => undefined);
  if (!(await isOurs(dirname(socket)))) return null;
  // A data directory that was copied names its original's socket, which must not be taken over.
  return (await whoAnswers(paths, socket)) === 'another' ? null : socket;
}

async function isOurs(directory: string): Promise<boolean> {
  try {
    const facts = await lstat(directory);
    return facts.isDirectory() && facts.uid === process.getuid?.() && (facts.mode & 0o077) === 0;
  } catch {
    return false;
  }
}

async function freshSocket(): Promise<string> {
  const name = join('panoramix-XXXXXX', 'redis.sock');
  const fits = Buffer.byteLength(join(tmpdir(), name)) <= SOCKET_PATH_BYTES_MAX;
  return join(await mkdtemp(join(fits ? tmpdir() : '/tmp', 'panoramix-')), 'redis.sock');
}

/** Whether the server of these very files listens there; waits while it is loading them. */
async function whoAnswers(paths: PrivatePaths, socket: string): Promise<'ours' | 'another' | null> {
  if (!(await isOurs(dirname(socket)))) return null;
  const probe = createProbe({ socket });
  try {
    await probe.connect();
    while (!(await hasLoaded(probe))) await sleep(POLL_MS);
    return (await setting(probe, 'dir')) === paths.dir ? 'ours' : 'another';
  } catch {
    return null;
  } finally {
    probe.disconnect();
  }
}

async function hasLoaded(probe: ReturnType<typeof createProbe>): Promise<boolean> {
  try {
    await probe.ping();
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.startsWith('LOADING')) return false;
    throw thrown;
  }
}

async function start(
  paths: PrivatePaths,
  socket: string,
  settings: Readonly<Record<string, string>>,
): Promise<'answers' | 'lock-taken' | 'shut-down'> {
  const program = findProgram(['redis-server', 'valkey-server']);
  const flock = findProgram(['flock']);
  if (program === null) throw missing(`there is no redis-server; ${HOW_TO_GET_ONE}`);
  if (flock === null) throw missing('there is no flock; install util-linux, or set REDIS_URL');
  const options = Object.entries({
    ...settings,
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir: paths.dir,
    daemonize: 'no',
    logfile: paths.log,
    'proc-title-template': '{title} panoramix {unixsocket}',
  }).flatMap(([name, value]) => [`--${name}`, value]);
  // The shell notes the socket while it already holds the lock, then becomes the server, which keeps
  // the lock's file open: the note is always that of the server that has the lock.
  const script = 'printf "%s\\n" "$1" >"$2.new" && mv "$2.new" "$2" && shift 2 && exec "$@"';
  const noted = ['sh', '-c', script, 'sh', socket, paths.note, program, ...options];
  // A server that was killed may have written what it had not synced. The next one reads it, and programs would
  // answer for it (a mail that comes again is known already) with nothing on the disk.
  syncFilesIn(join(paths.dir, 'appendonlydir'));
  const output = await open(paths.log, 'a', 0o600);
  try {
    const child = spawn(flock, ['-n', '-E', String(LOCK_TAKEN), '-F', paths.lock, ...noted], {
      cwd: paths.dir,
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    let ended: { readonly code: number | null; readonly why: string } | null = null;
    child.on('error', (error) => (ended = { code: null, why: error.message }));
    child.on('exit', (code, signal) => (ended = { code, why: `exit ${code ?? signal}` }));
    child.unref();
    return await firstAnswer(paths, socket, () => ended);
  } finally {
    await output.close();
  }
}

async function firstAnswer(
  paths: PrivatePaths,
  socket: string,
  ended: () => { readonly code: number | null; readonly why: string } | null,
): Promise<'answers' | 'lock-taken' | 'shut-down'> {
  const deadline = performance.now() + ANSWER_MS_MAX;
  while (true) {
    if ((await whoAnswers(paths, socket)) === 'ours') return 'answers';
    const end = ended();
    if (end?.code === LOCK_TAKEN) return 'lock-taken';
    // It did start, and a program that adopted it and closed has shut it down already.
    if (end?.code === 0) return 'shut-down';
    if (end !== null || performance.now() > deadline) {
      const why = end?.why ?? `no answer within ${ANSWER_MS_MAX / 1000} s`;
      throw new PanoramixError(
        'redis-unavailable',
        `the private redis-server did not start (${why}); see ${paths.log}`,
      );
    }
    await sleep(POLL_MS);
  }
}

function findProgram(names: readonly string[]): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/bin', '/usr/sbin'];
  for (const name of names) {
    for (const folder of folders) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        continue;
      }
    }
  }
  return null;
}

function missing(detail: string): PanoramixError {
  return new PanoramixError('redis-unavailable', detail);
}
