/**
 * Certificates on disk: a controller's own, looked at again and again, since they are renewed every few weeks
 * by programs that know nothing of ours; and the authorities that a program believes besides Node's.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import tls from 'node:tls';
import { PanoramixError, wordsOf } from './errors.ts';
import { readPrivate } from './key-files.ts';
import type { Log } from './log.ts';

/** Paths of PEM files: a certificate with those that lead to its authority, and its key. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a TLS server is made with, and takes anew by `setSecureContext`. */
export interface ServerTls {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** 1.3 wherever the other side can; what can neither is older than any Node that runs us. */
  readonly minVersion: 'TLSv1.2';
}

/** What was read, and when it ends. */
export interface CertificateFile {
  readonly tls: ServerTls;
  readonly expiresMs: number;
  /** How long before that it should have been renewed. */
  readonly warnMs: number;
  /** Of the files: tells whether they have changed since. */
  readonly stamp: string;
}

const LOOK_MS = 2_000;
/**
 * From then on before a certificate expires its operator is told, once a day. Programs renew with a third of its
 * life left: with a sixth, and at most so long before its end, it should have been.
 */
const WARN_MS_MAX = 7 * 86_400_000;
const WARN_SHARE = 1 / 6;
const DAY_MS = 86_400_000;

/**
 * Reads a certificate and its key.
 * @throws PanoramixError `config-invalid` with what is wrong: a file is missing or is none, others may read the key,
 * or the two do not belong together
 */
export function readServerTls(files: TlsFiles): CertificateFile {
  const stamp = stampOf(files);
  const key = readable(files.key, readPrivate);
  const cert = readable(files.cert, (path) => readFileSync(path, 'utf8'));
  const server = { cert, key, minVersion: 'TLSv1.2' } as const;
  try {
    tls.createSecureContext(server);
    const { validFromDate, validToDate } = new X509Certificate(cert);
    const expiresMs = validToDate.getTime();
    const lifeMs = expiresMs - validFromDate.getTime();
    return { tls: server, expiresMs, warnMs: Math.min(WARN_MS_MAX, WARN_SHARE * lifeMs), stamp };
  } catch (cause) {
    throw new PanoramixError(
      'config-invalid',
      `${files.cert} and ${files.key} are no certificate and its key: ${(cause as Error).message}`,
      cause,
    );
  }
}

/**
 * Looks at the files and gives what is new to a server. What cannot be used, or has expired already, is left, and
 * said once: the server goes on with what it has.
 * @param current what the server has now
 * @param options.lookMs between two looks, default 2 s
 * @returns ends it
 */
export function watchServerTls(
  files: TlsFiles,
  current: CertificateFile,
  renew: (read: ServerTls) => void,
  options: { readonly log: Log; readonly lookMs?: number },
): () => void {
  const { log } = options;
  let { stamp, expiresMs, warnMs } = current;
  let changing = stamp;
  let warnedMs = 0;
  const look = (): void => {
    const now = stampOf(files);
    // Two files are written one after the other: they are read when they have not changed for one look.
    if (now !== stamp && now === changing) {
      stamp = now;
      const renewed = readRenewed(files, log);
      if (renewed !== null) {
        renew(renewed.tls);
        ({ expiresMs, warnMs } = renewed);
        warnedMs = 0;
        log.info({ validUntil: new Date(expiresMs).toISOString() }, 'Takes the new certificate');
      }
    }
    changing = now;
    if (expiresMs - Date.now() > warnMs || Date.now() - warnedMs < DAY_MS) return;
    warnedMs = Date.now();
    sayExpiry(expiresMs, log);
  };
  look();
  const timer = setInterval(look, options.lookMs ?? LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function readRenewed(files: TlsFiles, log: Log): CertificateFile | null {
  try {
    const read = readServerTls(files);
    if (read.expiresMs > Date.now()) return read;
    throw new PanoramixError('config-invalid', `${files.cert} has expired already`);
  } catch (error) {
    const fields = { reason: 'certificate-refused', error: (error as Error).message };
    log.error(fields, 'The new certificate cannot be used: goes on with the old one');
    return null;
  }
}

function sayExpiry(expiresMs: number, log: Log): void {
  const fields = { reason: 'tls-expired', validUntil: new Date(expiresMs).toISOString() };
  if (expiresMs > Date.now()) {
    log.warn(fields, 'The certificate expires soon and has not been renewed');
  } else {
    log.error(fields, 'The certificate has expired: nobody posts here until it is renewed');
  }
}

/**
 * From now on this process also believes certificates of the authorities in a file.
 * @param path PEM, one or several; undefined: none besides Node's own
 * @throws PanoramixError `config-invalid` where it holds none
 */
export function trustAuthorities(path: string | undefined): void {
  if (path === undefined) return;
  const text = readable(path, (file) => readFileSync(file, 'utf8'));
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0)
    throw new PanoramixError('config-invalid', `${path} holds no certificate`);
  try {
    tls.setDefaultCACertificates([...new Set([...tls.getCACertificates('default'), ...found])]);
  } catch (cause) {
    throw new PanoramixError('config-invalid', `${path} holds a broken certificate`, cause);
  }
}

function readable(path: string, read: (path: string) => string): string {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof PanoramixError) throw error;
    throw new PanoramixError('config-invalid', `${path} cannot be read: ${wordsOf(error)}`, error);
  }
}

/** Changes whenever a file does; also where a link leads to another file, as renewing programs do. */
function stampOf(files: TlsFiles): string {
  return [files.cert, files.key]
    .map((path) => {
      const found = statSync(path, { throwIfNoEntry: false, bigint: true });
      return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : 'none';
    })
    .join(' ');
}
