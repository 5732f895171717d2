/**
 * Forwarding: the [mixing] worker. A packet that is due is posted to the next hop's controller until
 * that has answered 201; only then its record goes. Of mail, cover and later acks alike.
 */
import { fromHex, fromUtf8, toBase64url, toHex } from '../bytes.ts';
import type { ControllerClient } from '../client/controller.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { dueAfterStop } from '../mixnet/delay.ts';
import { nodeByAddress, type Directory, type DirectoryNode } from '../mixnet/directory.ts';
import type { RunningJob } from '../redis/queues.ts';
import type { ForwardRecord, Records } from '../redis/records.ts';
import type { StorageKeys } from '../redis/sealing.ts';
import type { Counters } from './counters.ts';
import { Departures } from './departures.ts';
import type { DirectorySource } from './directory-source.ts';

/** With these the next hop has said that it will never take this packet: its key is gone. */
const FINAL: readonly ErrorCode[] = ['endpoint-closed', 'endpoint-unknown'];

export interface ForwarderOptions {
  readonly primitives: Primitives;
  readonly records: Pick<Records, 'load' | 'remove'>;
  readonly storageKeys: StorageKeys;
  readonly directory: DirectorySource;
  /** The controller at a URL, with the node's own key. */
  readonly clientFor: (url: string) => Pick<ControllerClient, 'postMessage'>;
  readonly counters: Counters;
  readonly log: Log;
  /** Clock, ms since 1970. */
  readonly now: () => number;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #departures: Departures;
  readonly #startedMs: number;
  /** Records that were overdue when this node started, and have their fresh delay. */
  readonly #redrawn = new Set<string>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#departures = new Departures(options.primitives.random);
    this.#startedMs = options.now();
  }

  /** Works on one [mixing] job. Throws where the next hop did not take it: it is tried again. */
  async work(job: RunningJob): Promise<{ readonly againAtMs: number } | void> {
    const { records, directory, now, counters, log } = this.#options;
    const record = await records.load(job.id);
    const held = directory.last();
    if (record === null || held === null)
      return record === null ? undefined : { againAtMs: now() + 1000 };
    const again = this.#freshDelay(record, held);
    if (again !== null) return { againAtMs: again };
    const dropReason = await this.#post(record, held);
    // What the record was for is done either way: the tag stays, and nothing else is kept.
    await records.remove(record.recordId);
    this.#redrawn.delete(record.recordId);
    if (dropReason === null) return undefined;
    counters.count(dropReason);
    log.warn({ event: 'forward-dropped', reason: dropReason }, 'A packet cannot be passed on');
    return undefined;
  }

  /** When to come again, where the packet was overdue as this node started; null where it may go. */
  #freshDelay(record: ForwardRecord, { traffic }: Directory): number | null {
    const { now, primitives } = this.#options;
    if (record.dueMs >= this.#startedMs || this.#redrawn.has(record.recordId)) return null;
    this.#redrawn.add(record.recordId);
    return dueAfterStop(primitives.random, {
      dueMs: record.dueMs,
      nowMs: now(),
      meanMs: traffic.delayMeanMs,
    });
  }

  /** Null once the next hop has the packet; a reason where it never will. */
  async #post(record: ForwardRecord, held: Directory): Promise<string | null> {
    const { now, clientFor } = this.#options;
    if (now() > record.dueMs + held.traffic.expiryMs) return 'forward-expired';
    const hop = await this.#nextHop(record.next, held);
    if (hop === null) return 'unknown-next-hop';
    await this.#departures.turn();
    try {
      await clientFor(hop.node.controllerUrl).postMessage({
        endpointId: hop.endpointId,
        recipient: hop.node.peerId,
        text: toBase64url(record.packet),
        serial: this.#serial(record),
      });
      return null;
    } catch (thrown) {
      const error = asPanoramixError(thrown);
      if (FINAL.includes(error.code)) return error.code;
      throw error;
    }
  }

  async #nextHop(
    address: Uint8Array,
    held: Directory,
  ): Promise<{ readonly node: DirectoryNode; readonly endpointId: string } | null> {
    let found = nodeByAddress(held, address);
    if (found === null) {
      await this.#options.directory.refresh();
      found = nodeByAddress(this.#options.directory.last() ?? held, address);
    }
    return found && { node: found.node, endpointId: found.endpoint.endpointId };
  }

  /** The same in every repeat, so that a post whose 201 was lost is stored once; says nothing else. */
  #serial({ endpointId, recordId }: ForwardRecord): string {
    const { primitives, storageKeys } = this.#options;
    const key = storageKeys(endpointId) ?? new Uint8Array(32);
    const id = fromHex(recordId) ?? fromUtf8(recordId);
    return toHex(primitives.hmacSha256(key, fromUtf8(LABELS.postSerial), id).subarray(0, 16));
  }
}
