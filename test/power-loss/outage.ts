/**
 * A whole mixnet on one machine whose power is cut: all nodes, controllers and their Redis at once, under mail, at
 * any moment. What their files hold that was not synced is taken back; then everything is started as a service
 * manager does after a boot, and the mixnet goes on.
 */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from '../../src/cli/status.ts';
import type { Program } from '../../src/cli/demo/processes.ts';
import { readConfig } from '../../src/config.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { startBehindDoors, type DooredMixnet } from '../network/hostile-inbox.ts';
import type { Survival, Taken } from './disk.ts';
import { Machine } from './machine.ts';
import { MailFlow } from './mail-flow.ts';
import { Packets } from './packets.ts';

/** From the power's return until everything runs and routes. */
const WELL_MS_MAX = 60_000;
const AGAIN_MS = 500;
const LOOK_MS = 200;
const CROSS_MS_MAX = 60_000;
/** Old packets of each node that are given again. */
const REPLAYS = 8;
/** For what an old packet would make a node post: delays are far shorter. */
const REPLAY_MS = 2_000;

export interface OutageOptions {
  readonly mixes: number;
  readonly mailsPerSecond: number;
  readonly ticksPerSecond: number;
  /** How slow the disk is. */
  readonly syncMs: number;
}

/** One power cut and what came after it. */
export interface Outage extends Taken {
  /** `performance.now()` */
  readonly atMs: number;
  readonly programs: number;
  /** Accepted mails that were under way. */
  readonly underWay: number;
  /** From the power's return until all was well. */
  readonly wellMs: number;
  /** Programs that ended by themselves after the boot and were started again. */
  readonly restarts: readonly string[];
  readonly replayed: number;
  /** Old packets that led to something again. */
  readonly replaysAccepted: number;
}

export class PoweredMixnet {
  readonly machine: Machine;
  readonly net: DooredMixnet;
  readonly mail: MailFlow;
  readonly packets: Packets;

  private constructor(machine: Machine, net: DooredMixnet, mailsPerSecond: number) {
    this.machine = machine;
    this.net = net;
    this.mail = new MailFlow(net.real, mailsPerSecond);
    this.packets = new Packets(net);
  }

  static async start(options: OutageOptions): Promise<PoweredMixnet> {
    const { mixes, ticksPerSecond, syncMs, mailsPerSecond } = options;
    let machine: Machine | null = null;
    const prepare = async (folder: string): Promise<void> => {
      machine = new Machine({ syncMs, disk: folder });
      // Logs tell what happened, and what receivers have is another machine's.
      for (const name of ['logs', 'mail']) symlinkSync(machine.beside(name), join(folder, name));
      Object.assign(process.env, machine.environment);
    };
    const net = await startBehindDoors({ mixes, ticksPerSecond, prepare }).catch((error) => {
      machine?.remove();
      throw error;
    });
    const powered = new PoweredMixnet(machine as unknown as Machine, net, mailsPerSecond);
    for (const { controllerConfig, nodeConfig } of net.real.mixnet.peers) {
      powered.machine.adopt(controllerConfig);
      powered.machine.adopt(nodeConfig);
    }
    return powered;
  }

  /**
   * Cuts the power, lets it return and waits until all is well.
   * @param replays old packets of each node that are given again then
   */
  async outage(survival: Survival, replays = REPLAYS): Promise<Outage> {
    const { underWay } = this.mail;
    const old = this.packets.settled(replays);
    const { programs } = this.machine;
    const atMs = performance.now();
    const taken = this.machine.cut(survival);
    // They are children of this process: it hears of their end before it starts them again.
    await Promise.all(this.net.real.mixnet.programs.map((program) => program.kill()));
    const returnedMs = performance.now();
    const restarts = await this.#boot();
    const wellMs = performance.now() - returnedMs;
    const { length: replayed } = old;
    const replaysAccepted = replayed > 0 ? await this.#replay(old) : 0;
    return { ...taken, atMs, programs, underWay, wellMs, restarts, replayed, replaysAccepted };
  }

  /** Sets every Redis to sync once a second, when the programs have checked that it syncs always. */
  async syncEverySecond(): Promise<void> {
    for (const dataDir of this.#dataDirs()) {
      const store = await connectStore({ dataDir, log: silentLog, name: 'test' });
      await store.redis.config('SET', 'appendfsync', 'everysec');
      await store.close();
    }
  }

  /** Waits until no node has mail in hand any more: what has not arrived by then does not. */
  async settle(patienceMs: number): Promise<void> {
    for (const endMs = performance.now() + patienceMs; performance.now() < endMs;) {
      if (this.mail.underWay === 0 || !(await this.#hasMail())) return;
      await sleep(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    this.mail.close();
    try {
      await this.net.stop();
    } finally {
      this.machine.remove();
    }
  }

  /** Old packets again; counts those that led to a further post. */
  async #replay(old: ReturnType<Packets['settled']>): Promise<number> {
    await this.mail.crosses(CROSS_MS_MAX);
    const before = this.packets.attempts(old);
    await this.packets.postAgain(old);
    await this.mail.crosses(CROSS_MS_MAX);
    await sleep(REPLAY_MS);
    const after = this.packets.attempts(old);
    return after.filter((attempts, i) => attempts > (before[i] as number)).length;
  }

  async #boot(): Promise<string[]> {
    const { peers, programs } = this.net.real.mixnet;
    for (const program of programs) program.start();
    const configs = peers.flatMap(({ controllerConfig, nodeConfig }) => [
      readConfig(controllerConfig),
      readConfig(nodeConfig),
    ]);
    const restarts: string[] = [];
    for (const endMs = performance.now() + WELL_MS_MAX; ; await sleep(AGAIN_MS)) {
      for (const program of programs.filter(({ died }) => died)) restarts.push(restart(program));
      const all = await Promise.all(configs.map((config) => readStatus(config)));
      const ill = all.filter(
        ({ program, storage, directory }) =>
          program !== 'running' ||
          storage.state !== 'up' ||
          (directory !== null && directory.state !== 'valid'),
      );
      if (ill.length === 0) return restarts;
      if (performance.now() > endMs) {
        throw new Error(`not well within a minute: ${JSON.stringify(ill)}`);
      }
    }
  }

  async #hasMail(): Promise<boolean> {
    const { peers } = this.net.real.mixnet;
    const all = await Promise.all(
      peers.map(({ nodeConfig }) => readStatus(readConfig(nodeConfig))),
    );
    return all.some(({ queues }) =>
      Object.entries(queues).some(
        ([name, { waiting, active, delayed }]) =>
          /^(mail|outbound|delivery)/.test(name) && waiting + active + delayed > 0,
      ),
    );
  }

  #dataDirs(): string[] {
    const { peers } = this.net.real.mixnet;
    return peers.flatMap(({ nodeDataDir, controllerDataDir }) => [nodeDataDir, controllerDataDir]);
  }
}

function restart(program: Program): string {
  program.start();
  return program.name;
}
