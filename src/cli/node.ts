/**
 * `panoramix mix` and `panoramix gateway`: one node. A gateway is a mix server with the filters in front
 * (mail in) and behind (mail out); without them it relays for others only.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { ControllerClient } from '../client/controller.ts';
import { readConfig, section, type Config } from '../config.ts';
import type { Identity } from '../crypto/keys.ts';
import { native } from '../crypto/native.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { readOrCreateIdentity, readOrCreateSecret } from '../key-files.ts';
import { createLog, type Log } from '../log.ts';
import { DirectoryStore } from '../mixer/directory-store.ts';
import { ensureEndpoint, type OwnEndpoint } from '../mixer/endpoint.ts';
import { Epochs } from '../mixer/epoch.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { MixNode, type MixNodeOptions } from '../mixer/node.ts';
import { openStore, type Store } from '../redis/embedded.ts';
import { startBatch } from './batch.ts';
import { openFilters, type Filters } from './filters.ts';
import { lockDataDir } from './only-one.ts';
import { runProgram, type Running } from './program.ts';

/** A key's endpoint outlives every snapshot that names it; rotation will open shorter ones. */
const ENDPOINT_LIFETIME_MS = 366 * 86_400_000;
const REFRESH_MS = 60_000;
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 5_000;
const LOOK_MS = 200;
/** Coarse on purpose: a fine count on a mix is a record of what passed through it. */
const COUNTS_MS = 600_000;

/** `panoramix mix`, for main.ts. */
export function mixCommand(): Command {
  return roleCommand('mix', 'runs a mix node: relays packets for others');
}

/** `panoramix gateway`, for main.ts. */
export function gatewayCommand(): Command {
  return roleCommand(
    'gateway',
    'runs a gateway: a node that takes and delivers mail, beside Postfix',
  );
}

function roleCommand(role: 'mix' | 'gateway', description: string): Command {
  return new Command(role)
    .description(description)
    .option('--config <file>', 'configuration file (else PANORAMIX_CONFIG)')
    .action(async (flags: { config?: string }) => {
      const config = readConfig(flags.config);
      const log = createLog(`${role} ${config.name}`, config.log_level);
      await runProgram(log, () => startNode(config, role, log));
    });
}

