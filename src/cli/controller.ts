/**
 * `panoramix controller`: the REST API of D4.2 §6 on this host, with a store of its own. It holds no key;
 * who the nodes are it reads from the state file that the node's wizard has written.
 */
import { Command } from 'commander';
import { type Controller, createController } from '../../controller/app.ts';
import { LIMITS } from '../../controller/limits.ts';
import { type Address, isLoopback, readConfig, section, type Config } from '../config.ts';
import { native } from '../crypto/native.ts';
import { PanoramixError, wordsOf } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { openStore } from '../redis/embedded.ts';
import { announceRunning } from '../redis/program-report.ts';
import { readServerTls, type ServerTls, type TlsFiles, watchServerTls } from '../tls-files.ts';
import { NodesOfStateFile } from './nodes-of-state.ts';
import { lockDataDir } from './only-one.ts';
import { runProgram, type Running } from './program.ts';

/** The verb, for main.ts. */
export function controllerCommand(): Command {
  return new Command('controller')
    .description('runs a controller: peers, endpoints, messages, negotiations')
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .action(async (flags: { config?: string }) => {
      const config = readConfig(flags.config);
      const log = createLog(`controller ${config.name}`, config.log_level);
      await runProgram(log, () => startController(config, log));
    });
}

async function startController(config: Config, log: Log): Promise<Running> {
  const {
    listen,
    catalog_url: catalogUrl,
    mixnet_file: mixnetFile,
    trusted_proxies: trustedProxies,
    tls,
    proposal,
  } = section(config, 'controller');
  lockDataDir(config.data_dir, 'controller');
  if (!isLoopback(listen.host) && tls === undefined) {
    log.warn(
      { host: listen.host },
      'Listening beyond loopback in plain HTTP: give it a certificate (controller.tls), or let only a proxy that ends TLS reach it',
    );
  }
  const store = await openStore({
    url: process.env['REDIS_URL'] ?? config.redis.url,
    dataDir: config.data_dir,
    log,
    maxMemoryBytes: config.redis.max_memory_mb * 1024 * 1024,
    name: 'controller',
  });
  const controller = createController({
    store,
    primitives: native,
    catalogUrl,
    log,
    limits: { ...LIMITS, trustedProxies },
    ...(mixnetFile && { nodes: new NodesOfStateFile(mixnetFile, log) }),
    ...(proposal && { proposal }),
  });
  let unwatch: () => void;
  try {
    unwatch = await startListening(controller, listen, tls, log);
  } catch (error) {
    await store.close();
    throw error;
  }
  announceRunning(store);
  log.info({ ...listen, tls: tls !== undefined, catalogUrl }, 'Controller answers');
  return {
    stop: async () => {
      unwatch();
      await controller.close();
      await store.close();
    },
  };
}

/** Gives what ends looking for a renewed certificate. */
async function startListening(
  controller: Controller,
  { host, port }: Address,
  files: TlsFiles | undefined,
  log: Log,
): Promise<() => void> {
  const certificate = files && readServerTls(files);
  try {
    if (!files || !certificate) {
      await controller.listen(port, host);
      return () => undefined;
    }
    const server = await controller.listenTls(port, host, certificate.tls);
    const renew = (renewed: ServerTls): void => server.setSecureContext(renewed);
    return watchServerTls(files, certificate, renew, { log });
  } catch (cause) {
    throw new PanoramixError(
      'listen-failed',
      `${host}:${port} cannot be listened on: ${wordsOf(cause)}`,
      cause,
    );
  }
}
