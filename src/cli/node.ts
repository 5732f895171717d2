/**
 * `panoramix mix` and `panoramix gateway`: one node. A gateway is a mix server with the filters in front
 * (mail in) and behind (mail out); without them it relays for others only.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { Listening } from '../../filters/listen.ts';
import { requireUrlForOthers } from '../api/controller-url.ts';
import { Clocks } from '../client/clocks.ts';
import { ControllerClient } from '../client/controller.ts';
import { readConfig, section, type Config } from '../config.ts';
import type { Identity } from '../crypto/keys.ts';
import { native } from '../crypto/native.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { readOrCreateIdentity, readOrCreateSecret } from '../key-files.ts';
import { createLog, type Log } from '../log.ts';
import { whileClockIsRight, type TimelyDirectory } from '../mixer/clock-watch.ts';
import { DirectoryReport } from '../mixer/directory-report.ts';
import { drawSources } from '../mixer/directory-sources.ts';
import { DirectoryStore } from '../mixer/directory-store.ts';
import { Epochs } from '../mixer/epoch.ts';
import { createKeys } from '../mixer/keys.ts';
import { MixnetStateFile } from '../mixer/mixnet-state.ts';
import { OperatorFile } from '../mixer/operator-file.ts';
import { inTime } from '../mixer/in-time.ts';
import { createNodeHttp } from '../mixer/node-http.ts';
import { MixNode, type MixNodeOptions } from '../mixer/node.ts';
import { TrustedClock } from '../mixer/trusted-clock.ts';
import type { LogEntry } from '../mixnet/directory-texts.ts';
import type { KeyTerms } from '../mixnet/key-epochs.ts';
import { readFoundation } from '../mixnet/verify-log.ts';
import { openStore, type Store } from '../redis/embedded.ts';
import { announceRunning } from '../redis/program-report.ts';
import { trustAuthorities } from '../tls-files.ts';
import { startBatch } from './batch.ts';
import { startClockWatch } from './clocks.ts';
import { openFilters, type Filters } from './filters.ts';
import { lockDataDir } from './only-one.ts';
import { runProgram, type Running } from './program.ts';

const REFRESH_MS = 60_000;
const PAUSE_MS = 250;
const PAUSE_MS_MAX = 5_000;
const LOOK_MS = 200;
/** How long a stop waits for a controller that hangs: a start puts in order what it cuts off. */
const STOP_MS_MAX = 1_000;
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
  trustAuthorities(config.tls_ca);
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
  const time = new TrustedClock();
  const now = (): number => time.now();
  const store = await openStore({
    aheadMs: () => time.aheadMs(),
    url: process.env['REDIS_URL'] ?? config.redis.url,
    dataDir: config.data_dir,
    log,
    maxMemoryBytes: config.redis.max_memory_mb * 1024 * 1024,
    name: role,
  });
  undo.push(() => store.close());
  const clocks = new Clocks();
  const clientFor = clients(identity, clocks);
  const meeting = clientFor(catalogUrl);
  const held: { directory: DirectoryStore | null; node: MixNode | null } = {
    directory: null,
    node: null,
  };
  const watch = startClockWatch({
    clocks,
    clientFor,
    ownUrl: settings.controller_url,
    catalogUrl,
    last: () => held.directory?.last() ?? null,
    store,
    time,
    onSet: () => void held.node?.clockSet().catch(() => undefined),
    log,
  });
  undo.push(() => inTime(watch.stop(), STOP_MS_MAX));
  if (batch) {
    if (role !== 'mix') {
      throw new PanoramixError(
        'config-invalid',
        'a batch mixnet carries no mail: run "panoramix mix"',
      );
    }
    const node = startBatch(config, { identity, client: meeting, state, store, log });
    undo.push(() => node.stop());
    announceRunning(store);
    return;
  }
  requireUrlForOthers(settings.controller_url, catalogUrl);
  const own = clientFor(settings.controller_url);
  const operator = new OperatorFile(settings.mixnet_file);
  const report = new DirectoryReport(config.data_dir);
  const directory: DirectoryStore = new DirectoryStore({
    dataDir: config.data_dir,
    mixnetId,
    primitives: native,
    log,
    sources: () =>
      drawSources(native.random, {
        meeting,
        own,
        clientFor,
        directory: directory.last(),
        unwell: report.unwell(),
      }),
    report,
    forgiven: () => operator.read().forgiven,
    now,
  });
  directory.start(REFRESH_MS);
  undo.push(() => directory.stop());
  held.directory = directory;
  // Before anything is held to be due, late or over: a machine may start with any time.
  await watch.look();
  const timely = whileClockIsRight(directory, watch);
  const keys = createKeys({
    client: own,
    identity,
    primitives: native,
    store,
    log,
    dataDir: config.data_dir,
    peerName: config.name,
    group: 'X25519',
    terms: await keyTerms(directory, meeting, log),
    now,
    isTimeKnown: () => time.isKnown(),
  });
  undo.push(() => inTime(keys.stop(), STOP_MS_MAX));
  await keys.open();
  const epochs = new Epochs({
    client: meeting,
    identity,
    primitives: native,
    state,
    store: directory,
    position: () => ({
      controllerUrl: settings.controller_url,
      paused: operator.read().paused,
      endpoints: keys.endpoints().map((endpoint) => {
        return { ...endpoint, publicKey: endpoint.mixKey.publicKey };
      }),
    }),
    ownChange: (logHead) => operator.changeOn(logHead),
    log,
    report,
    now,
  });
  // Runs beside everything else: what needs a directory waits for one by itself.
  epochs.start().catch(() => undefined);
  undo.push(() => inTime(epochs.stop(), STOP_MS_MAX));

  const common: MixNodeOptions = {
    identity,
    primitives: native,
    store,
    log,
    directory: timely,
    keys,
    storageKey: readOrCreateSecret(join(config.data_dir, 'storage.key'), native.random),
    ownController: own,
    clientFor,
    threads: settings.threads,
    now,
  };
  if (role === 'mix') {
    const node = new MixNode(common);
    held.node = node;
    undo.push(sayCounts(node, log), () => node.stop());
    await node.start();
    announceRunning(store);
    log.info({}, 'Mix runs');
    return;
  }
  held.node = await startGateway(config, common, timely, store, undo);
  undo.push(sayWhenRouting(timely, log));
}

