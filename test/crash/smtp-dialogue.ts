/**
 * SMTP and LMTP as a proxy reads them. A message passes as it comes; its end is a request of its own, `.`,
 * and where that is held the server has all of the message but its end.
 */
import { ByteQueue } from '../redis/byte-queue.ts';
import type { Dialogue, Reply, Request } from './dialogue.ts';
import type { SmtpFrame } from './step.ts';

const LINE_END = '\r\n';
const LAST_LINE = '.\r\n';
const END = LINE_END + LAST_LINE;

/** One connection. */
export class SmtpDialogue implements Dialogue {
  readonly #sent = new ByteQueue();
  readonly #said = new ByteQueue();
  /** Commands without a reply, oldest first. */
  readonly #open: string[] = [];
  #answered = 0;
  #isGreeted = false;
  #isLmtp = false;
  /** Recipients of the message: LMTP answers to its end for each of them. */
  #accepted = 0;
  /** Answers to its end that are still to come. */
  #left = 0;
  /** Between DATA's 354 and the end of the message. */
  #inMessage: 'at its start' | 'within' | null = null;

  requests(chunk: Buffer): Request[] {
    this.#sent.push(chunk);
    const requests: Request[] = [];
    for (let next = this.#next(); next.length > 0; next = this.#next()) requests.push(...next);
    return requests;
  }

  replies(chunk: Buffer): Reply[] {
    this.#said.push(chunk);
    const replies: Reply[] = [];
    for (let end = this.#replyEnd(); end !== null; end = this.#replyEnd()) {
      const bytes = this.#said.take(end);
      replies.push({ bytes, answers: this.#hear(Number(bytes.toString('latin1', 0, 3))) });
    }
    return replies;
  }

  /** What comes next; nothing where it is not whole. */
  #next(): Request[] {
    if (this.#inMessage !== null) return this.#message();
    const end = this.#sent.indexOf(LINE_END);
    if (end < 0) return [];
    const line = this.#sent.text(0, end);
    const command = (/^\S*/.exec(line)?.[0] ?? '').toUpperCase();
    if (command === 'LHLO') this.#isLmtp = true;
    return [this.#ask(end + LINE_END.length, command, line)];
  }

  #message(): Request[] {
    const { length } = this.#sent;
    if (this.#inMessage === 'at its start') {
      if (LAST_LINE.startsWith(this.#sent.text(0, Math.min(length, LAST_LINE.length)))) {
        return length < LAST_LINE.length ? [] : [this.#end()];
      }
      this.#inMessage = 'within';
    }
    const end = this.#sent.indexOf(END);
    if (end >= 0) return [this.#piece(end + LINE_END.length), this.#end()];
    // What might be the beginning of the end waits.
    const passing = length - (END.length - 1);
    return passing > 0 ? [this.#piece(passing)] : [];
  }

  #piece(bytes: number): Request {
    return { bytes: this.#sent.take(bytes), frame: null };
  }

  #end(): Request {
    this.#inMessage = null;
    return this.#ask(LAST_LINE.length, '.', '.');
  }

  #ask(bytes: number, command: string, line: string): Request {
    this.#open.push(command);
    const frame: SmtpFrame = { protocol: 'smtp', command, line };
    return { bytes: this.#sent.take(bytes), frame };
  }

  #replyEnd(): number | null {
    for (let at = 0; ;) {
      const end = this.#said.indexOf(LINE_END, at);
      if (end < 0) return null;
      const isLast = this.#said.text(at + 3, at + 4) !== '-';
      at = end + LINE_END.length;
      if (isLast) return at;
    }
  }

  /** Which request a reply answers. */
  #hear(code: number): number | null {
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      return null;
    }
    if (this.#left > 0) {
      this.#left--;
      return null;
    }
    const command = this.#open.shift();
    // Said unasked, such as 421 before it hangs up.
    if (command === undefined) return null;
    if (command === 'RCPT' && code < 300) this.#accepted++;
    if (command === 'MAIL' || command === 'RSET') this.#accepted = 0;
    if (command === 'DATA' && code === 354) this.#inMessage = 'at its start';
    if (command === '.') this.#left = this.#isLmtp ? Math.max(0, this.#accepted - 1) : 0;
    return this.#answered++;
  }
}
