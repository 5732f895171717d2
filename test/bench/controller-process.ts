/**
 * The controller of controller-bench.ts: with a private Redis, durable as ever, on a free port, and on another over
 * TLS. It tells
 * its parent where it listens, answers each message with what it has cost so far, and ends with it.
 * The one argument is the peer that is a node.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createController } from '../../controller/app.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';
import { readServerTls } from '../../src/tls-files.ts';
import { createAuthority } from '../network/certificates.ts';

/** The first message. */
export interface Served {
  readonly url: string;
  /** The same controller over TLS. */
  readonly tlsUrl: string;
  /** PEM of who has signed its certificate. */
  readonly ca: string;
}

/** Processor time since the start, ms. */
export interface Answer {
  readonly controllerMs: number;
  readonly redisMs: number;
}

const [, , node = ''] = process.argv;
const dataDir = await mkdtemp(join(tmpdir(), 'panoramix-bench-'));
const store = await openStore({ dataDir, log: silentLog, maxMemoryBytes: 2 * 1024 ** 3 });
// As the controller's own servers have it: connections stay open while other work is measured.
const server = createServer({ keepAliveTimeout: 75_000 });
await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const controller = createController({
  store,
  primitives: native,
  catalogUrl: url,
  log: silentLog,
  nodes: { has: (peerId) => peerId === node },
});
const authority = await createAuthority(join(dataDir, 'authority'));
const files = await authority.issue('bench', { hosts: ['127.0.0.1'] });
const tlsServer = await controller.listenTls(0, '127.0.0.1', readServerTls(files).tls);
const tlsUrl = `https://127.0.0.1:${(tlsServer.address() as AddressInfo).port}/`;
server.on('request', (request, response) => void controller.callback(request, response));

process.on('message', () => void answer());
process.once('disconnect', () => void end());
const ca = await readFile(authority.caFile, 'utf8');
process.send?.({ url, tlsUrl, ca } satisfies Served);

async function answer(): Promise<void> {
  const own = process.cpuUsage();
  const info = await store.redis.info('cpu');
  const ofRedis = (name: string): number =>
    1000 * Number(new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1] ?? NaN);
  process.send?.({
    controllerMs: (own.user + own.system) / 1000,
    redisMs: ofRedis('used_cpu_user') + ofRedis('used_cpu_sys'),
  } satisfies Answer);
}

async function end(): Promise<void> {
  await controller.close();
  server.closeAllConnections();
  server.close();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}
