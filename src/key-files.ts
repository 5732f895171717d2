/**
 * Secrets on disk: written once with mode 0600, never overwritten, never printed, and refused when
 * anybody else could read them.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from './bytes.ts';
import { createDurably } from './durable-file.ts';
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
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new PanoramixError(
      'config-invalid',
      `${path} may be read by others (mode ${mode.toString(8)}): chmod 600 it, or replace the key if it was exposed`,
    );
  }
  return readFileSync(path, 'utf8');
}
