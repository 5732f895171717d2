/**
 * The wire of Redis, read from outside: commands as every client of ours sends them (arrays of bulk strings),
 * and replies of RESP2 and RESP3, of which only their ends matter here.
 */
import { ByteQueue } from './byte-queue.ts';

const CRLF_BYTES = 2;

/** A command, whole. */
export interface Command {
  /** As they came. */
  readonly bytes: Buffer;
  /** Parts of `bytes`. */
  readonly words: readonly Buffer[];
}

/** Takes commands apart: `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`. */
export class CommandReader {
  readonly #queue = new ByteQueue();

  /** The commands that are whole by now. Throws for what is no command. */
  read(chunk: Uint8Array): Command[] {
    this.#queue.push(chunk);
    const commands: Command[] = [];
    for (let command = this.#next(); command !== null; command = this.#next()) {
      commands.push(command);
    }
    return commands;
  }

  #next(): Command | null {
    const head = this.#number(0, '*');
    if (head === null) return null;
    const places: { readonly from: number; readonly to: number }[] = [];
    let at = head.end;
    for (let i = 0; i < head.value; i++) {
      const length = this.#number(at, '$');
      if (length === null) return null;
      const to = length.end + length.value;
      places.push({ from: length.end, to });
      at = to + CRLF_BYTES;
    }
    if (this.#queue.length < at) return null;
    const bytes = this.#queue.take(at);
    return { bytes, words: places.map(({ from, to }) => bytes.subarray(from, to)) };
  }

  #number(at: number, mark: '*' | '$'): { readonly value: number; readonly end: number } | null {
    const end = this.#queue.indexOf('\r\n', at);
    if (end < 0) return null;
    const line = this.#queue.text(at, end);
    if (line[0] !== mark || !/^\d+$/.test(line.slice(1))) throw new Error(`no command: ${line}`);
    return { value: Number(line.slice(1)), end: end + CRLF_BYTES };
  }
}

/** A reply, whole. */
export interface Reply {
  readonly bytes: Buffer;
  /** False for what the server says unasked (RESP3's push), which answers no command. */
  readonly isAnswer: boolean;
}

/** Types with their length in front, whose bytes follow. */
const BULK = '$!=';
/** Types with the number of their parts in front; a map has two for each. */
const AGGREGATE = '*~>';
const PAIRED = '%|';
const SIMPLE = '+-:_#,(';

/** Takes replies apart, one for each command, in its order. */
export class ReplyReader {
  readonly #queue = new ByteQueue();

  /** The replies that are whole by now. Throws for what is none. */
  read(chunk: Uint8Array): Reply[] {
    this.#queue.push(chunk);
    const replies: Reply[] = [];
    for (let end = this.#endOf(0); end !== null; end = this.#endOf(0)) {
      const isAnswer = this.#queue.text(0, 1) !== '>';
      replies.push({ bytes: this.#queue.take(end), isAnswer });
    }
    return replies;
  }

  /** Where the value that begins at a place ends; null where it is not whole. */
  #endOf(at: number): number | null {
    // As many values are still to be read: one, and the parts of those that have some.
    let open = 1;
    let place = at;
    while (open > 0) {
      const lineEnd = this.#queue.indexOf('\r\n', place);
      if (lineEnd < 0) return null;
      const type = this.#queue.text(place, place + 1);
      const rest = this.#queue.text(place + 1, lineEnd);
      place = lineEnd + CRLF_BYTES;
      open--;
      if (BULK.includes(type)) {
        if (rest !== '-1') place += Number(rest) + CRLF_BYTES;
      } else if (AGGREGATE.includes(type)) {
        open += Math.max(0, Number(rest));
      } else if (PAIRED.includes(type)) {
        // An attribute comes beside the value that it describes.
        open += 2 * Number(rest) + (type === '|' ? 1 : 0);
      } else if (!SIMPLE.includes(type)) {
        throw new Error(`no reply: ${type}${rest}`);
      }
      if (this.#queue.length < place) return null;
    }
    return place;
  }
}
