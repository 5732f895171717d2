/**
 * Looks into the far mailboxes again and again and gives each mail once: what number it has, when the server
 * took it and when it lay there, and the hash of its bytes.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseStored } from '../postfix/maildir.ts';
import { hashOf, recognise } from './mails.ts';

/** One file in a mailbox. */
export interface Copy {
  /** Null where it is no mail of this run. */
  readonly number: number | null;
  /** Whether it says what has become of that mail, instead of being it. */
  readonly isReport: boolean;
  readonly path: string;
  /** When it lay in the mailbox, by the file's name. */
  readonly atMs: number;
  /** When the far Postfix began to take it, by its Received line: whole seconds. */
  readonly takenAtMs: number;
  /** Of the far Postfix. */
  readonly queueId: string;
  /** SHA-256 in hex, of the message without what the delivery put on top. */
  readonly hash: string;
}

/** Several mailboxes, read together. */
export class Mailboxes {
  readonly #folders: readonly string[];
  readonly #run: string;
  readonly #seen = new Set<string>();

  /** @param folders Maildirs */
  constructor(folders: readonly string[], run: string) {
    this.#folders = folders;
    this.#run = run;
  }

  /** What has come since the last call. */
  async take(): Promise<Copy[]> {
    const copies: Copy[] = [];
    for (const folder of this.#folders) {
      for (const name of await readdir(join(folder, 'new')).catch(() => [])) {
        const path = join(folder, 'new', name);
        if (this.#seen.has(path)) continue;
        this.#seen.add(path);
        copies.push(copyOf(path, name, await readFile(path), this.#run));
      }
    }
    return copies;
  }
}

function copyOf(path: string, name: string, raw: Buffer, run: string): Copy {
  const { message, onTop } = parseStored(raw);
  const received = /^Received:.*\n(?:[ \t].*\n)*/m.exec(onTop)?.[0] ?? '';
  const atMs = microsecondsOf(name) / 1_000;
  const takenAtMs = Date.parse(/;\s*([^;]*?)\s*(?:\(\w+\))?\s*$/.exec(received)?.[1] ?? '');
  const known = recognise(run, message);
  return {
    number: known?.number ?? null,
    isReport: known?.isReport ?? false,
    path,
    atMs,
    takenAtMs: Number.isNaN(takenAtMs) ? atMs : takenAtMs,
    queueId: /\bwith \S+ id (\w+)/.exec(received)?.[1] ?? '',
    hash: hashOf(message),
  };
}

/** Names begin with the second and V, device, I, inode, M, microseconds. */
function microsecondsOf(name: string): number {
  return Number(name.split('.')[0]) * 1e6 + Number(/M(\d+)\./.exec(name)?.[1] ?? 0);
}
