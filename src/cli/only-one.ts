/**
 * One program of a kind on a data directory: a second node would sign a second entry for each snapshot,
 * for which owners leave a node out, and tick at twice the rate.
 */
import { spawnSync } from 'node:child_process';
import { openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderDurably } from '../durable-file.ts';
import { PanoramixError } from '../errors.ts';

/** flock's answer where another process has the lock. */
const TAKEN = 1;

/**
 * Takes the lock of a data directory; the kernel frees it when this process ends, however it ends.
 * Where there is no flock (it comes with util-linux) nothing is locked.
 * @throws PanoramixError `config-invalid` where another process has it, or others may write there
 */
export function lockDataDir(dataDir: string, kind: 'node' | 'controller'): void {
  makeFolderDurably(dataDir);
  // Who may write there may put keys of his own in the place of ours.
  if ((statSync(dataDir).mode & 0o022) !== 0) {
    throw new PanoramixError('config-invalid', `${dataDir} may be written by others: chmod 700 it`);
  }
  // Never closed: the lock belongs to the open file, which flock shares and we keep.
  const file = openSync(join(dataDir, `${kind}.lock`), 'a', 0o600);
  const { status } = spawnSync('flock', ['-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file],
  });
  if (status !== TAKEN) return;
  throw new PanoramixError(
    'config-invalid',
    `another ${kind} runs on ${dataDir}: end that one first`,
  );
}
