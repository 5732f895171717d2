/**
 * Mail as Postfix's virtual(8) stored it in a Maildir, and what of it was sent: the lines that the
 * receiving side put on top are told apart from the message.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StoredMail {
  /** The file: line ends are LF, headers of the delivery stand on top. */
  readonly raw: Buffer;
  /** The message, line ends CRLF, without Return-Path, X-Original-To, Delivered-To and the Received lines of the rig's servers on top. */
  readonly message: Buffer;
  /** MAIL FROM, empty for a report. */
  readonly from: string;
  /** The header lines on top that `message` is without. */
  readonly onTop: string;
}

/** All mails of a Maildir, oldest first; none where it does not exist yet. */
export async function readMaildir(folder: string): Promise<StoredMail[]> {
  const names = await readdir(join(folder, 'new')).catch(() => []);
  names.sort((a, b) => arrivalMicroseconds(a) - arrivalMicroseconds(b));
  return Promise.all(
    names.map(async (name) => parseStored(await readFile(join(folder, 'new', name)))),
  );
}

/** One file of a Maildir. */
export function parseStored(raw: Buffer): StoredMail {
  // latin1 keeps every byte as one character.
  const text = raw.toString('latin1');
  const top =
    /^(?:(?:Return-Path|X-Original-To|Delivered-To):.*\n|Received:.*\n(?:[ \t].*\n)*?[ \t].*by \S+\.postfix\.test .*\n(?:[ \t].*\n)*)*/.exec(
      text,
    )?.[0] ?? '';
  return {
    raw,
    message: Buffer.from(text.slice(top.length).replaceAll('\n', '\r\n'), 'latin1'),
    from: /^Return-Path: <(.*)>$/m.exec(top)?.[1] ?? '',
    onTop: top,
  };
}

/** Names begin with the second and V, device, I, inode, M, microseconds. */
function arrivalMicroseconds(name: string): number {
  return Number(name.split('.')[0]) * 1e6 + Number(/M(\d+)\./.exec(name)?.[1] ?? 0);
}
