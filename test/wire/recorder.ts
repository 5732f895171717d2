/**
 * Stands on the wire before every controller and writes down what passes: which node asks, what, when,
 * and how many bytes go each way. It passes everything on unchanged and at once. Who posts is read from
 * the request; on a real wire it is the connection's address.
 */
import { createServer, connect, type Server, type Socket } from 'node:net';
import { RequestReader, type SeenRequest } from './http-requests.ts';

/** One request, as recorded. */
export interface SeenExchange {
  /** When its first byte passed, ms since 1970 with fractions. */
  readonly atMs: number;
  /** When its last byte passed. */
  readonly endedMs: number;
  /** Key of who sent it, in hex; empty where it is not signed. */
  readonly by: string;
  /** Whose controller it went to, by the name given to `listen`. */
  readonly to: string;
  /** Method and path, without query: `POST /panoramix/messages`. */
  readonly what: string;
  readonly bytes: number;
  /** Of its answer, as far as it has come: nobody asks twice on one connection before he is answered. */
  answerBytes: number;
}

/** What may be put in beside what passes; for planted faults. */
export type Tamper = (exchange: SeenExchange, repeat: () => void) => void;

export class Recorder {
  readonly exchanges: SeenExchange[] = [];
  /** What could not be read as a request: nothing of ours. */
  readonly unread: string[] = [];
  /** Called with each request after it was passed on. */
  tamper: Tamper = () => undefined;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** Listens on one port of loopback and passes on to another. */
  async listen(name: string, fromPort: number, toPort: number): Promise<void> {
    const server = createServer((client) => this.#serve(name, client, toPort));
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(fromPort, '127.0.0.1', resolve);
    });
  }

  /** Ends all connections and listens no more. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((done) => server.close(() => done()))),
    );
  }

  #serve(to: string, client: Socket, port: number): void {
    const controller = connect({ host: '127.0.0.1', port, noDelay: true });
    client.setNoDelay(true);
    let latest: SeenExchange | null = null;
    const reader = new RequestReader((request) => {
      const exchange = { ...described(request), to, answerBytes: 0 };
      latest = exchange;
      this.exchanges.push(exchange);
      this.tamper(exchange, () => this.#repeat(exchange, rawOf(request), port));
    });
    client.on('data', (chunk: Buffer) => {
      controller.write(chunk);
      try {
        reader.read(chunk, nowMs());
      } catch (error) {
        this.unread.push(`${to}: ${String(error)}`);
      }
    });
    controller.on('data', (chunk: Buffer) => {
      client.write(chunk);
      if (latest !== null) latest.answerBytes += chunk.length;
    });
    this.#joinEnds(client, controller);
  }

  /** Sends a request once more on a connection of its own, and records that too. */
  #repeat(exchange: SeenExchange, raw: Buffer, port: number): void {
    const atMs = nowMs();
    this.exchanges.push({ ...exchange, atMs, endedMs: atMs });
    const controller = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#sockets.add(controller);
    controller.on('error', () => undefined);
    controller.once('close', () => this.#sockets.delete(controller));
    controller.once('data', () => controller.end());
    controller.write(raw);
  }

  #joinEnds(client: Socket, controller: Socket): void {
    for (const [socket, other] of [
      [client, controller],
      [controller, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.once('end', () => other.end());
      socket.once('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}

function described(
  request: SeenRequest,
): Pick<SeenExchange, 'atMs' | 'endedMs' | 'by' | 'what' | 'bytes'> {
  const path = request.target.replace(/\?.*/s, '');
  return {
    atMs: request.beganMs,
    endedMs: request.endedMs,
    by: signerOf(request),
    what: `${request.method} ${generalised(path)}`,
    bytes: request.bytes,
  };
}

/** `meta.key_data` of a signed body, or the `keyid` of an HTTP message signature (RFC 9421). */
function signerOf({ body, headers }: SeenRequest): string {
  const keyId = /keyid="([0-9a-f]{64})"/.exec(headers.get('signature-input') ?? '');
  if (keyId?.[1] !== undefined) return keyId[1];
  if (body.length === 0) return '';
  const text = body.toString('utf8');
  return /"key_data":"([0-9a-f]{64})"/.exec(text.slice(text.lastIndexOf('"meta":')))?.[1] ?? '';
}

/** Ids in paths are many; what is done is what counts. */
function generalised(path: string): string {
  return path.replaceAll(/\/[\w-]{32,64}(?=\/|$)/g, '/ID');
}

function rawOf({ method, target, headers, body }: SeenRequest): Buffer {
  const head = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${head}\r\n`, 'latin1'),
    body,
  ]);
}

/** A clock that is never set back and has fractions of a ms. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
