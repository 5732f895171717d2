/**
 * How many messages a second a controller takes and gives, and what each costs:
 * `node test/bench/controller-bench.ts [--json] [--rounds N]`. The controller is a process of its own
 * with a Redis of its own that fsyncs every write; requests are signed before the clock starts.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import { parseArgs } from 'node:util';
import { signRead } from '../../src/api/http-signature.ts';
import { LIST_LIMIT_MAX, POST_LIST_BYTES_MAX, POST_LIST_MAX } from '../../src/api/message.ts';
import { signRequest } from '../../src/api/signed.ts';
import { toBase64url, toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { ENDPOINT, openBenchEndpoint } from './bench-endpoint.ts';
import type { Answer, Served } from './controller-process.ts';

/** Connections that are busy at once: nodes of a small mixnet. */
const CONNECTIONS = 16;
const INFO = { resource: 'message', operation: 'create' };

/** One kind of work, over all rounds. */
export interface Figure {
  readonly what:
    'in, one by one' | 'in, one by one over TLS' | 'in, as lists' | 'out, read and released';
  readonly messageBytes: number;
  /** Messages of one round. */
  readonly messages: number;
  readonly perSecond: Spread;
  /** Processor time, ms. */
  readonly controllerMsPerMessage: Spread;
  readonly redisMsPerMessage: Spread;
}

/** Over the rounds. */
export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

interface Round {
  readonly seconds: number;
  readonly controllerMs: number;
  readonly redisMs: number;
}

