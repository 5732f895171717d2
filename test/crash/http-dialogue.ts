/**
 * HTTP/1.1 as a proxy reads it: whole requests, whole answers. Who asks is the peer id that a request is signed
 * with; whose node that is shows when it lists its own INBOX, which nobody else may.
 */
import { ByteQueue } from '../redis/byte-queue.ts';
import type { Dialogue, Reply, Request } from './dialogue.ts';
import type { HttpFrame } from './step.ts';

const HEAD_END = '\r\n\r\n';
const LINE_END = '\r\n';
const CONTROLLER = /\.controller$/;

/** Nodes by their peer ids, as far as they have shown. One for all proxies of a run. */
export class KnownNodes {
  readonly #names = new Map<string, string>();

  nameOf(peerId: string | null): string | null {
    return (peerId !== null && this.#names.get(peerId)) || null;
  }

  /** @param controller whom it was asked of, such as `beta.controller` */
  learn({ method, path, query, signer }: HttpFrame, controller: string): void {
    if (signer === null || method !== 'GET' || !isMessages(path)) return;
    if (query.get('box') === 'INBOX') this.#names.set(signer, controller.replace(CONTROLLER, ''));
  }
}

/** Whether a path is that of messages, in either of its spellings. */
export function isMessages(path: string): boolean {
  return /^\/panoramix\/messages\/?$/.test(path);
}

/** One connection. */
export class HttpDialogue implements Dialogue {
  readonly #sent = new ByteQueue();
  readonly #said = new ByteQueue();
  /** Methods without an answer, oldest first: an answer to HEAD has no body. */
  readonly #open: string[] = [];
  #answered = 0;

  requests(chunk: Buffer): Request[] {
    this.#sent.push(chunk);
    const requests: Request[] = [];
    for (;;) {
      const message = messageIn(this.#sent, () => 'by its head');
      if (message === null) return requests;
      const frame = frameOf(message.head, this.#sent, message);
      this.#open.push(frame.method);
      requests.push({ bytes: this.#sent.take(message.end), frame });
    }
  }

  replies(chunk: Buffer): Reply[] {
    this.#said.push(chunk);
    const replies: Reply[] = [];
    for (;;) {
      const message = messageIn(this.#said, (status) => this.#bodyOf(status));
      if (message === null) return replies;
      const isInterim = message.head.startsWith('HTTP/1.1 1');
      if (!isInterim) this.#open.shift();
      const bytes = this.#said.take(message.end);
      replies.push({ bytes, answers: isInterim ? null : this.#answered++ });
    }
  }

  #bodyOf(statusLine: string): 'none' | 'by its head' {
    const status = Number(statusLine.split(' ')[1]);
    const isEmpty = status < 200 || status === 204 || status === 304 || this.#open[0] === 'HEAD';
    return isEmpty ? 'none' : 'by its head';
  }
}

interface Message {
  /** All of its lines, the first one too. */
  readonly head: string;
  readonly bodyAt: number;
  readonly end: number;
}

/** The first message; null where it is not whole. */
function messageIn(
  queue: ByteQueue,
  bodyOf: (firstLine: string) => 'none' | 'by its head',
): Message | null {
  const headEnd = queue.indexOf(HEAD_END);
  if (headEnd < 0) return null;
  const head = queue.text(0, headEnd);
  const bodyAt = headEnd + HEAD_END.length;
  const firstLine = head.split(LINE_END, 1)[0] ?? '';
  if (!/^(?:[A-Z]+ \S+ HTTP\/1\.1$|HTTP\/1\.1 \d{3})/.test(firstLine)) {
    throw new Error(`no HTTP: ${firstLine}`);
  }
  let end: number | null = bodyAt;
  if (bodyOf(firstLine) === 'by its head') {
    end = /^chunked$/i.test(field(head, 'transfer-encoding') ?? '')
      ? chunksEnd(queue, bodyAt)
      : bodyAt + Number(field(head, 'content-length') ?? 0);
  }
  return end === null || queue.length < end ? null : { head, bodyAt, end };
}

/** Where a chunked body ends (RFC 9112 §7.1); trailers are nobody's here. */
function chunksEnd(queue: ByteQueue, from: number): number | null {
  for (let at = from; ;) {
    const lineEnd = queue.indexOf(LINE_END, at);
    if (lineEnd < 0) return null;
    const bytes = Number.parseInt(queue.text(at, lineEnd), 16);
    at = lineEnd + LINE_END.length + bytes + LINE_END.length;
    if (bytes === 0 || at > queue.length) return at;
  }
}

function frameOf(head: string, queue: ByteQueue, { bodyAt, end }: Message): HttpFrame {
  const [method = '', target = '/'] = head.split(LINE_END, 1)[0]?.split(' ') ?? [];
  const url = new URL(target, 'http://controller');
  const body = queue.text(bodyAt, end);
  return {
    protocol: 'http',
    method,
    path: url.pathname,
    query: url.searchParams,
    body,
    signer: signerOf(head, body),
  };
}

/** By the head (RFC 9421), or by the last `meta` of the body; texts that are quoted in it have their quotes escaped. */
function signerOf(head: string, body: string): string | null {
  const inHead = /keyid="([0-9a-f]{64})"/.exec(field(head, 'signature-input') ?? '');
  if (inHead) return inHead[1] ?? null;
  const at = body.lastIndexOf('"key_data":"');
  return /^"key_data":"([0-9a-f]{64})"/.exec(body.slice(at, at + 80))?.[1] ?? null;
}

function field(head: string, name: string): string | null {
  return new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, 'i').exec(head)?.[1]?.trim() ?? null;
}
