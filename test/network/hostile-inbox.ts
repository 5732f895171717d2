/**
 * Doors: what stands in front of the controllers of a mixnet of real processes, at the addresses that the
 * directory names. Honest as long as a test does not say otherwise, each sees whatever its controller is
 * asked and answers, and may alter what it hands out of an INBOX: after the 201, so that no link's retry
 * helps. Which is what a hostile mix or controller can do.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  Agent,
  createServer,
  request as ask,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts, type Program } from '../../src/cli/demo/processes.ts';
import { startRealMixnet, type RealMixnet, type RealOptions } from './real-mixnet.ts';

/** A message as an INBOX lists it; the other fields go on as they are. */
export interface Listed {
  readonly id: number;
  readonly text: string;
}

/** A packet that a controller has been asked to take. */
export interface Posted {
  readonly sender: string;
  readonly endpoint_id: string;
  readonly text: string;
  readonly serial: string;
}

/**
 * A moment between a node and a controller, at which a door may break everything off:
 * - `asked`: the request has come whole, the controller knows nothing of it
 * - `answered`: the controller has done it, who asked does not know
 */
export type Moment = 'asked' | 'answered';
/** What is asked for: a packet to be taken, an INBOX to be listed, what was listed to be released. */
export type Step = 'post' | 'list' | 'release';

/** One exchange, at one of its two moments. */
export interface Exchange {
  readonly step: Step;
  readonly moment: Moment;
  /** Peer id of the poster; null for what only the own node asks. */
  readonly sender: string | null;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const MIXES = 3;
/** Packets kept for who is told of them later: those of a mixnet's first minute. */
const EARLY_MAX = 4096;
/** Between two looks at a controller, all of whose messages a door keeps to itself. */
const LOOK_MS = 50;

/** In front of one controller. */
export class Door {
  /** Alters a list of messages before the node gets it. */
  alter: (messages: readonly Listed[]) => readonly Listed[] = (messages) => messages;
  /** What the controller has taken while nobody was told of it. */
  #early: Posted[] = [];
  /** Told of each of them; it may have been taken before, its answer was 201. */
  #onTaken: ((posted: Posted) => void) | null = null;
  /** Alters the directory that everybody may read here; null never answers. */
  serveNodes: (text: string) => string | null = (text) => text;
  /** False breaks the connection off at this moment. */
  onExchange: (exchange: Exchange) => boolean = () => true;
  readonly #urlPort: number;
  readonly #listenPort: number;
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });

  /** @param urlPort of the controller's URL; `listenPort` where it listens in truth */
  constructor(urlPort: number, listenPort: number) {
    this.#urlPort = urlPort;
    this.#listenPort = listenPort;
    this.#server = createServer((request, response) => {
      this.#pass(request, response).catch(() => response.destroy());
    });
  }

  /** Who is told of each packet that the controller takes, from the first one on. */
  set onTaken(tell: (posted: Posted) => void) {
    this.#onTaken = tell;
    const early = this.#early;
    this.#early = [];
    for (const posted of early) tell(posted);
  }

  async open(): Promise<void> {
    this.#server.listen(this.#urlPort, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#agent.destroy();
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const url = new URL(request.url ?? '/', 'http://controller');
    const isMessages = /^\/panoramix\/messages\/?$/.test(url.pathname);
    const isInbox = isMessages && url.searchParams.get('box') === 'INBOX';
    if (isMessages && request.method === 'POST') {
      await this.#post(request, response, body);
    } else if (isInbox && request.method === 'GET') {
      const waitMs = Number(url.searchParams.get('wait') ?? 0);
      await this.#list(request, response, Date.now() + waitMs);
    } else if (isInbox && request.method === 'DELETE') {
      await this.#watched('release', null, request, response, body);
    } else if (request.method === 'GET' && /\/nodes\.json\/?$/.test(url.pathname)) {
      const answer = await this.#ask(request, response, body);
      const text = answer.status === 200 ? this.serveNodes(answer.body.toString()) : '';
      if (text === null) return;
      answerWith(response, text === '' ? answer : { ...answer, body: Buffer.from(text) });
    } else {
      answerWith(response, await this.#ask(request, response, body));
    }
  }

  async #post(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const { data } = JSON.parse(body.toString()) as { data: Posted };
    await this.#watched('post', data.sender, request, response, body, ({ status }) => {
      if (status !== 201) return;
      if (this.#onTaken !== null) this.#onTaken(data);
      else if (this.#early.length < EARLY_MAX) this.#early.push(data);
    });
  }

  async #list(request: IncomingMessage, response: ServerResponse, endMs: number): Promise<void> {
    const exchange = { step: 'list', sender: null } as const;
    for (;;) {
      const answer = await this.#ask(request, response, Buffer.alloc(0));
      const items = answer.status === 200 ? listOf(answer.body) : null;
      if (items === null) {
        answerWith(response, answer);
        return;
      }
      const messages = this.alter(items);
      // What is kept back would be listed again at once: to the node it must look as if nothing came.
      if (messages.length === 0 && items.length > 0 && Date.now() < endMs && response.writable) {
        await sleep(LOOK_MS);
        continue;
      }
      const isGiven = messages.length === 0 || this.onExchange({ ...exchange, moment: 'answered' });
      if (!isGiven) {
        response.destroy();
        return;
      }
      const body = Buffer.from(JSON.stringify(messages.map((data) => ({ data }))));
      answerWith(response, { ...answer, body });
      return;
    }
  }

  async #watched(
    step: Step,
    sender: string | null,
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
    then: (answer: Answer) => void = () => undefined,
  ): Promise<void> {
    if (!this.onExchange({ step, sender, moment: 'asked' })) {
      response.destroy();
      return;
    }
    const answer = await this.#ask(request, response, body);
    then(answer);
    if (this.onExchange({ step, sender, moment: 'answered' })) answerWith(response, answer);
    else response.destroy();
  }

  /** The honest controller's answer; given up where who asked has gone. */
  async #ask(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<Answer> {
    const asking = ask({
      host: '127.0.0.1',
      port: this.#listenPort,
      method: request.method,
      path: request.url,
      headers: request.headers,
      agent: this.#agent,
    });
    const giveUp = (): void => void asking.destroy();
    response.once('close', giveUp);
    try {
      asking.end(body);
      const [answer] = (await once(asking, 'response')) as [IncomingMessage];
      const { statusCode: status = 502, headers } = answer;
      return { status, headers, body: await bodyOf(answer) };
    } finally {
      response.off('close', giveUp);
    }
  }
}

