/**
 * The server wizard's way (D4.2 §5.1): its questions in their order, then what can be found out about the
 * answers before the controller is started.
 */
import { dirname, resolve } from 'node:path';
import { asPanoramixError } from '../../errors.ts';
import { readServerTls, type TlsFiles } from '../../tls-files.ts';
import type { Answers } from './answers.ts';
import { checkDoor, checkFolder, checkRedis, type Door, type Finding } from './checks.ts';
import { groupFor } from './interview.ts';
import { textOf } from './question.ts';
import { PACKETS } from './questions.ts';
import { SERVER_QUESTIONS as Q } from './server-questions.ts';

const HTTPS_PORT = 443;

/** Asks what the configuration does not say yet. */
export async function interviewServer(answers: Answers): Promise<void> {
  const urlBefore = answers.given(Q.CATALOG_URL);
  const url = new URL(textOf(await answers.ask(Q.CATALOG_URL)));
  if (url.protocol === 'http:' && textOf(urlBefore).startsWith('https:')) {
    answers.config.remove(Q.TLS_CERT.key.slice(0, -1));
  }
  const isOwnTls = url.protocol === 'https:' && (await asksForFiles(answers));
  if (isOwnTls) {
    await answers.ask(Q.TLS_CERT);
    await answers.ask(Q.TLS_KEY);
  } else if (url.protocol === 'https:') await answers.ask(Q.trusted_proxies);
  await answers.ask(Q.listen, proposedAddress(url, isOwnTls));
  const before = answers.given(Q.purpose);
  const purpose = (await answers.ask(Q.purpose)) === 'batch' ? 'batch' : 'mail';
  await answers.ask(Q.BACKEND);
  // The packets of another purpose are no defaults for this one.
  const isOther = before !== null && before !== purpose;
  for (const [question, usual] of [
    [Q.BODY_LEN, PACKETS[purpose].BODY_LEN],
    [groupFor(purpose, Q.GROUP), PACKETS[purpose].GROUP],
    [Q.HEADER_LEN, PACKETS[purpose].HEADER_LEN],
  ] as const) {
    if (isOther) await answers.askAnew(question, usual);
    else await answers.ask(question, usual);
  }
  await answers.ask(Q.server_name);
  await answers.ask(Q.data_dir);
  await answers.ask(Q.mixnet_file);
}

/** Whether everything is answered, by an earlier run or an operator. */
export function isServerComplete({ config }: Answers): boolean {
  const needed = [Q.CATALOG_URL, Q.listen, Q.data_dir, Q.server_name];
  return needed.every((question) => config.get(question.key) !== undefined);
}

/**
 * Checks what was answered: address, certificate, folder, redis-server, and whether the URL leads here.
 * @returns everything with which the controller could not run, a sentence each
 */
export async function checkServer(answers: Answers): Promise<string[]> {
  const { talk, config } = answers;
  const folder = dirname(config.path);
  const pathAt = (key: readonly string[]): string => resolve(folder, textOf(config.get(key)));
  talk.wait('Checking');
  const url = textOf(config.get(Q.CATALOG_URL.key));
  const findings: [string, Finding][] = [
    ['the data folder can be written to', checkFolder(pathAt(Q.data_dir.key))],
  ];
  if (config.get(['redis', 'url']) === undefined && !process.env['REDIS_URL']) {
    findings.push(['redis-server is installed', checkRedis()]);
  }
  const [host = '', port = ''] = textOf(config.get(Q.listen.key)).split(/:(?=\d+$)/);
  const tls =
    config.get(Q.TLS_CERT.key) === undefined
      ? null
      : { cert: pathAt(Q.TLS_CERT.key), key: pathAt(Q.TLS_KEY.key) };
  const certificate = tls && checkTls(tls);
  if (certificate) findings.push(['the certificate can be shown', certificate]);
  else {
    const door: Door = { host: host.replaceAll(/[[\]]/g, ''), port: Number(port), tls };
    findings.push([`${host}:${port} is free, and ${url} leads there`, await checkDoor(door, url)]);
  }
  talk.end();
  const problems: string[] = [];
  for (const [what, finding] of findings) {
    if (finding === null) talk.done(`Checked: ${what}`);
    else if ('warning' in finding) talk.warn(finding.warning);
    else problems.push(finding.problem);
  }
  return problems;
}

/** Whether certificate and key can be read and belong together; what else it is shows at the door. */
function checkTls(files: TlsFiles): Finding {
  try {
    readServerTls(files);
    return null;
  } catch (error) {
    const { code, message } = asPanoramixError(error);
    return { problem: message.replace(`${code}: `, '') };
  }
}

async function asksForFiles(answers: Answers): Promise<boolean> {
  if (answers.given(Q.TLS_CERT) !== null) return true;
  if (answers.given(Q.trusted_proxies) !== null) return false;
  return (await answers.ask(Q.tls)) === 'files';
}

/** Where the URL leads by itself; a proxy stands between else. */
function proposedAddress(url: URL, isOwnTls: boolean): string {
  if (url.protocol === 'https:' && !isOwnTls) return '127.0.0.1:8000';
  const port = url.port || (url.protocol === 'https:' ? HTTPS_PORT : 80);
  const isAddress = /^[\d.]+$|^\[/.test(url.hostname);
  const host = url.hostname === 'localhost' ? '127.0.0.1' : isAddress ? url.hostname : '0.0.0.0';
  return `${host}:${port}`;
}