async function startNode(config: Config, role: 'mix' | 'gateway', log: Log): Promise<Running> {
  const undo: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.toReversed()) await step();
  };
  try {
    await bringUp(config, role, log, undo);
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bringUp(
  config: Config,
  role: 'mix' | 'gateway',
  log: Log,
  undo: (() => Promise<void> | void)[],
): Promise<void> {
  const settings = section(config, 'node');
  lockDataDir(config.data_dir, 'node');
  const identity = readOrCreateIdentity(config.data_dir, native);
  const state = new MixnetStateFile(settings.mixnet_file);
  const { mixnet_id: mixnetId, catalog_url: catalogUrl, batch } = state.read() ?? {};
  if (!mixnetId || !catalogUrl) {
    throw new PanoramixError(
      'config-invalid',
      `${state.path} names no mixnet yet: run "panoramix wizard" first`,
    );
  }
  const store = await openStore({
    url: process.env['REDIS_URL'] ?? config.redis.url,
    dataDir: config.data_dir,
    log,
    maxMemoryBytes: config.redis.max_memory_mb * 1024 * 1024,
    name: role,
  });
  undo.push(() => store.close());
  const clientFor = clients(identity);
  const meeting = clientFor(catalogUrl);
  if (batch) {
    if (role !== 'mix') {
      throw new PanoramixError(
        'config-invalid',
        'a batch mixnet carries no mail: run "panoramix mix"',
      );
    }
    const node = startBatch(config, { identity, client: meeting, state, store, log });
    undo.push(() => node.stop());
    return;
  }
  const own = clientFor(settings.controller_url);
  const endpoint = await ownEndpoint(config, identity, own, log);
  const directory = new DirectoryStore({
    dataDir: config.data_dir,
    mixnetId,
    primitives: native,
    log,
    sources: [meeting],
  });
  directory.start(REFRESH_MS);
  undo.push(() => directory.stop());
  const epochs = new Epochs({
    client: meeting,
    identity,
    primitives: native,
    state,
    store: directory,
    position: () => ({
      controllerUrl: settings.controller_url,
      paused: false,
      endpoints: [{ ...endpoint, publicKey: endpoint.mixKey.publicKey }],
    }),
    log,
  });
  // Runs beside everything else: what needs a directory waits for one by itself.
  epochs.start().catch(() => undefined);
  undo.push(() => epochs.stop());

  const common: MixNodeOptions = {
    identity,
    primitives: native,
    store,
    log,
    directory,
    endpoints: [endpoint],
    storageKey: readOrCreateSecret(join(config.data_dir, 'storage.key'), native.random),
    ownController: own,
    clientFor,
    threads: settings.threads,
  };
  if (role === 'mix') {
    const node = new MixNode(common);
    undo.push(sayCounts(node, log), () => node.stop());
    await node.start();
    log.info({}, 'Mix runs');
    return;
  }
  await startGateway(config, common, directory, store, undo);
  undo.push(sayWhenRouting(directory, log));
}

async function startGateway(
  config: Config,
  common: MixNodeOptions,
  directory: DirectoryStore,
  store: Store,
  undo: (() => Promise<void> | void)[],
): Promise<void> {
  const settings = section(config, 'gateway');
  const filters: Filters = openFilters({
    config,
    settings,
    directory,
    store,
    primitives: native,
    peerId: common.identity.peerId,
    log: common.log,
  });
  undo.push(() => filters.close());
  const node = new MixNode({
    ...common,
    gateway: {
      deliver: (mail) => filters.deliver(mail),
      acceptsDomain: (domain) => filters.acceptsDomain(domain),
      exitDelayMeanMs: settings.exit.delay_mean_ms,
    },
  });
  undo.push(sayCounts(node, common.log), () => node.stop());
  await node.start();
  const doors = await filters.listen((mail) => node.accept(mail));
  undo.push(() => doors.stop());
  common.log.info({ lmtp: doors.lmtp, smtp: doors.smtp }, 'Gateway runs');
}

/** The own controller may start after us, or be away: the node waits for it and says so. */
async function ownEndpoint(
  config: Config,
  identity: Identity,
  client: ControllerClient,
  log: Log,
): Promise<OwnEndpoint> {
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    try {
      return await ensureEndpoint({
        client,
        identity,
        primitives: native,
        dataDir: config.data_dir,
        peerName: config.name,
        group: 'X25519',
        lifetimeMs: ENDPOINT_LIFETIME_MS,
      });
    } catch (thrown) {
      const error = asPanoramixError(thrown);
      if (!error.temporary) throw error;
      log.warn(
        { reason: error.code, pauseMs },
        'The own controller does not answer; waiting for it',
      );
      await sleep(pauseMs);
    }
  }
}

/** One client for each controller, so that connections and signatures are shared. */
function clients(identity: Identity): (url: string) => ControllerClient {
  const known = new Map<string, ControllerClient>();
  return (url) => {
    const client = known.get(url) ?? new ControllerClient({ url, identity, primitives: native });
    known.set(url, client);
    return client;
  };
}

/** Says in long intervals, and at the end, how often each thing happened: drops by their reasons. */
function sayCounts(node: MixNode, log: Log): () => void {
  let said = '';
  const say = (): void => {
    const counts = node.counters.all();
    const now = JSON.stringify(counts);
    if (now !== said) log.info({ counts }, 'Counts since the start');
    said = now;
  };
  const timer = setInterval(say, COUNTS_MS);
  return () => {
    clearInterval(timer);
    say();
  };
}

/** Says when opted-in mail begins to be taken, and when and why it waits. */
function sayWhenRouting(directory: DirectoryStore, log: Log): () => void {
  let said = '';
  const look = (): void => {
    const current = directory.current();
    const now = current.ok ? 'routing' : current.reason;
    if (now === said) return;
    said = now;
    if (current.ok) log.info({ number: current.directory.number }, 'Gateway takes mail');
    else log.warn({ reason: current.reason }, 'Opted-in mail waits for a valid directory');
  };
  const timer = setInterval(look, LOOK_MS);
  look();
  return () => clearInterval(timer);
}
