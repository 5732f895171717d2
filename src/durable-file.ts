/**
 * Small files that must survive a kill -9 or a power cut: secrets, state, the last directory.
 * A reader finds the old text or the new one, whole; once a call returns, the new one is on disk.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * Writes a file whole, over an older one.
 * @param mode permission bits of the file; its folder is created 0700
 * @throws the file system's error; the old file then still stands
 */
export function replaceDurably(path: string, text: string, mode = 0o600): void {
  const draft = writeDraft(path, text, mode);
  try {
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/**
 * Writes a file that must not exist yet.
 * @returns false, and nothing is written, where the name is taken
 */
export function createDurably(path: string, text: string, mode = 0o600): boolean {
  const draft = writeDraft(path, text, mode);
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(dirname(path));
  return true;
}

/** The text of a file, or null where there is none. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Removes a file that held a secret: overwritten, synced, unlinked. Done again, it does what is left.
 * A disk or file system that writes elsewhere (flash, snapshots, copy on write) keeps old blocks all the same.
 */
export function destroyDurably(path: string): void {
  let handle: number;
  try {
    handle = openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    // Other names of the same bytes lead to nothing then, either.
    writeFileSync(handle, Buffer.alloc(fstatSync(handle).size));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  rmSync(path, { force: true });
  syncFolder(dirname(path));
}

/**
 * Makes a folder, and those on the way to it, 0700, so that a power cut leaves them: what is synced inside a folder
 * is lost with it while its own name is not synced, too. Where it is there, its name is made durable all the
 * same: whoever made it may have been killed before.
 */
export function makeFolderDurably(folder: string): void {
  makeFolders(folder);
  syncIfReadable(dirname(resolve(folder)));
}

/** Makes durable which names a folder holds: what another program has made in it, such as a server. */
export function syncFolder(folder: string): void {
  syncPath(folder);
}

/** Makes durable what another program has left in a folder, killed before it had synced it: bytes and names. */
export function syncFilesIn(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isFile()) syncPath(join(folder, entry.name));
  }
  syncPath(folder);
}

function syncPath(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function makeFolders(folder: string): void {
  const whole = resolve(folder);
  const highest = mkdirSync(whole, { recursive: true, mode: 0o700 });
  if (highest === undefined) return;
  for (let made = whole; ; made = dirname(made)) {
    syncIfReadable(dirname(made));
    if (made === highest || made === dirname(made)) return;
  }
}

/** A folder above ours may be one that we may use, but not look into. */
function syncIfReadable(folder: string): void {
  try {
    syncFolder(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
  }
}

function writeDraft(path: string, text: string, mode: number): string {
  makeFolders(dirname(path));
  const draft = `${path}.${process.pid}.draft`;
  // A draft of an earlier process with our pid is worthless, and might be readable by others.
  rmSync(draft, { force: true });
  const handle = openSync(draft, 'wx', mode);
  try {
    // All of it: a single write may stop short where the disk is nearly full, and say nothing.
    writeFileSync(handle, text);
    fsyncSync(handle);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
  return draft;
}
