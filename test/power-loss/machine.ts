/**
 * A machine whose power can be cut: programs that are started while it is on are watched by disk-notes.c; a cut
 * ends them all at once and leaves of their files what was synced.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NotedDisk, type Survival, type Taken } from './disk.ts';
import { parseNotes } from './notes.ts';

const SOURCE = join(import.meta.dirname, 'disk-notes.c');
/** For who is just making a note when the power goes: a sync on a disk that is busy. */
const NOTING_MS_MAX = 20_000;
const ENDING_MS_MAX = 10_000;
const LOOK_MS = 2;

export class Machine {
  /** What a power cut reaches: programs' folders go here. */
  readonly disk: string;
  readonly #folder: string;
  readonly #noted: NotedDisk;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #notes: string;
  readonly #switch: string;

  /**
   * @param syncMs how slow its disk is: each sync takes up to so many ms more
   * @param disk an empty folder on the file system of temporary files; else it makes one
   */
  constructor({ syncMs = 0, disk }: { readonly syncMs?: number; readonly disk?: string } = {}) {
    this.#folder = realpathSync(mkdtempSync(join(tmpdir(), 'panoramix-power-')));
    const at = (name: string): string => join(this.#folder, name);
    this.disk = disk === undefined ? at('disk') : realpathSync(disk);
    this.#notes = at('notes');
    this.#switch = at('switch');
    if (disk === undefined) mkdirSync(this.disk, { mode: 0o700 });
    mkdirSync(at('kept'), { mode: 0o700 });
    this.#noted = new NotedDisk(this.disk, at('kept'));
    this.#clear();
    this.#environment = {
      LD_PRELOAD: theLibrary(),
      POWER_LOSS_ROOT: this.disk,
      POWER_LOSS_NOTES: this.#notes,
      POWER_LOSS_KEPT: at('kept'),
      POWER_LOSS_SWITCH: this.#switch,
      POWER_LOSS_SYNC_MS: String(syncMs),
      // Sockets of redis-servers, among others: empty after a boot.
      TMPDIR: this.beside('tmp'),
      // What went by a ring would pass the library by.
      UV_USE_IO_URING: '0',
    };
  }

  /** The environment of its programs. */
  get environment(): Readonly<Record<string, string>> {
    return this.#environment;
  }

  /** Takes a file that none of its programs has written for one that was there before them. */
  adopt(path: string): void {
    this.#noted.adopt(realpathSync(path));
  }

  /**
   * Cuts the power. Does not give way to anything else in this process before all programs are dead: what they
   * had not said by then, nobody hears.
   */
  cut(survival: Survival): Taken {
    const handle = openSync(this.#switch, 'r+');
    try {
      writeSync(handle, Buffer.from([1, 0, 0, 0]), 0, 4, 0);
      const noting = Buffer.alloc(4);
      waitUntil('no note is being made', NOTING_MS_MAX, () => {
        readSync(handle, noting, 0, 4, 4);
        return noting.readInt32LE() <= 0;
      });
    } finally {
      closeSync(handle);
    }
    waitUntil('all programs are dead', ENDING_MS_MAX, () => this.#killAll() === 0);
    const notes = parseNotes(readFileSync(this.#notes, 'utf8'));
    const taken = this.#noted.cut(notes, survival);
    this.#clear();
    rmSync(this.beside('tmp'), { recursive: true });
    this.beside('tmp');
    return taken;
  }

  /** A folder of its own beside the disk, which no cut reaches: for logs, and what others than its programs write. */
  beside(name: string): string {
    const path = join(this.#folder, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** Whether its power has failed by itself (POWER_LOSS_AT); `cut` does the rest. */
  get isOff(): boolean {
    return readFileSync(this.#switch).readInt32LE() !== 0;
  }

  /** How many programs run on it. */
  get programs(): number {
    return this.#pids().length;
  }

  /** Ends what still runs, and removes everything. */
  remove(): void {
    waitUntil('all programs are dead', ENDING_MS_MAX, () => this.#killAll() === 0);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #clear(): void {
    writeFileSync(this.#notes, '');
    writeFileSync(this.#switch, Buffer.alloc(8));
  }

  #killAll(): number {
    const pids = this.#pids();
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    return pids.length;
  }

  /** Those that have the switch mapped: whatever was started here, children of children too. */
  #pids(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/maps`, 'utf8').includes(this.#switch);
        } catch {
          // It has ended since, or is somebody else's.
          return false;
        }
      })
      .map(Number);
  }
}

let library: string | null = null;

/** Compiled once for each test process, and gone with it. */
function theLibrary(): string {
  if (library !== null) return library;
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-notes-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  library = join(folder, 'disk-notes.so');
  execFileSync('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE]);
  return library;
}

/** Without giving way: timers and sockets of this process stand still meanwhile. */
function waitUntil(what: string, patienceMs: number, holds: () => boolean): void {
  const still = new Int32Array(new SharedArrayBuffer(4));
  for (const endMs = Date.now() + patienceMs; !holds();) {
    if (Date.now() > endMs) throw new Error(`${what}: not within ${patienceMs} ms`);
    Atomics.wait(still, 0, 0, LOOK_MS);
  }
}
