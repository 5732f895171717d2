/**
 * The controller: the REST API of D4.2 §6 over Redis (design §7). It keeps boxes, negotiations and the
 * texts that peers have signed; it never sees a key, and nobody has to believe it.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Router } from '@koa/router';
import Koa from 'koa';
import { catalogUrlOf } from '../src/api/signed.ts';
import { PanoramixError } from '../src/errors.ts';
import type { ServerTls } from '../src/tls-files.ts';
import { contributionRoutes } from './contributions/routes.ts';
import type { ControllerContext, ControllerOptions } from './context.ts';
import { Documents } from './documents.ts';
import { endpointRoutes } from './endpoints/routes.ts';
import { EndpointCache } from './endpoints/store.ts';
import { healthRoutes } from './health.ts';
import { type Limits, LIMITS, Throttle } from './limits.ts';
import { Arrivals } from './messages/arrivals.ts';
import { BatchStore } from './messages/batch-store.ts';
import type { Boxes } from './messages/boxes.ts';
import { messageRoutes } from './messages/routes.ts';
import { MessageStore } from './messages/store.ts';
import { Metrics } from './metrics.ts';
import { addresses } from './middleware/addresses.ts';
import { browsers } from './middleware/browsers.ts';
import { pressure } from './middleware/pressure.ts';
import { problems } from './middleware/problems.ts';
import { meetingRoutes } from './meetings/routes.ts';
import { mirrorRoutes } from './mirror/routes.ts';
import { negotiationRoutes } from './negotiations/routes.ts';
import { openApiRoutes } from './openapi.ts';
import { nodesRedirect, peerRoutes } from './peers/routes.ts';
import { StrangersRoom } from './strangers.ts';

export type { ControllerOptions, ControllerStore, KnownNodes } from './context.ts';

/** A whole request must have arrived by then: a packet of 45 kB over 30 kbit/s takes 12 s. */
const REQUEST_MS_MAX = 20_000;
const HEADERS_MS_MAX = 10_000;
/** A connection that has not said what it wants costs a place among `CONNECTIONS_MAX`. */
const HANDSHAKE_MS_MAX = 10_000;
/** Posters keep their connection between ticks; longer than what proxies in between keep. */
const KEEP_ALIVE_MS = 75_000;
/** A reader that takes nothing off its socket so long is gone; longer than the longest poll. */
const IDLE_MS_MAX = 60_000;
/** 500 nodes with a few connections each, and clients. */
const CONNECTIONS_MAX = 4096;
/**
 * Requests of one connection under way at once. Clients of ours wait for each answer; somebody who sends
 * thousands in one packet (pipelining) would have them all worked on, and their answers kept, at once.
 */
const PIPELINED_MAX = 4;
/** On closing: how long answers under way may take. */
const CLOSE_MS_MAX = 2_000;

const TIMES = {
  requestTimeout: REQUEST_MS_MAX,
  headersTimeout: HEADERS_MS_MAX,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: 2_000,
} as const;

/** A controller, not yet listening. */
export interface Controller {
  /** For a server of one's own. */
  readonly callback: ReturnType<Koa['callback']>;
  /** Listens; port 0 takes a free one. Throws what the system says. */
  listen(port: number, host: string): Promise<Server>;
  /** The same over TLS; a renewed certificate is given to the server by `setSecureContext`. */
  listenTls(port: number, host: string, tls: ServerTls): Promise<TlsServer>;
  /** Takes no new connection, ends long polls, lets answers under way finish. The store stays open. */
  close(): Promise<void>;
}

/** Puts the controller together. */
export function createController(options: ControllerOptions): Controller {
  const limits = options.limits ?? LIMITS;
  const context = contextOf(options, limits);
  const closing = new AbortController();
  const app = createApp(context, limits, closing.signal);
  const callback = withoutPipelining(app.callback());
  const servers = new Set<Server | TlsServer>();
  const answer: RequestListener = (request, response) => void callback(request, response);
  const start = async <Kind extends Server | TlsServer>(
    server: Kind,
    port: number,
    host: string,
  ): Promise<Kind> => {
    server.maxConnections = CONNECTIONS_MAX;
    server.setTimeout(IDLE_MS_MAX);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    servers.add(server);
    return server;
  };
  return {
    callback,
    listen: (port, host) => start(createServer(TIMES, answer), port, host),
    listenTls: (port, host, tls) =>
      start(
        createTlsServer({ ...TIMES, ...tls, handshakeTimeout: HANDSHAKE_MS_MAX }, answer),
        port,
        host,
      ),
    close: async () => {
      closing.abort();
      await Promise.all([...servers].map(closeServer));
      servers.clear();
    },
  };
}

function contextOf(options: ControllerOptions, limits: Limits): ControllerContext {
  const { store, primitives, log } = options;
  return {
    documents: new Documents(store.redis, store.prefix),
    store,
    primitives,
    log,
    catalogUrl: catalogUrlOf(options.catalogUrl),
    now: options.now ?? Date.now,
    elapsed: options.elapsed ?? (() => performance.now()),
    nodes: options.nodes ?? { has: () => false },
    strangers: new StrangersRoom(store.redis),
    throttle: new Throttle(limits),
    proposal: options.proposal ?? null,
  };
}

function createApp(context: ControllerContext, limits: Limits, closing: AbortSignal): Koa {
  const { documents, primitives, log } = context;
  const boxes: Boxes = {
    messages: new MessageStore(documents, primitives),
    batches: new BatchStore(documents),
    endpoints: new EndpointCache(documents, context.elapsed),
    arrivals: new Arrivals(),
    closing,
  };
  const app = new Koa();
  // A peer that breaks off in the middle of an answer is no event for the log.
  app.on('error', (error: unknown) => log.debug({ error }, 'an answer broke off'));
  const metrics = new Metrics(context.store);
  app.use(metrics.counting());
  app.use(problems(log, context.now));
  app.use(browsers());
  app.use(addresses(context.throttle, limits.trustedProxies));
  app.use(pressure(context.store));
  app.use(async (ctx, next) => {
    await next();
    if (ctx.status === 404) throw new PanoramixError('path-unknown', 'no route');
  });
  const resources = new Router({ prefix: '/panoramix' });
  for (const routes of [
    negotiationRoutes(context),
    contributionRoutes(context),
    peerRoutes(context),
    mirrorRoutes(context),
    meetingRoutes(context),
    endpointRoutes(context, boxes),
    messageRoutes(context, boxes),
  ]) {
    resources.use(routes.routes());
  }
  for (const router of [
    resources,
    nodesRedirect(context),
    openApiRoutes(),
    metrics.routes(),
    healthRoutes(context),
  ]) {
    app.use(router.routes());
    app.use(
      router.allowedMethods({
        throw: true,
        methodNotAllowed: () => new PanoramixError('method-refused', 'at this path'),
        notImplemented: () => new PanoramixError('method-refused', 'anywhere'),
      }),
    );
  }
  return app;
}

function withoutPipelining(callback: Controller['callback']): Controller['callback'] {
  const underWay = new WeakMap<Socket, number>();
  return async (request, response) => {
    const { socket } = request;
    const count = (underWay.get(socket) ?? 0) + 1;
    underWay.set(socket, count);
    response.once('close', () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1));
    if (count <= PIPELINED_MAX) await callback(request, response);
    else socket.destroy();
  };
}

async function closeServer(server: Server | TlsServer): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS_MAX);
  await closed;
  clearTimeout(timer);
}
