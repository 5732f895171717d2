/**
 * Changes of a mixnet of real processes by the programs that an operator would use: one owner proposes, the
 * others review what their own nodes have heard of, a new one joins with the invitation and starts his programs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { readConfig, section } from '../../src/config.ts';
import { freePorts, Program } from '../../src/cli/demo/processes.ts';
import { MixnetStateFile, type MixnetState } from '../../src/mixer/mixnet-state.ts';
import { until, type RealMixnet } from './real-mixnet.ts';

const HEARD_MS_MAX = 60_000;

/** What a wizard has said, one object a line. */
export type Said = readonly Readonly<Record<string, unknown>>[];

/** The state file of a peer's node. */
export function stateOf(real: RealMixnet, name: string): MixnetState {
  const peer = real.mixnet.peers.find((each) => each.name === name);
  const { mixnet_file: path } = section(readConfig(peer?.nodeConfig), 'node');
  const state = new MixnetStateFile(path).read();
  if (!state) throw new Error(`${name} has no state file`);
  return state;
}

/** Runs `panoramix wizard ...` of a peer; each line is told as it comes. */
export async function runWizard(
  real: RealMixnet,
  name: string,
  args: readonly string[],
  tell: (event: Readonly<Record<string, unknown>>) => void = () => undefined,
  secrets: Readonly<Record<string, string>> = {},
): Promise<Said> {
  const config = real.mixnet.peers.find((each) => each.name === name)?.nodeConfig;
  const path = config ?? join(real.folder, name, 'node.yaml');
  const program = new Program(
    `${name}.wizard`,
    ['wizard', ...args, '--yes', '--json', '--config', path],
    real.mixnet.logOf(`${name}.wizard`),
  );
  const said: Record<string, unknown>[] = [];
  const code = await program.run((line) => {
    const event = JSON.parse(line) as Record<string, unknown>;
    said.push(event);
    tell(event);
  }, secrets);
  if (code !== 0) {
    const log = readFileSync(real.mixnet.logOf(`${name}.wizard`), 'utf8');
    throw new Error(`wizard ${args.join(' ')} of ${name} ended with ${code}: ${log.slice(-500)}`);
  }
  return said;
}

/** One proposes; the others answer what their nodes tell them, without being told an id. */
export async function changeTogether(
  real: RealMixnet,
  proposer: string,
  args: readonly string[],
  reviewers: readonly string[],
  tell: (event: Readonly<Record<string, unknown>>) => void = () => undefined,
): Promise<void> {
  const by = stateOf(real, proposer).peer_id;
  const proposing = runWizard(real, proposer, ['change', ...args], tell);
  const reviewing = reviewers.map(async (name) => {
    await until(
      `${name} hears of the change that ${proposer} proposes`,
      () => (stateOf(real, name).pending_changes ?? []).some((one) => one.proposer === by),
      HEARD_MS_MAX,
    );
    await runWizard(real, name, ['change', '--review']);
  });
  await Promise.all([proposing, ...reviewing]);
}

/** Adds domains that the operators vouch for, since no DNS knows the demo's. */
export function confirmDomain(real: RealMixnet, domain: string): void {
  for (const { nodeConfig } of real.mixnet.peers) {
    const config = parse(readFileSync(nodeConfig, 'utf8')) as {
      mixnet: { confirmed_domains?: string[] };
    };
    config.mixnet.confirmed_domains = [...(config.mixnet.confirmed_domains ?? []), domain];
    writeFileSync(nodeConfig, stringify(config));
  }
}

interface Yaml {
  readonly [key: string]: unknown;
  readonly mixnet?: {
    readonly catalog_url: string;
    readonly confirmed_domains?: readonly string[];
  };
}

/** A mix that was not there when the mixnet was founded: its configuration, controller and node. */
export interface NewMix {
  readonly name: string;
  readonly controller: Program;
  readonly node: Program;
}

/** Writes the configuration of a new mix beside the others', and starts its controller. */
export async function newMix(real: RealMixnet, name: string): Promise<NewMix> {
  const [like] = real.mixnet.peers;
  if (!like) throw new Error('there is no mix to copy');
  const [port] = await freePorts(1);
  const folder = join(real.folder, name);
  mkdirSync(folder, { mode: 0o700 });
  const url = `http://127.0.0.1:${port}/`;
  const write = (file: string, from: string, change: (config: Yaml) => object): string => {
    const path = join(folder, file);
    writeFileSync(path, stringify(change(parse(readFileSync(from, 'utf8')) as Yaml)));
    return path;
  };
  const controllerConfig = write('controller.yaml', like.controllerConfig, (config) => ({
    ...config,
    name,
    data_dir: join(folder, 'controller'),
    controller: {
      listen: `127.0.0.1:${port}`,
      catalog_url: url,
      mixnet_file: join(folder, 'node', 'mixnet.json'),
    },
  }));
  const nodeConfig = write('node.yaml', like.nodeConfig, ({ mixnet, ...config }) => ({
    ...config,
    name,
    data_dir: join(folder, 'node'),
    node: { controller_url: url },
    mixnet: {
      action: 'join',
      catalog_url: mixnet?.catalog_url,
      roles: ['mix'],
      confirmed_domains: mixnet?.confirmed_domains,
    },
  }));
  const controller = new Program(
    `${name}.controller`,
    ['controller', '--config', controllerConfig],
    real.mixnet.logOf(`${name}.controller`),
  );
  controller.start();
  const node = new Program(name, ['mix', '--config', nodeConfig], real.mixnet.logOf(name));
  return { name, controller, node };
}