/** A mixnet of real processes with a door in front of each controller. */
export interface DooredMixnet {
  readonly real: RealMixnet;
  /** By the name of the peer whose controller it is. */
  readonly doors: ReadonlyMap<string, Door>;
  stop(): Promise<void>;
}

/** As `startRealMixnet`; the directory names the doors' ports, as it would those of a reverse proxy. */
export async function startBehindDoors(options: RealOptions = {}): Promise<DooredMixnet> {
  const mixes = options.mixes ?? MIXES;
  const names = [...Array.from({ length: mixes }, (_, i) => `mix-${i + 1}`), 'alpha', 'beta'];
  const ports = await freePorts(2 * names.length);
  const controllerPorts = names.map((_, i) => ({
    url: ports[2 * i] as number,
    listen: ports[2 * i + 1] as number,
  }));
  const doors = controllerPorts.map(({ url, listen }) => new Door(url, listen));
  const close = (): void => doors.forEach((door) => door.close());
  try {
    for (const door of doors) await door.open();
    const real = await startRealMixnet({ ...options, mixes, controllerPorts });
    const stop = async (): Promise<void> => {
      await real.stop();
      close();
    };
    return { real, doors: new Map(names.map((name, i) => [name, doors[i] as Door])), stop };
  } catch (error) {
    close();
    throw error;
  }
}

/** A program of a mixnet by its name: `alpha`, or `alpha.controller`. */
export function programOf(real: RealMixnet, name: string): Program {
  const found = real.mixnet.programs.find((program) => program.name === name);
  if (!found) throw new Error(`no program is called ${name}`);
  return found;
}

/** What a node counted since its start, by name; it is stopped for that, politely, and started again. */
export async function stopAndCount(
  real: RealMixnet,
  name: string,
): Promise<Readonly<Record<string, number>>> {
  const program = programOf(real, name);
  await program.stop();
  const line = readFileSync(real.mixnet.logOf(name), 'utf8')
    .trimEnd()
    .split('\n')
    .findLast((each) => each.includes('"counts"'));
  program.start();
  return (JSON.parse(line ?? '{}') as { counts: Record<string, number> }).counts;
}

function answerWith(response: ServerResponse, { status, headers, body }: Answer): void {
  const type = headers['content-type'];
  response.writeHead(status, {
    ...(type !== undefined && { 'content-type': type }),
    ...(headers['retry-after'] !== undefined && { 'retry-after': headers['retry-after'] }),
    ...(status !== 204 && { 'content-length': String(body.length) }),
  });
  response.end(status === 204 ? undefined : body);
}

function listOf(body: Buffer): Listed[] {
  return (JSON.parse(body.toString()) as { data: Listed }[]).map(({ data }) => data);
}

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
