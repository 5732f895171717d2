/**
 * Secrets on disk: written once with mode 0600, never overwritten, never printed, and refused when
 * anybody else could read them.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromHex, toHex } from './bytes.ts';
import { createDurably, syncFolder } from './durable-file.ts';
import { PanoramixError } from './errors.ts';
import { identityFromSecret, type Identity } from './crypto/keys.ts';
import type { Primitives } from './crypto/primitives.ts';

const SECRET_BYTES = 32;

/**
 * The secret in a file, drawn and written first where there is none.
 * @param path file that holds 64 hex digits and a newline
 * @param random source of the secret
 * @returns 32 bytes
 * @throws PanoramixError `config-invalid` where the file is no secret or others may read it
 */
export function readOrCreateSecret(
  path: string,
  random: (byteLength: number) => Uint8Array,
): Uint8Array {
  // Drawn only where there is none: what is drawn stands on the disk for a moment, and stays there.
  if (!existsSync(path)) createDurably(path, `${toHex(random(SECRET_BYTES))}\n`);
  // Whoever wrote it may have been killed before its name was on the disk.
  else syncFolder(dirname(path));
  const secret = fromHex(readPrivate(path).trim());
  if (secret?.length !== SECRET_BYTES) {
    throw new PanoramixError('config-invalid', `${path} does not hold 64 hex digits`);
  }
  return secret;
}

/** The peer's signing identity in `data_dir/identity.key`, created at first use. */
export function readOrCreateIdentity(dataDir: string, primitives: Primitives): Identity {
  return identityFromSecret(
    primitives,
    readOrCreateSecret(join(dataDir, 'identity.key'), primitives.random),
  );
}

/**
 * The text of a file that holds secrets.
 * @throws PanoramixError `config-invalid` where others may read it
 */
export function readPrivate(path: string): string {
  const file = openSync(path, 'r');
  try {
    // Of the very file that is read, whatever its name leads to by then.
    requirePrivate(path, fstatSync(file));
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** The same, or null where there is no such file. */
export function readPrivateIfThere(path: string): string | null {
  try {
    return readPrivate(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Refuses a file that others may read.
 * @throws PanoramixError `config-invalid`
 */
export function requirePrivate(path: string, found: { readonly mode: number }): void {
  const mode = found.mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new PanoramixError(
    'config-invalid',
    `${path} may be read by others (mode ${mode.toString(8)}): chmod 600 it, or replace the key if it was exposed`,
  );
}
