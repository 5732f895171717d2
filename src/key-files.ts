/**
 * Secrets on disk: written once with mode 0600, never overwritten, never printed, and refused when
 * anybody else could read them.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fromHex, toHex } from './bytes.ts';
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
  createOnce(path, `${toHex(random(SECRET_BYTES))}\n`);
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new PanoramixError(
      'config-invalid',
      `${path} may be read by others (mode ${mode.toString(8)}): chmod 600 it, or replace the key if it was exposed`,
    );
  }
  const secret = fromHex(readFileSync(path, 'latin1').trim());
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

/** Writes a whole new file under its name or, where the name exists, nothing at all. */
function createOnce(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.draft`;
  const handle = openSync(draft, 'w', 0o600);
  writeSync(handle, text);
  fsyncSync(handle);
  closeSync(handle);
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}
