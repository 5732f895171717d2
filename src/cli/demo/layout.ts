/**
 * The demo's configuration files, the same that an operator would write: for every peer one controller
 * and one node, each with its own data folder, Redis and ports on loopback.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePorts } from './processes.ts';

/** A mail provider of the demo: its domains, and where its mail server listens. */
export interface Provider {
  readonly name: string;
  readonly domains: readonly string[];
  /** Port on loopback for delivery by the exit (10037 in a real installation). */
  readonly deliverPort: number;
  /** Port on loopback for mail that is not mixed (10036). */
  readonly reinjectPort: number;
  /** Ports of the filter, where the mail server must know them beforehand. */
  readonly filterPorts?: {
    readonly lmtp: number;
    readonly smtp: number;
    readonly returns?: number;
  };
  /** Further settings of the gateway, as they stand in its configuration. */
  readonly gateway?: Readonly<Record<string, unknown>>;
}

/** What a demo mixnet is made of. */
export interface DemoOptions {
  /** An empty folder that holds everything. */
  readonly folder: string;
  readonly mixes: number;
  readonly providers: readonly Provider[];
  readonly delayMeanMs: number;
  readonly exitDelayMeanMs: number;
  readonly ticksPerSecond: number;
  /** Of each node; the owners' default else. */
  readonly loopsPerSecond?: number;
  readonly snapshotLifetimeMs?: number;
  readonly keyLifetimeMs?: number;
  /** How long a mail is tried; at least a minute. */
  readonly expiryMs?: number;
  readonly messageBytesMax?: number;
  readonly logLevel?: string;
  readonly redisMaxMemoryMb?: number;
  /** `REDIS_URL` of programs that have no private Redis, by name: `mix-1`, or `mix-1.controller`. */
  readonly redisUrls?: Readonly<Record<string, string>>;
  /**
   * Ports of each controller, mixes first: of its URL, and where it listens, if something stands in
   * between, such as a proxy that ends TLS. Both are one free port else.
   */
  readonly controllerPorts?: readonly { readonly url: number; readonly listen: number }[];
}

/** One peer of the demo, with the paths and ports of its programs. */
export interface DemoPeer {
  readonly name: string;
  readonly role: 'mix' | 'gateway';
  readonly controllerUrl: string;
  readonly controllerConfig: string;
  readonly nodeConfig: string;
  readonly controllerDataDir: string;
  readonly nodeDataDir: string;
  /** Ports of the filter; 0 for a mix. */
  readonly smtpPort: number;
  readonly lmtpPort: number;
  readonly returnsPort: number;
}

const PORTS_PER_PEER = 4;

/** Writes the configuration files of all peers; the first mix creates the mixnet, the others join. */
export async function writeLayout(options: DemoOptions): Promise<DemoPeer[]> {
  const names = [
    ...Array.from({ length: options.mixes }, (_, i) => ({ name: `mix-${i + 1}`, provider: null })),
    ...options.providers.map((provider) => ({ name: provider.name, provider })),
  ];
  const ports = await freePorts(names.length * PORTS_PER_PEER);
  const urlPort = (index: number): number =>
    options.controllerPorts?.[index]?.url ?? (ports[index * PORTS_PER_PEER] as number);
  const catalogUrl = `http://127.0.0.1:${urlPort(0)}/`;
  return names.map(({ name, provider }, index) => {
    const [, smtpPort = 0, lmtpPort = 0, returnsPort = 0] = ports.slice(index * PORTS_PER_PEER);
    const folder = join(options.folder, name);
    const peer: DemoPeer = {
      name,
      role: provider ? 'gateway' : 'mix',
      controllerUrl: `http://127.0.0.1:${urlPort(index)}/`,
      controllerConfig: join(folder, 'controller.yaml'),
      nodeConfig: join(folder, 'node.yaml'),
      controllerDataDir: join(folder, 'controller'),
      nodeDataDir: join(folder, 'node'),
      smtpPort: provider ? (provider.filterPorts?.smtp ?? smtpPort) : 0,
      lmtpPort: provider ? (provider.filterPorts?.lmtp ?? lmtpPort) : 0,
      returnsPort: provider ? (provider.filterPorts?.returns ?? returnsPort) : 0,
    };
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const listenPort = options.controllerPorts?.[index]?.listen ?? urlPort(index);
    writeYaml(peer.controllerConfig, controllerConfig(peer, listenPort, options));
    writeYaml(
      peer.nodeConfig,
      nodeConfig(peer, provider, index === 0, catalogUrl, names.length, options),
    );
    return peer;
  });
}

function controllerConfig(peer: DemoPeer, port: number, options: DemoOptions): object {
  return {
    name: peer.name,
    data_dir: peer.controllerDataDir,
    ...common(options, `${peer.name}.controller`),
    controller: {
      listen: `127.0.0.1:${port}`,
      catalog_url: peer.controllerUrl,
      mixnet_file: join(peer.nodeDataDir, 'mixnet.json'),
    },
  };
}

function nodeConfig(
  peer: DemoPeer,
  provider: Provider | null,
  creates: boolean,
  catalogUrl: string,
  peers: number,
  options: DemoOptions,
): object {
  return {
    name: peer.name,
    data_dir: peer.nodeDataDir,
    ...common(options, peer.name),
    node: { controller_url: peer.controllerUrl },
    mixnet: {
      action: creates ? 'create' : 'join',
      catalog_url: catalogUrl,
      name: 'demo',
      roles: [peer.role],
      domains: provider ? [...provider.domains] : [],
      // What the demo serves stands in no DNS.
      confirmed_domains: options.providers.flatMap(({ domains }) => [...domains]),
      ...(creates && {
        invitations: peers - 1,
        traffic: {
          delay_mean_ms: options.delayMeanMs,
          ticks_per_second: options.ticksPerSecond,
          mixes_per_route: Math.min(3, options.mixes),
          ...(options.loopsPerSecond && { loops_per_second: options.loopsPerSecond }),
          ...(options.expiryMs && { expiry_ms: options.expiryMs }),
        },
        ...(options.snapshotLifetimeMs && { snapshot_lifetime_ms: options.snapshotLifetimeMs }),
        ...(options.keyLifetimeMs && { key_lifetime_ms: options.keyLifetimeMs }),
      }),
    },
    ...(provider && {
      gateway: {
        lmtp: `127.0.0.1:${peer.lmtpPort}`,
        smtp: `127.0.0.1:${peer.smtpPort}`,
        reinject: `127.0.0.1:${provider.reinjectPort}`,
        deliver: `127.0.0.1:${provider.deliverPort}`,
        returns: `127.0.0.1:${peer.returnsPort}`,
        ...(options.messageBytesMax && { message_bytes_max: options.messageBytesMax }),
        exit: { delay_mean_ms: options.exitDelayMeanMs },
        // One user of this machine sends all of the demo's mail, and does not share it with anybody.
        limits: { sender: NO_LIMIT, client: NO_LIMIT },
        ...provider.gateway,
      },
    }),
  };
}

const NO_LIMIT = {
  mails_per_hour: 1_000_000,
  bytes_per_hour: 1_000_000_000_000,
  recipients_per_hour: 1_000_000,
};

function common(options: DemoOptions, program: string): object {
  const url = options.redisUrls?.[program];
  return {
    ...(options.logLevel && { log_level: options.logLevel }),
    redis: { max_memory_mb: options.redisMaxMemoryMb ?? 1024, ...(url && { url }) },
  };
}

function writeYaml(path: string, content: object): void {
  writeFileSync(path, stringify(content), { mode: 0o600 });
}