/** Measures everything; takes about 10 s a round. */
export async function benchController(rounds: number): Promise<Figure[]> {
  const identity = createIdentity(native);
  const child = fork(new URL('controller-process.ts', import.meta.url), [identity.peerId], {
    // Node's warnings are not our figures.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const [served] = (await once(child, 'message')) as [Served];
    const bench = new Bench(child, served, identity);
    await bench.open();
    const figures: Figure[] = [];
    for (const [messageBytes, messages] of [
      [2_048, 4_000],
      [32_768, 1_000],
    ] as const) {
      figures.push(...(await bench.measure(messageBytes, messages, rounds)));
    }
    return figures;
  } finally {
    child.disconnect();
    await once(child, 'exit');
  }
}

class Bench {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #identity: Identity;
  readonly #client: ControllerClient;
  readonly #tlsUrl: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #tlsAgent: TlsAgent;

  constructor(child: ChildProcess, { url, tlsUrl, ca }: Served, identity: Identity) {
    this.#child = child;
    this.#url = url;
    this.#tlsUrl = tlsUrl;
    this.#tlsAgent = new TlsAgent({ keepAlive: true, maxSockets: CONNECTIONS, ca });
    this.#identity = identity;
    this.#client = new ControllerClient({ url, identity, primitives: native });
  }

  async open(): Promise<void> {
    await openBenchEndpoint(this.#client, this.#identity.peerId);
  }

  async measure(messageBytes: number, messages: number, rounds: number): Promise<Figure[]> {
    const done: Record<Figure['what'], Round[]> = {
      'in, one by one': [],
      'in, one by one over TLS': [],
      'in, as lists': [],
      'out, read and released': [],
    };
    const perList = Math.min(POST_LIST_MAX, Math.floor(POST_LIST_BYTES_MAX / (messageBytes * 1.4)));
    // The first round warms up and does not count.
    for (let round = 0; round <= rounds; round++) {
      for (const [what, size] of [
        ['in, one by one', 1],
        ['in, one by one over TLS', 1],
        ['in, as lists', perList],
      ] as const) {
        const bodies = this.#bodies(messageBytes, messages, size);
        const taken = await this.#timed(() =>
          this.#postAll(bodies, what === 'in, one by one over TLS'),
        );
        const given = await this.#timed(() => this.#readAll(messages));
        if (round === 0) continue;
        done[what].push(taken);
        done['out, read and released'].push(given);
      }
    }
    return Object.entries(done).map(([what, list]) => ({
      what: what as Figure['what'],
      messageBytes,
      messages,
      perSecond: spread(list.map(({ seconds }) => messages / seconds)),
      controllerMsPerMessage: spread(list.map(({ controllerMs }) => controllerMs / messages)),
      redisMsPerMessage: spread(list.map(({ redisMs }) => redisMs / messages)),
    }));
  }

  #bodies(messageBytes: number, messages: number, perRequest: number): string[] {
    const { peerId } = this.#identity;
    const all = Array.from({ length: messages }, () => ({
      endpoint_id: ENDPOINT,
      box: 'INBOX',
      sender: peerId,
      recipient: peerId,
      text: toBase64url(native.random(messageBytes)),
      serial: toHex(native.random(16)),
    }));
    const context = { nowMs: Date.now(), catalogUrl: this.#url };
    const bodies: string[] = [];
    for (let at = 0; at < all.length; at += perRequest) {
      const data = perRequest === 1 ? all[at] : all.slice(at, at + perRequest);
      bodies.push(
        JSON.stringify(signRequest(native, this.#identity, { data, info: INFO }, context)),
      );
    }
    return bodies;
  }

  async #postAll(bodies: readonly string[], isTls: boolean): Promise<void> {
    let next = 0;
    const post = async (): Promise<void> => {
      for (let at = next++; at < bodies.length; at = next++) {
        await this.#ask('POST', '/panoramix/messages', '', bodies[at], isTls);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, post));
  }

  /** As a mix server collects: a page, then its release. */
  async #readAll(messages: number): Promise<void> {
    const box = `?endpoint_id=${ENDPOINT}&box=INBOX`;
    for (let read = 0; read < messages;) {
      const text = await this.#ask('GET', '/panoramix/messages', `${box}&limit=${LIST_LIMIT_MAX}`);
      const page = JSON.parse(text) as { data: { id: number } }[];
      read += page.length;
      await this.#ask('DELETE', '/panoramix/messages', `${box}&up_to=${page.at(-1)?.data.id ?? 0}`);
    }
  }

  async #ask(
    method: string,
    path: string,
    query: string,
    body?: string,
    isTls = false,
  ): Promise<string> {
    const context = { nowMs: Date.now(), catalogUrl: this.#url };
    const target = { method, path, query };
    const signed = body ? null : signRead(native, this.#identity, target, context);
    return await new Promise((resolve, reject) => {
      const asked = (isTls ? requestTls : request)(
        new URL(path + query, isTls ? this.#tlsUrl : this.#url),
        {
          method,
          agent: isTls ? this.#tlsAgent : this.#agent,
          headers: signed
            ? { 'signature-input': signed.signatureInput, signature: signed.signature }
            : {
                'content-type': 'application/json',
                'content-length': Buffer.byteLength(body ?? ''),
              },
        },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.once('end', () => {
            const text = Buffer.concat(parts).toString();
            const status = answer.statusCode ?? 0;
            if (status === 200 ? body === undefined : status === 201 || status === 204)
              resolve(text);
            else reject(new Error(`${method} ${status} ${text.slice(0, 200)}`));
          });
        },
      );
      asked.once('error', reject);
      asked.end(body);
    });
  }

  async #timed(work: () => Promise<void>): Promise<Round> {
    const before = await this.#cost();
    const startMs = performance.now();
    await work();
    const seconds = (performance.now() - startMs) / 1000;
    const after = await this.#cost();
    return {
      seconds,
      controllerMs: after.controllerMs - before.controllerMs,
      redisMs: after.redisMs - before.redisMs,
    };
  }

  async #cost(): Promise<Answer> {
    this.#child.send('cost');
    return ((await once(this.#child, 'message')) as [Answer])[0];
  }
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
  return { median: at(0.5), lowest: at(0), highest: at(1) };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '5' } },
  });
  const figures = await benchController(Number(values.rounds));
  if (values.json === true) console.log(JSON.stringify(figures));
  else for (const figure of figures) console.log(lineOf(figure));
}

function lineOf(figure: Figure): string {
  const { what, messageBytes, perSecond, controllerMsPerMessage, redisMsPerMessage } = figure;
  return (
    `${messageBytes} bytes ${what}: ${spreadText(perSecond, 0)} messages/s, processor ms a message: ` +
    `controller ${spreadText(controllerMsPerMessage, 2)}, Redis ${spreadText(redisMsPerMessage, 2)}`
  );
}

function spreadText({ median, lowest, highest }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${lowest.toFixed(digits)} to ${highest.toFixed(digits)})`;
}
