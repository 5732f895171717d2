/** Submitting a mail with swaks, the way a user's program does, bytes unchanged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface Submission {
  /** MAIL FROM, empty for a report. */
  readonly from: string;
  readonly to: readonly string[];
  /** The message; lines end in CRLF. Dots are stuffed here. */
  readonly message: Uint8Array | string;
  /** Further arguments of swaks. */
  readonly options?: readonly string[];
}

/**
 * Sends over SMTP to a loopback port.
 * @returns the dialogue
 * @throws Error with the dialogue where the server did not take the mail
 */
export async function swaks(port: number, submission: Submission): Promise<string> {
  const from = submission.from === '' ? '<>' : submission.from;
  const addresses = ['--from', from, '--to', submission.to.join(',')];
  // --no-data-fixup: swaks would replace words in percent signs, strip and add lines.
  const program = spawn(
    'swaks',
    ['--server', '127.0.0.1', '--port', `${port}`, '--helo', 'client.example', ...addresses].concat(
      ['--data', '-', '--no-data-fixup', '--suppress-data', ...(submission.options ?? [])],
    ),
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const exited = once(program, 'exit');
  program.stdin.end(stuff(submission.message));
  const [dialogue, errors, [status]] = await Promise.all([
    text(program.stdout),
    text(program.stderr),
    exited,
  ]);
  if (status !== 0) throw new Error(`swaks ended with ${String(status)}\n${dialogue}${errors}`);
  return dialogue;
}

/** Dot-stuffing and the final dot (RFC 5321 §4.5.2), whose CRLF swaks itself sends. */
export function stuff(message: Uint8Array | string): Buffer {
  const bytes = Buffer.from(message as string).toString('latin1');
  const stuffed = bytes.replaceAll(/^\./gm, '..');
  return Buffer.from(`${stuffed}${stuffed.endsWith('\r\n') ? '' : '\r\n'}.`, 'latin1');
}
