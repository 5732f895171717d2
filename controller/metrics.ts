/**
 * `/metrics` for Prometheus, on this host alone: how many requests came to what, how long they took, and
 * how the process does. No label names a peer, an endpoint or a negotiation, and who reads it from
 * outside would watch the mixnet's traffic: so what a proxy passes on is not answered either.
 */
import { Router } from '@koa/router';
import type { Context, Middleware } from 'koa';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { PanoramixError } from '../src/errors.ts';
import type { ControllerStore } from './context.ts';
import { isLoopback, plain } from './middleware/addresses.ts';
import { resourceOf } from './middleware/problems.ts';

/** From a receipt (3 ms) to a request that fsync or other work holds up; long polls end in the last. */
const BUCKETS_S = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const RESOURCES: ReadonlySet<string> = new Set([
  'negotiations',
  'contributions',
  'peers',
  'endpoints',
  'endpoint',
  'messages',
]);
const PRESSURES = ['open', 'entry-closed', 'settle-only'];
const FORWARDED = ['X-Forwarded-For', 'Forwarded', 'Via', 'X-Real-IP'];

/** Counts what one controller does. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'method' | 'resource' | 'status'>;
  readonly #refusals: Counter<'reason'>;
  readonly #seconds: Histogram<'method' | 'resource'>;

  constructor(store: ControllerStore) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'panoramix_controller_requests_total',
      help: 'Requests answered',
      labelNames: ['method', 'resource', 'status'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'panoramix_controller_refusals_total',
      help: 'Requests refused, by the name of the reason',
      labelNames: ['reason'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'panoramix_controller_request_seconds',
      help: 'From a request to its answer, waiting of long polls included',
      labelNames: ['method', 'resource'],
      buckets: BUCKETS_S,
      registers,
    });
    const pressure: Gauge = new Gauge({
      name: 'panoramix_controller_storage_pressure',
      help: '0 open, 1 no new messages, 2 only what removes',
      registers,
      collect: () => pressure.set(PRESSURES.indexOf(store.pressure())),
    });
  }

  /** Counts every request; stands outside of what turns errors into answers. */
  counting(): Middleware {
    return async (ctx, next) => {
      const startMs = performance.now();
      await next();
      const { method } = ctx;
      const named = resourceOf(String(ctx.state['path']));
      const resource = RESOURCES.has(named) ? named : 'other';
      this.#requests.inc({ method: knownMethod(method), resource, status: String(ctx.status) });
      const seconds = (performance.now() - startMs) / 1000;
      this.#seconds.observe({ method: knownMethod(method), resource }, seconds);
      const reason: unknown = ctx.state['reason'];
      if (typeof reason === 'string') this.#refusals.inc({ reason });
    };
  }

  /** The text of all of them (Prometheus' exposition format). */
  routes(): Router {
    const router = new Router();
    router.get('/metrics', async (ctx) => {
      if (!isAskedHere(ctx)) throw new PanoramixError('path-unknown', 'metrics from outside');
      ctx.type = this.#registry.contentType;
      ctx.set('Cache-Control', 'no-store');
      ctx.body = `${await this.#registry.metrics()}${await ofProcess().metrics()}`;
    });
    return router;
  }
}

let processRegistry: Registry | null = null;

/** Memory, processor time, delays of the event loop: once a process, from when somebody first asks. */
function ofProcess(): Registry {
  if (processRegistry === null) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
  }
  return processRegistry;
}

/** Whether a program on this host asks, for itself and by a name of this host. */
function isAskedHere(ctx: Context): boolean {
  const host = ctx.hostname.replaceAll(/[[\]]/g, '');
  return (
    isLoopback(plain(ctx.req.socket.remoteAddress ?? '')) &&
    (host === 'localhost' || isLoopback(host)) &&
    FORWARDED.every((name) => ctx.get(name) === '')
  );
}

/** Methods are the client's words; only those that HTTP knows become labels. */
function knownMethod(method: string): string {
  return ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS'].includes(method) ? method : 'other';
}
