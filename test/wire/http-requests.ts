/**
 * Finds the requests in what one side of an HTTP/1.1 connection sends (RFC 9112): where each begins and
 * ends, and what it says. For who looks on; nothing is changed, and nothing is refused.
 */

/** A request as it stood on the wire. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** Head and body, in bytes. */
  readonly bytes: number;
  /** When its first byte passed, and its last. */
  readonly beganMs: number;
  readonly endedMs: number;
}

/** The start of the body that is kept for those who ask who sent it; a packet's is 44 kB. */
const HEAD_BYTES_MAX = 64 * 1024;

/** Reads one direction of one connection. Bodies have a length; ours never come in chunks. */
export class RequestReader {
  readonly #onRequest: (request: SeenRequest) => void;
  #waiting: Buffer = Buffer.alloc(0);
  #beganMs: number | null = null;

  constructor(onRequest: (request: SeenRequest) => void) {
    this.#onRequest = onRequest;
  }

  /** Takes what has passed. Throws where it is no HTTP/1.1 with lengths. */
  read(chunk: Buffer, atMs: number): void {
    this.#beganMs ??= atMs;
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    for (;;) {
      const end = this.#waiting.indexOf('\r\n\r\n');
      if (end < 0) {
        if (this.#waiting.length > HEAD_BYTES_MAX) throw new Error('a head without an end');
        return;
      }
      const { method, target, headers } = readHead(this.#waiting.toString('latin1', 0, end));
      if (headers.has('transfer-encoding')) throw new Error('a body in chunks');
      const bytes = end + 4 + Number(headers.get('content-length') ?? 0);
      if (this.#waiting.length < bytes) return;
      const body = this.#waiting.subarray(end + 4, bytes);
      const beganMs = this.#beganMs ?? atMs;
      this.#onRequest({ method, target, headers, body, bytes, beganMs, endedMs: atMs });
      this.#waiting = this.#waiting.subarray(bytes);
      this.#beganMs = this.#waiting.length > 0 ? atMs : null;
      if (this.#waiting.length === 0) return;
    }
  }
}

function readHead(text: string): Pick<SeenRequest, 'method' | 'target' | 'headers'> {
  const [first = '', ...lines] = text.split('\r\n');
  const [method, target, version] = first.split(' ');
  if (!method || !target || version !== 'HTTP/1.1') throw new Error(`no request: ${first}`);
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { method, target, headers };
}
