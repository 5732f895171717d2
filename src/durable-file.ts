/**
 * Small files that must survive a kill -9 or a power cut: secrets, state, the last directory.
 * A reader finds the old text or the new one, whole; once a call returns, the new one is on disk.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

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
  syncFolder(path);
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
  syncFolder(path);
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
  syncFolder(path);
}

function writeDraft(path: string, text: string, mode: number): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
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

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
