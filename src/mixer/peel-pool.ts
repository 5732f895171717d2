/**
 * Threads that peel packets, so that a burst of them delays no tick, no reply and no lock renewal of
 * the program. One thread peels some thousand packets a second; more are a matter of configuration.
 */
import { Piscina } from 'piscina';
import type { PeeledPayload } from '../mixnet/mix.ts';
import type { Drop, PeeledHeader } from '../sphinx/index.ts';
import type { HeadersTask, PayloadsTask } from './peel-worker.ts';

// From a checkout the sources run as they are; installed, what was compiled from them.
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './peel-worker.ts' : './peel-worker.js',
  import.meta.url,
).href;

export class PeelPool {
  readonly #pool: Piscina;

  /** @param threads how many, 1 to 64 */
  constructor(threads = 1) {
    this.#pool = new Piscina({ filename: WORKER, minThreads: 1, maxThreads: threads });
  }

  async peelHeaders(task: HeadersTask): Promise<readonly (PeeledHeader | Drop)[]> {
    return (await this.#pool.run(task, { name: 'peelHeaders' })) as (PeeledHeader | Drop)[];
  }

  /** Each header once: peeling uses it up. */
  async peelPayloads(task: PayloadsTask): Promise<readonly PeeledPayload[]> {
    return (await this.#pool.run(task, { name: 'peelPayloads' })) as PeeledPayload[];
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
