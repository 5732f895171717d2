/**
 * A whole mixnet on this machine, from configuration files and the programs that an operator would
 * start: controllers, then the owners' agreement through their API, then the nodes.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../config.ts';
import { PanoramixError } from '../../errors.ts';
import { silentLog } from '../../log.ts';
import { connectStore } from '../../redis/embedded.ts';
import { readStatus } from '../status.ts';
import { writeLayout, type DemoOptions, type DemoPeer } from './layout.ts';
import { Program } from './processes.ts';

const START_MS_MAX = 60_000;
const FOUND_MS_MAX = 120_000;
const LOOK_MS = 100;

/** Says what was just reached, for whoever watches. */
export type Progress = (text: string) => void;

/** The programs of a demo mixnet, each its own process. */
export class DemoMixnet {
  readonly peers: readonly DemoPeer[];
  readonly controllers: readonly Program[];
  readonly nodes: readonly Program[];
  readonly #logs: string;
  readonly #wizards: Program[] = [];

  private constructor(peers: readonly DemoPeer[], logs: string) {
    this.peers = peers;
    this.#logs = logs;
    this.controllers = peers.map(
      (peer) =>
        new Program(
          `${peer.name}.controller`,
          ['controller', '--config', peer.controllerConfig],
          this.logOf(`${peer.name}.controller`),
        ),
    );
    this.nodes = peers.map(
      (peer) =>
        new Program(peer.name, [peer.role, '--config', peer.nodeConfig], this.logOf(peer.name)),
    );
  }

  /** Writes the configuration and brings everything up; on failure everything is ended again. */
  static async start(options: DemoOptions, progress: Progress): Promise<DemoMixnet> {
    const logs = join(options.folder, 'logs');
    mkdirSync(logs, { recursive: true });
    const mixnet = new DemoMixnet(await writeLayout(options), logs);
    try {
      for (const controller of mixnet.controllers) controller.start();
      await mixnet.#controllersAnswer();
      progress(`${mixnet.controllers.length} controllers answer`);
      const url = await mixnet.#found(progress);
      progress(`all owners signed the mixnet ${url}`);
      for (const node of mixnet.nodes) node.start();
      progress(
        `${options.mixes} mixes and ${options.providers.length} gateways run, each its own process`,
      );
      await mixnet.nodesRoute();
      progress(`all nodes signed a directory and route by it`);
      return mixnet;
    } catch (error) {
      await mixnet.stop();
      throw error;
    }
  }

  /** The gateway of a provider. */
  gateway(name: string): DemoPeer {
    const peer = this.peers.find((each) => each.name === name && each.role === 'gateway');
    if (!peer) throw new PanoramixError('unexpected', `no gateway is called ${name}`);
    return peer;
  }

  /** Every program, controllers first. */
  get programs(): readonly Program[] {
    return [...this.controllers, ...this.nodes];
  }

  /** The log file of a program. */
  logOf(program: string): string {
    return join(this.#logs, `${program}.log`);
  }

  /** Throws where a program has ended by itself. */
  check(): void {
    const dead = this.programs.find((program) => program.died);
    if (dead) {
      throw new PanoramixError(
        'unexpected',
        `${dead.name} has ended; see ${this.logOf(dead.name)}`,
      );
    }
  }

  /** Stops nodes, then controllers. */
  async stop(): Promise<void> {
    await Promise.all(this.#wizards.map((wizard) => wizard.stop()));
    await Promise.all(this.nodes.map((node) => node.stop()));
    await Promise.all(this.controllers.map((controller) => controller.stop()));
    // A program that was killed has left its redis-server behind, for its next start.
    const folders = this.peers.flatMap((peer) => [peer.nodeDataDir, peer.controllerDataDir]);
    await Promise.all(folders.map((folder) => endStore(folder)));
  }

  /** Waits until every node's store is up and its directory valid. */
  async nodesRoute(): Promise<void> {
    const deadline = Date.now() + START_MS_MAX;
    for (const peer of this.peers) {
      const config = readConfig(peer.nodeConfig);
      await this.#until(`${peer.name} holds a valid directory`, deadline, async () => {
        const { storage, directory } = await readStatus(config);
        return storage.state === 'up' && directory?.state === 'valid';
      });
    }
  }

  async #controllersAnswer(): Promise<void> {
    const deadline = Date.now() + START_MS_MAX;
    for (const peer of this.peers) {
      const health = `${peer.controllerUrl}panoramix/health`;
      await this.#until(`the controller of ${peer.name} answers`, deadline, () => answers(health));
    }
  }

  async #until(what: string, deadline: number, holds: () => Promise<boolean>): Promise<void> {
    while (!(await holds())) {
      this.check();
      if (Date.now() > deadline) {
        throw new PanoramixError('unexpected', `not in time: ${what}; see ${this.#logs}`);
      }
      await sleep(LOOK_MS);
    }
  }

  /** The first peer creates the mixnet; each other joins with an invitation of its own. */
  async #found(progress: Progress): Promise<string> {
    const guests = this.peers.slice(1);
    const wizards: Promise<number>[] = [];
    let url = '';
    const say = (line: string): void => {
      const event = parseEvent(line);
      if (event.event === 'invitations' && Array.isArray(event.invitations)) {
        for (const [i, invitation] of event.invitations.entries()) {
          const guest = guests[i];
          // A wizard that looks again says the same again.
          if (!guest || wizards.length > i) continue;
          const secrets = { PANORAMIX_INVITATION: String(invitation) };
          wizards.push(this.#wizard(guest).run(() => undefined, secrets));
        }
      }
      if (event.event === 'done' && typeof event.mixnetUrl === 'string') url = event.mixnetUrl;
    };
    const founder = this.peers[0] as DemoPeer;
    const deadline = sleep(FOUND_MS_MAX, 'late', { ref: false });
    const founding = this.#wizard(founder).run(say);
    const everybody = founding.then(async (code) => [code, ...(await Promise.all(wizards))]);
    const codes = await Promise.race([everybody, deadline]);
    if (codes === 'late' || !url || (codes as number[]).some((code) => code !== 0)) {
      throw new PanoramixError(
        'unexpected',
        `the owners did not agree; see ${this.#logs}/*.wizard.log`,
      );
    }
    progress(`${guests.length} owners joined by invitation`);
    return url;
  }

  #wizard(peer: DemoPeer): Program {
    const wizard = new Program(
      `${peer.name}.wizard`,
      ['wizard', '--yes', '--json', '--config', peer.nodeConfig],
      this.logOf(`${peer.name}.wizard`),
    );
    this.#wizards.push(wizard);
    return wizard;
  }
}

async function endStore(dataDir: string): Promise<void> {
  try {
    const store = await connectStore({ dataDir, log: silentLog, name: 'demo' });
    await store.redis.shutdown('NOSAVE').catch(() => undefined);
    await store.close();
  } catch {
    // Nothing answers there: the program has ended it, as it should.
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

function parseEvent(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
