/**
 * What a client that goes by RFC 5321 has sent, told by its bytes and by the replies that it got: which of them
 * were commands, which were mail. Knows nothing of how the listener reads.
 */

/** A mail that was sent to its end and answered with 250. */
export interface SentMail {
  /** Command lines that were answered with 250, since when nothing was reset. */
  readonly mailLine: string;
  readonly rcptLines: readonly string[];
  readonly data: Uint8Array;
}

export type Followed =
  | { readonly ok: true; readonly mails: readonly SentMail[] }
  | { readonly ok: false; readonly why: string };

const CLOSING = /^(?:221|421)/;

/**
 * @param sent all bytes of one connection
 * @param replies to all of it, the greeting apart
 */
export function followDialogue(
  sent: Uint8Array,
  replies: readonly string[],
  protocol: 'smtp' | 'lmtp',
): Followed {
  const bytes = Buffer.from(sent).toString('latin1');
  const mails: SentMail[] = [];
  let at = 0;
  let next = 0;
  let mailLine = '';
  let rcptLines: string[] = [];
  while (next < replies.length) {
    const newline = bytes.indexOf('\n', at);
    const reply = replies[next++] as string;
    // A line without an end that was too long, or was worked on as if it had one when the line went dead.
    if (newline < 0) return next === replies.length ? { ok: true, mails } : tooMany(next);
    const line = bytes.slice(at, newline);
    const verb = /^[^ \r]*/.exec(line)?.[0]?.toUpperCase() ?? '';
    at = newline + 1;
    if (CLOSING.test(reply)) return next === replies.length ? { ok: true, mails } : tooMany(next);
    if (/^(?:[EL]HLO|HELO|RSET)$/.test(verb) && reply.startsWith('250')) rcptLines = [];
    if (verb === 'MAIL' && reply.startsWith('250')) [mailLine, rcptLines] = [line, []];
    if (verb === 'RCPT' && reply.startsWith('250')) rcptLines.push(line);
    if (verb !== 'DATA' || !reply.startsWith('354')) continue;
    if (rcptLines.length === 0) return { ok: false, why: 'DATA is taken without a recipient' };
    const message = messageAt(bytes, at);
    // The client went away in the middle of its message.
    if (message === null) return next === replies.length ? { ok: true, mails } : tooMany(next);
    at = message.end;
    const answers = replies.slice(next, next + (protocol === 'lmtp' ? rcptLines.length : 1));
    next += answers.length;
    const isTaken = answers.some((answer) => answer.startsWith('250'));
    if (isTaken) mails.push({ mailLine, rcptLines, data: message.data });
    rcptLines = [];
  }
  return { ok: true, mails };
}

/** Up to the first line that is nothing but a dot; one dot goes from lines that begin with one (§4.5.2). */
function messageAt(bytes: string, from: number): { data: Uint8Array; end: number } | null {
  // The CRLF of the DATA line stands before the first line of the message.
  const text = `\r\n${bytes.slice(from)}`;
  const end = text.indexOf('\r\n.\r\n');
  if (end < 0) return null;
  const lines = text.slice(2, end + 2).replaceAll(/(^|\r\n)\./g, '$1');
  return { data: new Uint8Array(Buffer.from(lines, 'latin1')), end: from + end + 3 };
}

function tooMany(next: number): Followed {
  return { ok: false, why: `more replies than commands, from number ${next} on` };
}
