/**
 * A controller that lies, for one owner: a proxy in front of an honest one that changes what it answers to
 * GET requests. Whoever is behind it cannot tell it from the controller but by what it says.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';

/** `data` of each message, or of one thing, in an answer. */
export type Answer = unknown;
/** Changes an answer; `query` is that of the request. */
export type Lie = (path: string, query: URLSearchParams, answer: Answer) => Answer;

/** A proxy that ends with the test; `lie` may be set at any time. */
export class LyingProxy {
  lie: Lie | null = null;
  /** How many answers were changed. */
  lies = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  static async start(t: ExecutionContext, controllerUrl: string): Promise<LyingProxy> {
    const server = createServer();
    const proxy = new LyingProxy(server);
    server.on('request', (request, response) => {
      proxy.#pass(controllerUrl, request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    t.teardown(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return proxy;
  }

  async #pass(
    controllerUrl: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const sent = await buffer(request);
    const url = new URL(request.url ?? '/', controllerUrl);
    const headers = new Headers();
    for (const name of ['content-type', 'signature', 'signature-input']) {
      const value = request.headers[name];
      if (typeof value === 'string') headers.set(name, value);
    }
    const method = request.method ?? 'GET';
    const body = method === 'GET' || method === 'DELETE' ? {} : { body: sent };
    const answer = await fetch(url, { method, headers, ...body });
    const text = this.#changed(method, url, answer.ok, await answer.text());
    const type = answer.headers.get('content-type') ?? 'application/json';
    response.writeHead(answer.status, { 'content-type': type }).end(text);
  }

  #changed(method: string, url: URL, ok: boolean, text: string): string {
    if (this.lie === null || method !== 'GET' || !ok) return text;
    const changed = JSON.stringify(this.lie(url.pathname, url.searchParams, JSON.parse(text)));
    if (changed !== JSON.stringify(JSON.parse(text))) this.lies++;
    return changed;
  }
}
