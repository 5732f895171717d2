/**
 * What a crash run kills: three mixes and two gateways, each with a controller of its own, each program with a
 * Redis of its own, and a real Postfix beside each gateway; on every way between two of them a proxy.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DemoMixnet } from '../../src/cli/demo/mixnet.ts';
import { freePorts } from '../../src/cli/demo/processes.ts';
import { readStatus } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import type { PostfixPorts } from '../postfix/ports.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';
import { RedisServer } from './redis-server.ts';
import type { Link, Proxy } from './step.ts';
import {
  healthByGreeting,
  healthByStatus,
  processOf,
  processOfPostfix,
  processOfRedis,
  Victim,
} from './victims.ts';

export const MIXES = ['mix-1', 'mix-2', 'mix-3'] as const;
export const GATEWAYS = ['alpha', 'beta'] as const;
const USERS = { alpha: 'ada', beta: 'bob' } as const;
const NODES = [...MIXES, ...GATEWAYS];
/** Every program that has a store: nodes and their controllers. */
const PROGRAMS = NODES.flatMap((name) => [name, `${name}.controller`]);

export interface CrashMixnetOptions {
  readonly ticksPerSecond: number;
  readonly snapshotLifetimeMs: number;
  readonly keyLifetimeMs: number;
  /** Makes the proxy of a link; it listens when this settles. */
  readonly openProxy: (link: Link) => Promise<Proxy>;
  readonly progress: (text: string) => void;
}

export interface CrashMixnet {
  readonly folder: string;
  readonly mixnet: DemoMixnet;
  readonly victims: ReadonlyMap<string, Victim>;
  /** Of submission, by gateway. */
  readonly submissionPorts: ReadonlyMap<string, number>;
  /** Maildirs of all users. */
  readonly mailFolders: readonly string[];
  readonly postfixes: readonly PrivatePostfix[];
  /** Rejects where a service manager gives up. */
  readonly supervised: Promise<unknown>;
  stop(): Promise<void>;
}

