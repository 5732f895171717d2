/**
 * Threads that peel packets, so that a burst of them delays no tick, no reply and no lock renewal of
 * the program. One thread peels some thousand packets a second; more are a matter of configuration.
 */
import { Piscina } from 'piscina';
import type { Ack, AckVerdict } from '../mixnet/ack.ts';
import type { PeeledPayload } from '../mixnet/mix.ts';
import type { Drop, PeeledHeader } from '../sphinx/index.ts';
import type { BuildAcksTask, HeadersTask, PayloadsTask, ReadAcksTask } from './peel-worker.ts';

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

  /** Answers in the order of their reply blocks; null for what is no reply block. */
  async buildAcks(task: BuildAcksTask): Promise<readonly (Ack | null)[]> {
    return (await this.#pool.run(task, { name: 'buildAcks' })) as (Ack | null)[];
  }

  /** What answers to own packets say; null for one that was changed on its way. */
  async readAcks(task: ReadAcksTask): Promise<readonly (AckVerdict | null)[]> {
    return (await this.#pool.run(task, { name: 'readAcks' })) as (AckVerdict | null)[];
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
