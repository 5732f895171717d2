/**
 * A disk of its own for part of a test: an ext4 file system in a file, mounted on a folder. It may be
 * filled to the last block, and may fail as disks do, when the kernel lets nobody write to it any more.
 *
 *     const disk = await SmallDisk.mount(join(folder, 'alpha'), 600);
 *     t.teardown(() => disk.unmount());
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const environment = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
const UMOUNT_TRIES = 25;
const FILLING = 'filling';
/** e2fsck(8): errors were corrected. */
const CORRECTED = 1;

/** Waits for the end of its input, which is when the test ends it or dies of whatever kind; then removes all. */
const KEEPER =
  'cat >/dev/null; mountpoint -q "$1" && umount -l "$1"; rm -rf "$2" 2>/dev/null; exit 0';

export class SmallDisk {
  readonly folder: string;
  readonly #image: string;
  readonly #keeper;

  private constructor(folder: string, image: string, workFolder: string) {
    this.folder = folder;
    this.#image = image;
    this.#keeper = spawn('bash', ['-c', KEEPER, 'keeper', folder, workFolder], {
      detached: true,
      env: environment,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#keeper.unref();
  }

  /** Makes one of so many MB, 8 at least, and mounts it on a folder, made where it is not there. */
  static async mount(folder: string, megabytes: number): Promise<SmallDisk> {
    const workFolder = mkdtempSync(join(tmpdir(), 'panoramix-disk-'));
    const image = join(workFolder, 'image');
    writeFileSync(image, '');
    // A file with a hole: it takes no more of the machine's disk than is written.
    truncateSync(image, megabytes * 1024 * 1024);
    await run('mkfs.ext4', '-q', '-F', '-m', '0', image);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const disk = new SmallDisk(folder, image, workFolder);
    try {
      await disk.#mount();
    } catch (error) {
      await disk.unmount();
      throw error;
    }
    return disk;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Leaves so many bytes free, at least and nearly: none by default, not one block for one byte more. */
  async fill(leavingBytes = 0): Promise<void> {
    const path = join(this.folder, FILLING);
    const wholeBytes = this.freeBytes - leavingBytes - 1024 * 1024;
    if (wholeBytes > 0) await run('fallocate', '-o', '0', '-l', String(wholeBytes), path);
    if (leavingBytes > 0) return;
    const file = openSync(`${path}.rest`, 'w');
    try {
      for (;;) writeSync(file, Buffer.alloc(1024));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  /** Takes away what `fill` wrote. */
  empty(): void {
    for (const name of [FILLING, `${FILLING}.rest`])
      rmSync(join(this.folder, name), { force: true });
  }

  /** Has all that was written until now on it, as an operator's configuration is after a minute. */
  async sync(): Promise<void> {
    await run('sync', '-f', this.folder);
  }

  /** From now on the kernel refuses every write, to open files, too, as after an error of the disk. */
  async fail(): Promise<void> {
    await run('mount', '-o', 'remount,abort', this.folder);
  }

  /** As an operator does it: nothing may have a file open there. What was synced is there afterwards. */
  async repair(): Promise<void> {
    // Whoever was just stopped may not have let go of the last file.
    for (let tries = UMOUNT_TRIES; ; tries--) {
      const isDone = await run('umount', this.folder).then(
        () => true,
        (error: unknown) => {
          if (tries === 0) throw error;
          return false;
        },
      );
      if (isDone) break;
      await sleep(200);
    }
    await run('e2fsck', '-p', this.#image).catch((error: { code?: unknown }) => {
      if (error.code !== CORRECTED) throw error;
    });
    await this.#mount();
  }

  /** Takes it away, with all that was on it; whatever still has files open there keeps them. */
  async unmount(): Promise<void> {
    if (this.#keeper.exitCode !== null) return;
    const gone = once(this.#keeper, 'exit');
    this.#keeper.ref();
    this.#keeper.stdin.end();
    await gone;
  }

  async #mount(): Promise<void> {
    await run('mount', '-o', 'loop,errors=remount-ro', this.#image, this.folder);
  }
}

/** Why no such disk can be made here, or null where one can. */
export async function whyNoDisks(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'disks are mounted only by root';
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-disk-'));
  try {
    const disk = await SmallDisk.mount(join(folder, 'trial'), 8);
    await disk.unmount();
    return null;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? String(error);
    return `this machine lets nobody mount a file (CAP_SYS_ADMIN, loop devices): ${said}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  await execute(program, [...args], { env: environment });
}
