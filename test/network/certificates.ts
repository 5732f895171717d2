/**
 * Certificates of the test's own, made by openssl: a small authority in a folder, and what it signs for
 * servers, to the second, so that one that has expired is a real one.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const DAY_MS = 86_400_000;

/** Paths of PEM files; the key's mode is 0600. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a server's certificate says. */
export interface CertificateOptions {
  /** Names and IPv4 addresses that it is for. */
  readonly hosts: readonly string[];
  /** Validity; a day from an hour ago unless told. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Files to write it to instead of new ones, as a renewal does. */
  readonly files?: CertificateFiles;
}

/** A certificate authority nobody else knows. */
export interface Authority {
  /** Its own certificate, for `tls_ca`. */
  readonly caFile: string;
  issue(name: string, options: CertificateOptions): Promise<CertificateFiles>;
}

/** @param folder that is made, and holds everything */
export async function createAuthority(folder: string, name = 'Test CA'): Promise<Authority> {
  mkdirSync(folder, { recursive: true });
  const caFile = join(folder, 'ca.pem');
  const caKey = join(folder, 'ca.key');
  const config = join(folder, 'ca.cnf');
  writeFileSync(config, configuration(folder));
  writeFileSync(join(folder, 'index.txt'), '');
  await openssl(
    'req',
    '-x509',
    ...NEW_KEY,
    '-keyout',
    caKey,
    '-out',
    caFile,
    '-days',
    '30',
    '-subj',
    `/CN=${name}`,
  );
  const issue: Authority['issue'] = async (server, { hosts, fromMs, untilMs, files }) => {
    const now = Date.now();
    const key = join(folder, `${server}.key`);
    const cert = join(folder, `${server}.pem`);
    const request = join(folder, `${server}.csr`);
    const extensions = join(folder, `${server}.ext`);
    const names = hosts.map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`));
    writeFileSync(extensions, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`);
    // openssl writes keys with mode 0600.
    await openssl('req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${server}`);
    const signing = ['ca', '-batch', '-notext', '-config', config, '-extfile', extensions];
    signing.push('-cert', caFile, '-keyfile', caKey, '-in', request, '-out', cert);
    const from = asn1Time(fromMs ?? now - DAY_MS / 24);
    await openssl(...signing, '-startdate', from, '-enddate', asn1Time(untilMs ?? now + DAY_MS));
    if (files === undefined) return { cert, key };
    copyFileSync(key, files.key);
    copyFileSync(cert, files.cert);
    return files;
  };
  // One after the other: openssl keeps what it has signed in a file that two at once would spoil.
  let last: Promise<unknown> = Promise.resolve();
  return {
    caFile,
    issue: (server, options) => {
      const issued = last.then(() => issue(server, options));
      last = issued.catch(() => undefined);
      return issued;
    },
  };
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

function configuration(folder: string): string {
  return `
    [ca]
    default_ca = own
    [own]
    database = ${join(folder, 'index.txt')}
    new_certs_dir = ${folder}
    default_md = sha256
    policy = names
    unique_subject = no
    rand_serial = yes
    [names]
    commonName = supplied
  `.replaceAll(/^ +/gm, '');
}

/** YYYYMMDDHHMMSSZ, of RFC 5280 §4.1.2.5. */
function asn1Time(timeMs: number): string {
  return `${new Date(timeMs).toISOString().replaceAll(/[-:T]|\.\d+Z/g, '')}Z`;
}

async function openssl(...args: readonly string[]): Promise<void> {
  await execute('openssl', [...args]);
}
