/**
 * Recipients who want no mail out of the mixnet: a file of the operator's, an address or `@domain` a line,
 * `#` before remarks. Read again when it changes; where it can no longer be read, the last one holds.
 */
import { readFileSync, statSync } from 'node:fs';
import { PanoramixError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import { scanPath, type Mailbox } from '../src/mail/address.ts';

export class OptOutList {
  readonly #path: string;
  readonly #log: Log;
  #names: ReadonlySet<string>;
  #version: string;

  /** @throws PanoramixError `config-invalid` where it cannot be read, naming the line */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    this.#version = versionOf(path);
    this.#names = read(path);
  }

  /** Whether a recipient, any extension of his address, or all of his domain is on the list. */
  has({ local, domain }: Mailbox): boolean {
    this.#refresh();
    const folded = unquoted(local).toLowerCase();
    const names = [`@${domain}`, `${folded}@${domain}`, `${withoutExtension(folded)}@${domain}`];
    return names.some((name) => this.#names.has(name));
  }

  #refresh(): void {
    try {
      const version = versionOf(this.#path);
      if (version === this.#version) return;
      this.#version = version;
      this.#names = read(this.#path);
    } catch (error) {
      if (this.#version === 'unreadable') return;
      this.#version = 'unreadable';
      const { message } = error as Error;
      this.#log.error({ event: 'opt-out-unreadable', error: message }, 'the last list holds');
    }
  }
}

function versionOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    throw new PanoramixError('config-invalid', `${path} cannot be read`, error);
  }
}

function read(path: string): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new PanoramixError('config-invalid', `${path} cannot be read`, error);
  }
  const names = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    const entry = line.replace(/(?:^|\s)#.*$/, '').trim();
    if (entry === '') continue;
    const name = nameOf(entry);
    if (name === null) {
      const what = `${path}:${i + 1}: neither an address nor @domain: ${entry}`;
      throw new PanoramixError('config-invalid', what);
    }
    names.add(name);
  }
  return names;
}

function nameOf(entry: string): string | null {
  const isDomain = entry.startsWith('@');
  const path = scanPath(`<${isDomain ? `all${entry}` : entry}>`);
  if (!path.ok || path.rest !== '' || path.mailbox === null || path.mailbox.domain === '') {
    return null;
  }
  const { local, domain } = path.mailbox;
  return isDomain ? `@${domain}` : `${unquoted(local).toLowerCase()}@${domain}`;
}

/** `"bob"` and `b\ob` are bob to a mail server (RFC 5321 §4.1.2): no spelling gets past the list. */
function unquoted(local: string): string {
  return local.replaceAll(/\\(.)|"/gsu, '$1');
}

/** `bob+lists` is bob (Postfix's usual `recipient_delimiter`). */
function withoutExtension(local: string): string {
  const plus = local.indexOf('+');
  return plus > 0 ? local.slice(0, plus) : local;
}
