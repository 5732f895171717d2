/**
 * A batch mixnet of real processes for tests (D4.2 §3.4): one controller, a coordinator and two contributors
 * who know its URL and an invitation, each with a configuration file, a data directory and a store of its own.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Program, freePorts } from '../../src/cli/demo/processes.ts';
import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { until } from './real-mixnet.ts';

/** What the coordinator proposes, and how long results stay. */
export interface BatchLayout {
  readonly endpoint: Record<string, unknown>;
  readonly lingerMs: number;
}

/** The programs of a batch mixnet. */
export class RealBatch {
  readonly folder: string;
  readonly url: string;
  readonly controller: Program;
  /** The coordinator first. */
  readonly owners: readonly Program[];
  mixnetUrl = '';
  readonly #configs: readonly string[];
  readonly #wizards: Program[] = [];

  private constructor(folder: string, port: number, configs: readonly string[]) {
    this.folder = folder;
    this.url = `http://127.0.0.1:${port}/`;
    this.#configs = configs;
    this.controller = this.#program('controller', [
      'controller',
      '--config',
      join(folder, 'controller.yml'),
    ]);
    this.owners = configs.map((config, place) =>
      this.#program(`owner${place}`, ['mix', '--config', config]),
    );
  }

  /** Starts the controller, lets the wizards agree, starts the owners. */
  static async start(layout: BatchLayout): Promise<RealBatch> {
    const folder = mkdtempSync(join(tmpdir(), 'panoramix-batch-'));
    const [port = 0] = await freePorts(1);
    const batch = new RealBatch(folder, port, writeConfigs(folder, port, layout));
    try {
      batch.controller.start();
      await batch.controllerAnswers();
      await batch.#found();
      for (const owner of batch.owners) owner.start();
      return batch;
    } catch (error) {
      await batch.stop();
      throw error;
    }
  }

  async controllerAnswers(): Promise<void> {
    await until('the controller answers', () => answers(`${this.url}panoramix/health`), 30_000);
  }

  /** Lines that a program has logged, parsed. */
  logOf(program: Program): Record<string, unknown>[] {
    return readFileSync(join(this.folder, `${program.name}.log`), 'utf8')
      .split('\n')
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as Record<string, unknown>];
        } catch {
          return [];
        }
      });
  }

  /** How often a program has logged an event. */
  countOf(program: Program, event: string): number {
    return this.logOf(program).filter((line) => line['event'] === event).length;
  }

  /** Ends the redis-server of the controller, as the kernel would. */
  async killControllerStore(): Promise<void> {
    const dataDir = join(this.folder, 'controller');
    const store = await connectStore({ dataDir, log: silentLog, name: 'test' });
    const pid = Number(/process_id:(\d+)/.exec(await store.redis.info('server'))?.[1]);
    process.kill(pid, 'SIGKILL');
    await store.close().catch(() => undefined);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#wizards, ...this.owners].map((program) => program.stop()));
    await this.controller.stop();
    const names = ['controller', ...this.owners.map((owner) => owner.name)];
    await Promise.all(names.map((name) => endStore(join(this.folder, name))));
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #found(): Promise<void> {
    const joining: Promise<number>[] = [];
    const say = (line: string): void => {
      const event = JSON.parse(line) as {
        event: string;
        invitations?: string[];
        mixnetUrl?: string;
      };
      for (const [index, invitation] of (event.invitations ?? []).entries()) {
        if (joining.length > index) continue;
        const secrets = { PANORAMIX_INVITATION: invitation };
        joining.push(this.#wizard(index + 1).run(() => undefined, secrets));
      }
      if (event.event === 'done') this.mixnetUrl = event.mixnetUrl ?? '';
    };
    const code = await this.#wizard(0).run(say);
    const codes = [code, ...(await Promise.all(joining))];
    if (codes.join() !== '0,0,0') throw new Error(`the wizards ended with ${codes.join()}`);
  }

  #wizard(place: number): Program {
    const config = this.#configs[place] as string;
    const args = ['wizard', '--yes', '--json', '--config', config];
    const wizard = this.#program(`wizard${place}`, args);
    this.#wizards.push(wizard);
    return wizard;
  }

  #program(name: string, args: readonly string[]): Program {
    return new Program(name, args, join(this.folder, `${name}.log`));
  }
}

function writeConfigs(folder: string, port: number, layout: BatchLayout): string[] {
  const url = `http://127.0.0.1:${port}/`;
  const write = (name: string, config: object): string => {
    const path = join(folder, `${name}.yml`);
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
    writeFileSync(
      path,
      stringify({ name, data_dir: name, redis: { max_memory_mb: 64 }, ...config }),
    );
    return path;
  };
  write('controller', { controller: { listen: `127.0.0.1:${port}`, catalog_url: url } });
  const node = { controller_url: url, linger_ms: layout.lingerMs };
  const creates = {
    action: 'create',
    catalog_url: url,
    name: 'our_mix-net',
    invitations: 2,
    // D4.2 §5.1: GROUP 713; HEADER_LEN 192 and BODY_LEN 1024 are the defaults.
    group: 713,
    endpoint: layout.endpoint,
  };
  const joins = { action: 'join', catalog_url: url };
  return [creates, joins, joins].map((mixnet, place) => write(`owner${place}`, { node, mixnet }));
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

async function endStore(dataDir: string): Promise<void> {
  try {
    const store = await connectStore({ dataDir, log: silentLog, name: 'test' });
    await store.redis.shutdown('NOSAVE').catch(() => undefined);
    await store.close();
  } catch {
    // Nothing answers there: the program has ended it, as it should.
  }
}
