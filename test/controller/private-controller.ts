/**
 * Controllers for tests: real Redis, real HTTP, each on keys of its own, so that the tests of a file
 * share one redis-server and nothing else.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import { createController, type ControllerOptions } from '../../controller/app.ts';
import type { ControllerStore } from '../../controller/context.ts';
import type { Limits } from '../../controller/limits.ts';
import { contributionText } from '../../src/api/contribution.ts';
import { CONTINUOUS, type EndpointCreate, type EndpointData } from '../../src/api/endpoint.ts';
import { type RequestBody, signRequest } from '../../src/api/signed.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { createIdentity, type Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { type ErrorCode, PanoramixError } from '../../src/errors.ts';
import { silentLog } from '../../src/log.ts';
import { openStore, type Store } from '../../src/redis/embedded.ts';

/** One redis-server for the tests of a file. */
export function sharedStore(test: TestFn): () => Store {
  let store: Store | null = null;
  let dataDir = '';
  test.before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'panoramix-test-'));
    store = await openStore({ dataDir, log: silentLog, name: 'test' });
  });
  test.after.always(async () => {
    await store?.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  return () => {
    if (store === null) throw new Error('the store is not open yet');
    return store;
  };
}

const ALWAYS = { perSecond: 1e9, atOnce: 1e9 };
/** Tests ask faster than any peer; limits.test.ts sets real limits. */
const UNLIMITED: Limits = { address: ALWAYS, key: ALWAYS, endpoint: ALWAYS, trustedProxies: [] };

let controllers = 0;

/** Who is a node here, and of which mixnet. */
class NodesInTests extends Set<string> {
  /** Null before one is known. */
  mixnetId: string | null = null;

  isMixnet(mixnetId: string): boolean {
    return this.mixnetId === mixnetId;
  }
}

/** A controller that listens, and what tests do with it. */
export class PrivateController {
  readonly url: string;
  readonly store: ControllerStore;
  readonly nodes = new NodesInTests();
  readonly log: { reason?: string; rule?: string; error?: unknown }[] = [];
  #skewMs = 0;

  constructor(url: string, store: ControllerStore) {
    this.url = url;
    this.store = store;
  }

  readonly now = (): number => Date.now() + this.#skewMs;

  readonly elapsed = (): number => performance.now() + this.#skewMs;

  /** Moves the controller's clocks. */
  skew(ms: number): void {
    this.#skewMs = ms;
  }

  /** A client with a fresh identity, or a given one. */
  client(identity = createIdentity(native)): ControllerClient & { readonly identity: Identity } {
    const client = new ControllerClient({ url: this.url, identity, primitives: native });
    return Object.assign(client, { identity });
  }

  /** A client whose key is registered. */
  async peer(name = 'peer'): Promise<ControllerClient & { readonly identity: Identity }> {
    const client = this.client();
    await client.registerPeer(name);
    return client;
  }

  /** Any HTTP request; the status, and the body as JSON where it is some. */
  async fetch(
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; body: unknown; headers: Headers; reason: string | null }> {
    const answer = await fetch(new URL(path, this.url), { redirect: 'manual', ...init });
    const text = await answer.text();
    const body: unknown = text === '' ? null : parseOrText(text);
    const reason =
      typeof body === 'object' && body !== null && 'reason' in body ? String(body.reason) : null;
    return { status: answer.status, body, headers: answer.headers, reason };
  }

  /** A request signed as the client would, changed by `alter` after signing. */
  async send(
    method: 'POST' | 'PATCH',
    path: string,
    identity: Identity,
    body: RequestBody,
    context: { nowMs?: number; catalogUrl?: string } = {},
    alter: (request: object) => unknown = (request) => request,
  ): ReturnType<PrivateController['fetch']> {
    const request = signRequest(native, identity, body, {
      nowMs: this.now(),
      catalogUrl: this.url,
      ...context,
    });
    return await this.fetch(path, { method, body: JSON.stringify(alter(request)) });
  }
}

/** Starts a controller that ends with the test. */
export async function privateController(
  t: ExecutionContext,
  store: Store,
  options: Partial<ControllerOptions> = {},
): Promise<PrivateController> {
  const server = await listenAnywhere();
  const { port } = server.address() as AddressInfo;
  const own: ControllerStore = {
    redis: store.redis,
    prefix: `${store.prefix}:test${++controllers}`,
    pressure: () => 'open',
    ...options.store,
  };
  const bed = new PrivateController(`http://127.0.0.1:${port}/`, own);
  const note = (fields: object): void => void bed.log.push(fields);
  const controller = createController({
    primitives: native,
    catalogUrl: bed.url,
    log: { debug: note, info: note, warn: note, error: note },
    now: bed.now,
    elapsed: bed.elapsed,
    nodes: bed.nodes,
    limits: UNLIMITED,
    ...options,
    store: own,
  });
  server.on('request', (request, response) => void controller.callback(request, response));
  t.teardown(async () => {
    await controller.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return bed;
}

async function listenAnywhere(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return server;
}

function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `data` of a continuous endpoint. */
export function endpointOf(
  peerId: string,
  endpointId: string,
  more: Partial<EndpointCreate> = {},
): EndpointCreate {
  return {
    peer_id: peerId,
    endpoint_id: endpointId,
    endpoint_type: CONTINUOUS,
    endpoint_params: '{}',
    description: 'a test',
    status: 'OPEN',
    size_min: 0,
    size_max: 1000,
    ...more,
  };
}

/** Opens an endpoint of a peer without owners. */
export async function openEndpoint(
  client: ControllerClient,
  data: EndpointCreate,
): Promise<EndpointData> {
  const info = { resource: 'endpoint', operation: 'create' };
  return await client.createEndpoint(data, await client.decideAlone({ data, info }));
}

/** Changes an endpoint's status as its one owner. */
export async function changeStatus(
  client: ControllerClient,
  endpoint: EndpointData,
  data: Parameters<ControllerClient['updateEndpoint']>[0],
): Promise<EndpointData> {
  const onLastConsensusId = endpoint.consensus_logs.at(-1)?.consensus_id ?? '';
  const info = {
    resource: 'endpoint',
    operation: 'partial_update',
    on_last_consensus_id: onLastConsensusId,
  };
  const consensusId = await client.decideAlone({ data, info });
  return await client.updateEndpoint(data, { consensusId, onLastConsensusId });
}

/** Posts a message to an INBOX. */
export async function postTo(
  client: ControllerClient,
  message: Parameters<ControllerClient['postMessage']>[0],
): Promise<void> {
  await client.postMessage(message);
}

/** 32 hex digits. */
export function serial(): string {
  return Buffer.from(native.random(16)).toString('hex');
}

/** A consensus of several peers on a request's `data` and `info`; its id. */
export async function agreeTogether(
  parties: readonly (ControllerClient & { readonly identity: Identity })[],
  body: { readonly data: unknown; readonly info: unknown },
  meta: object = {},
): Promise<string> {
  const [first] = parties;
  if (first === undefined) throw new Error('nobody agrees');
  const negotiationId = await first.createNegotiation();
  const text = proposalText(negotiationId, body, {
    accept: true,
    signers: parties.map((party) => party.identity.peerId).toSorted(),
    ...meta,
  });
  for (const party of parties) await party.contribute(negotiationId, text);
  const ended = await first.getNegotiation(negotiationId);
  if (ended?.status !== 'DONE') throw new Error('the negotiation has not ended');
  return ended.consensus;
}

/** A contribution's text. */
export function proposalText(
  negotiationId: string,
  body: { readonly data: unknown; readonly info: unknown },
  meta: object = {},
): string {
  return contributionText({
    data: body.data,
    info: body.info,
    meta: {
      accept: false,
      signers: [],
      negotiation_id: negotiationId,
      round: 1,
      time: new Date().toISOString(),
      ...meta,
    },
  });
}

/** Asserts that something is refused with a reason. */
export async function refusedWith(
  t: ExecutionContext,
  reason: ErrorCode,
  promise: Promise<unknown>,
): Promise<void> {
  const error = await t.throwsAsync(promise, { instanceOf: PanoramixError });
  t.is(error.code, reason);
}
