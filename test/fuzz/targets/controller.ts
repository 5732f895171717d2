/**
 * Every door of a controller, over HTTP: the first line of an input is method and path, the second how it is signed
 * (`body`, `read`, `none`), the rest is the body. Our own key signs whatever stands there, so that the
 * schemas and stores behind the signature are reached. Each answer is one that the table of reasons knows.
 */
import { createServer, request as httpRequest, Agent } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createController } from '../../../controller/app.ts';
import { parseStrict } from '../../../src/api/canonical.ts';
import { signRead } from '../../../src/api/http-signature.ts';
import { signRequest, signText, type RequestBody } from '../../../src/api/signed.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { ERRORS } from '../../../src/errors.ts';
import { silentLog, type Log } from '../../../src/log.ts';
import { openStore } from '../../../src/redis/embedded.ts';
import { requestsOf } from '../controller-requests.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { JSON_MUTATIONS } from '../mutate-json.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import type { Mutation } from '../mutation.ts';
import { textSeeds } from '../seeds.ts';
import { hold, lossyText, type Target } from '../target.ts';

const ALWAYS = { perSecond: 1e9, atOnce: 1e9 };
const WORDS = [
  '/panoramix/', 'peers', 'peer', 'endpoints', 'endpoint', 'messages', 'negotiations', 'contributions', 'nodes.json', '?', '&',
  'endpoint_id=ep', 'box=INBOX', 'box=OUTBOX', 'after=', 'limit=', 'up_to=', 'wait=', '%00', '%', '..', 'GET', 'POST', 'PATCH', 'DELETE',
  'PUT', 'HEAD', 'OPTIONS', 'body', 'read', 'none', 'create', 'partial_update', 'INBOX', 'PROCESSBOX', 'OPEN', 'CLOSED', 'FULL', 'PROCESSED',
]; // prettier-ignore

interface Answer {
  readonly status: number;
  readonly body: string;
}

export async function openController(scratch: string): Promise<Target> {
  const store = await openStore({ dataDir: scratch, log: silentLog, name: 'fuzz' });
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  const errors: unknown[] = [];
  const log: Log = { ...silentLog, error: (fields: object) => void errors.push(fields) };
  const controller = createController({
    primitives: native,
    catalogUrl: url,
    log,
    nodes: Object.assign(new Set<string>(), { isMixnet: () => false }),
    limits: { address: ALWAYS, key: ALWAYS, endpoint: ALWAYS, trustedProxies: [] },
    store: { redis: store.redis, prefix: `${store.prefix}:fuzz`, pressure: () => 'open' },
  });
  server.on('request', (request, response) => void controller.callback(request, response));
  const identity = createIdentity(native);
  const client = new ControllerClient({ url, identity, primitives: native });
  const agent = new Agent({ keepAlive: true });
  return {
    seeds: textSeeds(await requestsOf(client, identity.peerId)),
    mutations: [
      ...[...JSON_MUTATIONS, ...JSON_MUTATIONS].map(inBody),
      ...LINE_MUTATIONS,
      ...BYTE_MUTATIONS,
    ],
    dictionary: WORDS,
    inputBytesMax: 32_768,
    cpuMsMax: 400,
    shortRuns: 1_500,
    async run(input) {
      const answer = await ask(agent, url, identity, lossyText(input));
      const { status, body } = answer;
      hold(status < 500 || status === 503, `a request is answered with ${status}`);
      if (status >= 400 && body !== '') checkProblem(answer);
      hold(errors.length === 0, `a request is a bug: ${JSON.stringify(errors.splice(0))}`);
    },
    async close() {
      agent.destroy();
      await controller.close();
      server.closeAllConnections();
      server.close();
      await store.close();
    },
  };
}

/** RFC 9457, with a reason of ours and the status that belongs to it. */
function checkProblem({ status, body }: Answer): void {
  const json = parseStrict(body);
  hold(json.ok && typeof json.value === 'object' && json.value !== null, 'a problem is no JSON');
  const { reason } = json.value as { readonly reason?: unknown };
  const row =
    typeof reason === 'string' && Object.hasOwn(ERRORS, reason)
      ? ERRORS[reason as keyof typeof ERRORS]
      : null;
  hold(row !== null, 'a problem without a reason of ours');
  hold(row.http === status, 'a reason with the status of another');
  hold(reason !== 'unexpected', 'a request is answered with a bug');
}

async function ask(agent: Agent, url: string, identity: Identity, text: string): Promise<Answer> {
  const [line = '', how = '', ...rest] = text.split('\n');
  const [method = 'GET', path = '/'] = line.split(' ');
  const target = { method: method.replaceAll(/[^A-Z]/g, '') || 'GET', path: asPath(path) };
  const context = { nowMs: Date.now(), catalogUrl: url };
  const headers: Record<string, string> = {};
  if (how === 'read') {
    const [before = '', query = ''] = target.path.split('?');
    const fields = signRead(
      native,
      identity,
      { method: target.method, path: before, query: `?${query}` },
      context,
    );
    headers['signature-input'] = fields.signatureInput;
    headers['signature'] = fields.signature;
  }
  const body = how === 'body' ? signedBody(rest.join('\n'), identity, context) : rest.join('\n');
  return await new Promise((resolve, reject) => {
    const asked = httpRequest(
      new URL(url),
      {
        agent,
        method: target.method,
        path: target.path,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
          });
        });
        response.on('error', reject);
      },
    );
    // A server that has answered before the body was sent may have hung up already.
    asked.on('error', (error) => resolve({ status: 0, body: String(error) }));
    asked.end(body);
  });
}

/** What may stand in a request line; waits are not waited for. */
function asPath(path: string): string {
  const visible = path.replaceAll(/[^!-~]/g, (odd) => encodeURIComponent(odd.toWellFormed()));
  return `/${visible.replace(/^\/+/, '')}`.replaceAll(/wait=\d+/g, 'wait=1');
}

function signedBody(
  text: string,
  identity: Identity,
  context: { readonly nowMs: number; readonly catalogUrl: string },
): string {
  const json = parseStrict(text);
  if (!json.ok || typeof json.value !== 'object' || json.value === null) return text;
  const body = json.value as RequestBody & { data?: { text?: unknown; signature?: unknown } };
  // A contribution's text is signed by itself.
  if (typeof body.data?.text === 'string' && body.data.signature === '$') {
    body.data.signature = signText(native, identity, body.data.text);
  }
  return JSON.stringify(signRequest(native, identity, body, context));
}

/** A change of the JSON behind the two lines that say how it is sent. */
function inBody(mutation: Mutation): Mutation {
  return (input, around) => {
    const from = bodyAt(input);
    const other = around.other.subarray(bodyAt(around.other));
    const changed = mutation(input.subarray(from), { ...around, other });
    return new Uint8Array(Buffer.concat([input.subarray(0, from), changed]));
  };
}

function bodyAt(input: Uint8Array): number {
  return input.indexOf(0x0a, input.indexOf(0x0a) + 1) + 1;
}
