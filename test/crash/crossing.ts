/**
 * One connection through a proxy, and the one beyond it. Whatever comes is passed on, until a step is held: a request
 * that the server does not get, or a reply that the client does not. From then on both wait for what
 * the driver decides; what was sent before has been passed on, as the kernel would have done.
 */
import { createConnection, type Socket } from 'node:net';
import type { Dialogue, Reply, Request } from './dialogue.ts';
import type { Link } from './step.ts';
import type { Passing, Watcher } from './watcher.ts';

/** How long a server may take to read what was sent before its client was gone. */
const DRAIN_MS = 500;

/** It lives as long as its sockets. */
export class Crossing {
  readonly #link: Link;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #dialogue: Dialogue;
  readonly #watch: Watcher;
  /** Steps by the number of their request, until they are answered. */
  readonly #unanswered = new Map<number, Passing>();
  #asked = 0;
  /** What waits behind a step that is held; null while none is. */
  #held: { readonly requests: Request[]; readonly replies: Reply[] } | null = null;
  /** At the moment `before` replies to what was asked earlier still pass. */
  #holdsReplies = false;
  #isConnected = false;
  #isOver = false;

  constructor(link: Link, client: Socket, dialogue: Dialogue, watch: Watcher) {
    this.#link = link;
    this.#client = client;
    this.#dialogue = dialogue;
    this.#watch = watch;
    this.#server = createConnection(link.serverPort, '127.0.0.1');
    this.#join();
  }

  /** At once, at both ends. */
  breakOff(): void {
    this.#isOver = true;
    this.#client.destroy();
    this.#server.destroy();
  }

  #join(): void {
    const client = this.#client.setNoDelay(true);
    const server = this.#server.setNoDelay(true);
    client.on('data', (chunk: Buffer) => {
      for (const request of this.#read(() => this.#dialogue.requests(chunk))) this.#ask(request);
    });
    server.on('data', (chunk: Buffer) => {
      for (const reply of this.#read(() => this.#dialogue.replies(chunk))) this.#answer(reply);
    });
    server.on('connect', () => (this.#isConnected = true));
    client.on('error', () => undefined);
    server.on('error', () => undefined);
    client.on('close', () => this.#endServer());
    server.on('close', () => {
      // While a step is held its client does not know that the server is gone.
      if (this.#held === null) this.#endClient();
    });
  }

  /** What cannot be read cannot be held: told, and broken off. */
  #read<Part>(read: () => Part[]): Part[] {
    try {
      return read();
    } catch (thrown) {
      this.#watch.noteStrange(this.#link, thrown);
      this.breakOff();
      return [];
    }
  }

  #ask(request: Request): void {
    if (this.#isOver) return;
    if (this.#held !== null) {
      this.#held.requests.push(request);
      return;
    }
    const { frame, bytes } = request;
    const passing = frame && this.#watch.passing(this.#link, frame);
    const tell = passing && this.#watch.wanted(passing, 'before', null);
    const go = (): void => {
      if (frame !== null) {
        if (passing !== null) this.#unanswered.set(this.#asked, passing);
        this.#asked++;
      }
      this.#server.write(bytes);
    };
    if (tell === null) go();
    else tell(this.#hold(go, false));
  }

  #answer(reply: Reply): void {
    if (this.#isOver) return;
    if (this.#held !== null && this.#holdsReplies) {
      this.#held.replies.push(reply);
      return;
    }
    const { bytes, answers } = reply;
    const passing = answers === null ? undefined : this.#unanswered.get(answers);
    if (answers !== null) this.#unanswered.delete(answers);
    // What waits for a decision already is not held twice.
    const isFree = passing !== undefined && this.#held === null;
    const tell = isFree ? this.#watch.wanted(passing, 'after', bytes) : null;
    const go = (): void => void this.#client.write(bytes);
    if (tell === null) go();
    else tell(this.#hold(go, true));
  }

  /** @param go passes on what is held */
  #hold(
    go: () => void,
    holdsReplies: boolean,
  ): { readonly drop: () => void; readonly pass: () => void } {
    const held = { requests: [], replies: [] };
    this.#held = held;
    this.#holdsReplies = holdsReplies;
    return {
      drop: () => {
        if (this.#held !== held) return;
        this.#isOver = true;
        this.#client.destroy();
        this.#endServer();
      },
      pass: () => {
        if (this.#held !== held || this.#isOver) return;
        this.#held = null;
        go();
        this.#goOn(held);
      },
    };
  }

  #goOn({ requests, replies }: { requests: Request[]; replies: Reply[] }): void {
    for (const reply of replies) this.#answer(reply);
    for (const request of requests) this.#ask(request);
    // It may have gone meanwhile.
    if (this.#server.destroyed && this.#held === null) this.#endClient();
  }

  /** The client is gone: what it had sent arrives all the same, but for what is held. */
  #endServer(): void {
    this.#isOver = true;
    this.#server.end();
    setTimeout(() => this.#server.destroy(), DRAIN_MS).unref();
  }

  #endClient(): void {
    this.#isOver = true;
    // As near to a refusal as one who listens can come.
    if (this.#isConnected) this.#client.end(() => this.#client.destroy());
    else this.#client.resetAndDestroy();
  }
}