/** Brings all of it up; about half a minute. On failure everything is ended again. */
export async function startCrashMixnet(options: CrashMixnetOptions): Promise<CrashMixnet> {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-crash-'));
  const undo: (() => Promise<unknown> | void)[] = [
    () => rmSync(folder, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (const each of undo.splice(0).toReversed()) await each();
  };
  try {
    return { ...(await bringUp(folder, options, undo)), folder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bringUp(
  folder: string,
  options: CrashMixnetOptions,
  undo: (() => Promise<unknown> | void)[],
): Promise<Omit<CrashMixnet, 'folder' | 'stop'>> {
  const ports = await drawPorts();
  for (const link of linksOf(ports)) {
    const proxy = await options.openProxy(link);
    undo.push(async () => await proxy.close());
  }
  const servers = new Map(
    PROGRAMS.map((name) => [
      name,
      new RedisServer(join(folder, 'redis', name), ports.redis(name).server),
    ]),
  );
  for (const server of servers.values()) {
    server.start();
    undo.push(async () => await server.kill());
  }
  await Promise.all([...servers.values()].map(async (server) => await server.answers()));
  const postfixes = new Map<string, PrivatePostfix>();
  for (const name of GATEWAYS) {
    const postfix = await startPostfixOf(name, ports);
    undo.push(async () => await postfix.stop());
    postfixes.set(name, postfix);
  }
  const mixnet = await DemoMixnet.start(demoOptions(folder, options, ports), options.progress);
  undo.push(async () => await mixnet.stop());
  const victims = victimsOf(mixnet, servers, postfixes, ports);
  const managers = new AbortController();
  const supervised = Promise.all(
    [...victims.values()].map(async (victim) => await victim.supervise(managers.signal)),
  );
  supervised.catch(() => undefined);
  undo.push(async () => {
    managers.abort();
    await supervised.catch(() => undefined);
    // Programs stop politely only while their Redis answers.
    for (const server of servers.values()) if (!server.running) server.start();
  });
  return {
    mixnet,
    victims,
    supervised,
    postfixes: [...postfixes.values()],
    submissionPorts: new Map(
      [...postfixes].map(([name, postfix]) => [name, postfix.ports.submission]),
    ),
    mailFolders: GATEWAYS.flatMap((name) =>
      [`${name}.example`, `plain.${name}.example`].map((domain) =>
        join(postfixes.get(name)?.folder ?? '', 'mail', domain, USERS[name]),
      ),
    ),
  };
}

/** A port of ours, where the proxy listens, and the one where who is meant listens in truth. */
interface Doubled {
  readonly proxy: number;
  readonly server: number;
}

interface Ports {
  redis(program: string): Doubled;
  http(node: string): Doubled;
  smtp(gateway: string, service: SmtpService): Doubled;
  /** Without a proxy: submission, outside. */
  plain(gateway: string, service: 'submission' | 'outside'): number;
}

type SmtpService = 'lmtp' | 'smtp' | 'returns' | 'exit' | 'reinject';
const SMTP_SERVICES: readonly SmtpService[] = ['lmtp', 'smtp', 'returns', 'exit', 'reinject'];

/** All at once: who draws twice may draw what is drawn already and not yet listened on. */
async function drawPorts(): Promise<Ports> {
  const names = [
    ...PROGRAMS.map((name) => `redis ${name}`),
    ...NODES.map((name) => `http ${name}`),
    ...GATEWAYS.flatMap((name) => SMTP_SERVICES.map((service) => `smtp ${name} ${service}`)),
    ...GATEWAYS.flatMap((name) => [`plain ${name} submission`, `plain ${name} outside`]),
  ];
  const drawn = await freePorts(2 * names.length);
  const at = (name: string): Doubled => {
    const place = names.indexOf(name);
    return { proxy: drawn[2 * place] as number, server: drawn[2 * place + 1] as number };
  };
  return {
    redis: (program) => at(`redis ${program}`),
    http: (node) => at(`http ${node}`),
    smtp: (gateway, service) => at(`smtp ${gateway} ${service}`),
    plain: (gateway, service) => at(`plain ${gateway} ${service}`).server,
  };
}

/** Every way between two programs. */
function linksOf(ports: Ports): Link[] {
  const gates = GATEWAYS.flatMap((name) =>
    SMTP_SERVICES.map((service): Link => {
      const isOut = service === 'exit' || service === 'reinject';
      const [client, server] = isOut ? [name, `${name}.postfix`] : [`${name}.postfix`, name];
      return {
        name: `${name} ${service}`,
        protocol: 'smtp',
        service,
        client,
        server,
        ...listen(ports.smtp(name, service)),
      };
    }),
  );
  return [
    ...PROGRAMS.map((name): Link => {
      const server = `${name}.redis`;
      return {
        name: server,
        protocol: 'redis',
        client: name,
        server,
        ...listen(ports.redis(name)),
      };
    }),
    ...NODES.map((name): Link => {
      const server = `${name}.controller`;
      return { name: server, protocol: 'http', client: null, server, ...listen(ports.http(name)) };
    }),
    ...gates,
  ];
}

function listen({ proxy, server }: Doubled): { listenPort: number; serverPort: number } {
  return { listenPort: proxy, serverPort: server };
}

/** Of each node; ticks are what carries mail. */
const LOOPS_PER_SECOND = 0.5;

/** Deferred mail is tried again within seconds, where an operator's Postfix waits for minutes. */
const IMPATIENT = {
  minimal_backoff_time: '2s',
  maximal_backoff_time: '10s',
  queue_run_delay: '2s',
} as const;

async function startPostfixOf(
  name: (typeof GATEWAYS)[number],
  ports: Ports,
): Promise<PrivatePostfix> {
  const other = name === 'alpha' ? 'beta' : 'alpha';
  const own: PostfixPorts = {
    submission: ports.plain(name, 'submission'),
    outside: ports.plain(name, 'outside'),
    reinject: ports.smtp(name, 'reinject').server,
    exit: ports.smtp(name, 'exit').server,
    lmtp: ports.smtp(name, 'lmtp').proxy,
    smtp: ports.smtp(name, 'smtp').proxy,
    returns: ports.smtp(name, 'returns').proxy,
  };
  return await startPostfix({
    name,
    domains: { [`${name}.example`]: [USERS[name]], [`plain.${name}.example`]: [USERS[name]] },
    ports: own,
    routes: {
      [`${other}.example`]: ports.plain(other, 'outside'),
      [`plain.${other}.example`]: ports.plain(other, 'outside'),
    },
    settings: {
      ...IMPATIENT,
      // Leads where no route goes: a bounce, after the 250.
      virtual_alias_maps: `inline:{ {alias@${name}.example=gone@nowhere.example} }`,
    },
  });
}

function demoOptions(folder: string, options: CrashMixnetOptions, ports: Ports) {
  const { ticksPerSecond, snapshotLifetimeMs, keyLifetimeMs } = options;
  return {
    folder: join(folder, 'mixnet'),
    mixes: MIXES.length,
    providers: GATEWAYS.map((name) => ({
      name,
      domains: [`${name}.example`],
      deliverPort: ports.smtp(name, 'exit').proxy,
      reinjectPort: ports.smtp(name, 'reinject').proxy,
      filterPorts: {
        lmtp: ports.smtp(name, 'lmtp').server,
        smtp: ports.smtp(name, 'smtp').server,
        returns: ports.smtp(name, 'returns').server,
      },
    })),
    delayMeanMs: 50,
    exitDelayMeanMs: 50,
    ticksPerSecond,
    loopsPerSecond: LOOPS_PER_SECOND,
    snapshotLifetimeMs,
    keyLifetimeMs,
    controllerPorts: NODES.map((name) => {
      const { proxy, server } = ports.http(name);
      return { url: proxy, listen: server };
    }),
    redisUrls: Object.fromEntries(
      PROGRAMS.map((name) => [name, `redis://127.0.0.1:${ports.redis(name).proxy}`]),
    ),
  };
}

function victimsOf(
  mixnet: DemoMixnet,
  servers: ReadonlyMap<string, RedisServer>,
  postfixes: ReadonlyMap<string, PrivatePostfix>,
  ports: Ports,
): ReadonlyMap<string, Victim> {
  const all: Victim[] = [];
  for (const program of mixnet.programs) {
    const peer = mixnet.peers.find(({ name }) => name === program.name.split('.')[0]);
    if (!peer) throw new Error(`${program.name} is nobody's`);
    const isController = program.name.endsWith('.controller');
    const read = readConfig(isController ? peer.controllerConfig : peer.nodeConfig);
    // Past the proxy: what `status` asks is no step of the program's.
    const url = `redis://127.0.0.1:${ports.redis(program.name).server}`;
    const config = { ...read, redis: { ...read.redis, url } };
    const health = healthByStatus(async () => await readStatus(config));
    const kind = isController ? 'controller' : peer.role;
    all.push(new Victim(program.name, kind, processOf(program), health));
    const server = servers.get(program.name) as RedisServer;
    all.push(new Victim(`${program.name}.redis`, 'redis', processOfRedis(server), health));
  }
  for (const [name, postfix] of postfixes) {
    const greeting = healthByGreeting(postfix.ports.submission);
    all.push(new Victim(`${name}.postfix`, 'postfix', processOfPostfix(postfix), greeting));
  }
  return new Map(all.map((victim) => [victim.name, victim]));
}

/** Waits until all of it is called well; throws with what is not. */
export async function untilAllWell(
  { victims }: Pick<CrashMixnet, 'victims'>,
  patienceMs: number,
): Promise<void> {
  const endMs = Date.now() + patienceMs;
  for (const victim of victims.values()) {
    let ailment = await victim.ailment();
    while (ailment !== null && !ailment.isAlarmAlone) {
      if (Date.now() > endMs) throw new Error(`${victim.name} is not well: ${ailment.text}`);
      await sleep(250);
      ailment = await victim.ailment();
    }
  }
}
