/**
 * Exchanges with controllers by node:http, over connections that are kept. A node makes one for each packet,
 * and fetch, which is made of streams that browsers know, takes much more of the processor for it (README).
 * What is answered, refused and believed is the same (`src/client/http.ts`).
 */
import { Agent, request as requestPlain, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import {
  answerBytesMax,
  hearDate,
  travelByFetch,
  type Answer,
  type Exchange,
  type Travel,
} from '../client/http.ts';

/** A connection that is idle for so long goes; controllers keep theirs for 75 s (controller/app.ts). */
const IDLE_MS_MAX = 60_000;

/** Travels by connections of its own; one for all controllers that a program asks. */
export function createNodeHttp(): Travel {
  const agents = {
    'http:': new Agent({ keepAlive: true, timeout: IDLE_MS_MAX }),
    'https:': new TlsAgent({ keepAlive: true, timeout: IDLE_MS_MAX }),
  };
  return async (exchange) => {
    // What may be led on to another place is rare, and not worth a second way of being led on.
    if (exchange.isPublic) return await travelByFetch(exchange);
    const { protocol } = exchange.url;
    return protocol === 'https:'
      ? await travel(exchange, requestTls, agents['https:'])
      : await travel(exchange, requestPlain, agents['http:']);
  };
}

async function travel(
  exchange: Exchange,
  send: typeof requestPlain,
  agent: Agent,
): Promise<Answer> {
  const { url, method, body, timeoutMs, signal } = exchange;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const bytes = body === undefined ? null : Buffer.from(body);
  const sent = send(url, {
    method,
    agent,
    headers: {
      ...(bytes && { 'content-type': 'application/json', 'content-length': bytes.length }),
      ...exchange.headers,
    },
    ...(signal && { signal }),
  });
  const limit = setTimeout(() => {
    const late = new Error('no answer in time');
    sent.destroy(late);
    // Itself, too: whatever Node says of its end or not, nobody waits for longer.
    reject(late);
  }, timeoutMs);
  let isAnswered = false;
  sent.once('response', (response) => {
    isAnswered = true;
    hearDate(exchange, response.headers.date);
    read(exchange, response).then(resolve, reject);
  });
  sent.once('error', reject);
  sent.once('close', () => {
    // To 101 Node ends the connection, and calls it no error.
    if (!isAnswered) reject(new Error('the connection ended without an answer'));
  });
  sent.end(bytes ?? undefined);
  try {
    return await promise;
  } finally {
    clearTimeout(limit);
  }
}

/** The whole answer; null for its bytes where they are more than we read. */
async function read(exchange: Exchange, response: IncomingMessage): Promise<Answer> {
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400) {
    response.destroy();
    throw new Error(`redirected to ${response.headers.location ?? 'nowhere'}`);
  }
  const bytesMax = answerBytesMax(exchange, status);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const parts: Buffer[] = [];
  let total = 0;
  response.on('data', (part: Buffer) => {
    total += part.length;
    if (total <= bytesMax) {
      parts.push(part);
      return;
    }
    resolve({ status, bytes: null });
    response.destroy();
  });
  response.once('end', () => resolve({ status, bytes: Buffer.concat(parts, total) }));
  response.once('error', reject);
  return await promise;
}