async function startGateway(
  config: Config,
  common: MixNodeOptions,
  directory: TimelyDirectory,
  store: Store,
  undo: (() => Promise<void> | void)[],
): Promise<MixNode> {
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
      reporting: {
        delayWarningMs: settings.reports.delay_warning_ms,
        hasReturns: settings.exit.sender === 'return',
        ...(settings.exit.abuse_text && { contact: settings.exit.abuse_text }),
      },
    },
  });
  const open: { doors: Listening | null } = { doors: null };
  // At once, or whoever hangs at a door takes the time from a delivery that is under way.
  undo.push(sayCounts(node, common.log), async () => {
    await Promise.all([open.doors?.stop(), node.stop()]);
  });
  await node.start();
  const doors = await filters.listen(
    (mail) => node.accept(mail),
    (messageId, recipients) => node.bounced(messageId, recipients),
  );
  open.doors = doors;
  announceRunning(store);
  const { lmtp, smtp, returns } = doors;
  common.log.info({ lmtp, smtp, returns }, 'Gateway runs');
  return node;
}

/**
 * How long keys live: what the last verified directory says. Before the first, what the owners' log says,
 * which is asked for once: without it no directory can come, either.
 */
async function keyTerms(
  directory: DirectoryStore,
  meeting: ControllerClient,
  log: Log,
): Promise<() => KeyTerms> {
  const first = directory.last() ?? (await agreedTerms(directory.mixnetId, meeting, log));
  return () => directory.last() ?? first;
}

async function agreedTerms(
  mixnetId: string,
  meeting: ControllerClient,
  log: Log,
): Promise<KeyTerms> {
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    const read = await readLog(mixnetId, meeting);
    if (typeof read !== 'string') {
      return {
        keyLifetimeMs: read.key_lifetime_ms,
        snapshotLifetimeMs: read.snapshot_lifetime_ms,
      };
    }
    log.warn({ reason: read, pauseMs }, "Nobody shows the owners' log; waiting for it");
    await sleep(pauseMs);
  }
}

/** The head of the owners' log, verified, or why there is none. */
async function readLog(mixnetId: string, meeting: ControllerClient): Promise<LogEntry | string> {
  try {
    const read = readFoundation(await meeting.getNodes(mixnetId), mixnetId, native);
    return read.ok ? ([...read.foundation.log.values()].at(-1) ?? 'log-missing') : read.reason;
  } catch (thrown) {
    return asPanoramixError(thrown).code;
  }
}

/** One client for each controller, so that connections and signatures are shared. */
function clients(identity: Identity, clocks: Clocks): (url: string) => ControllerClient {
  const known = new Map<string, ControllerClient>();
  const travel = createNodeHttp();
  return (url) => {
    const client =
      known.get(url) ?? new ControllerClient({ url, identity, primitives: native, clocks, travel });
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
function sayWhenRouting(directory: TimelyDirectory, log: Log): () => void {
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
