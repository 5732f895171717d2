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
import { Links } from './links.ts';
import { TICKS_OWNER } from './ticks.ts';

/** With these the next hop has said that it will never take this packet: its key is gone. */
const FINAL: readonly ErrorCode[] = ['endpoint-closed', 'endpoint-unknown'];
/**
 * Own packets that wait for one next hop that does not take them: 8 MB. At 2 ticks a second and three
 * mixes, one of them down, that is six minutes; without a limit cover would fill 800 MB in ten hours,
 * and in three where the network is away, and then mail would have no room.
 */
const OWN_WAITING_MAX = 256;

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
  readonly #links: Links;
  /** Own packets that are due and not yet taken, by the address of their next hop. */
  readonly #ownWaiting = new Map<string, Set<string>>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#departures = new Departures(options.primitives.random);
    this.#links = new Links(options.primitives.random);
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
    this.#note(record, 'waits');
    const outcome = await this.#post(record, held);
    if (outcome !== null && typeof outcome === 'object') return outcome;
    // What the record was for is done either way: the tag stays, and nothing else is kept.
    await records.remove(record.recordId);
    this.#redrawn.delete(record.recordId);
    this.#note(record, 'left');
    if (outcome === null) return undefined;
    counters.count(outcome);
    log.warn({ event: 'forward-dropped', reason: outcome }, 'A packet cannot be passed on');
    return undefined;
  }

  /** Whether so many of this node's own packets wait for a next hop that no more shall join them. */
  isBackedUp(address: Uint8Array): boolean {
    return (this.#ownWaiting.get(toHex(address))?.size ?? 0) >= OWN_WAITING_MAX;
  }

  #note({ endpointId, next, recordId }: ForwardRecord, what: 'waits' | 'left'): void {
    if (endpointId !== TICKS_OWNER) return;
    const hop = toHex(next);
    const waiting = this.#ownWaiting.get(hop) ?? new Set();
    if (what === 'waits') waiting.add(recordId);
    else waiting.delete(recordId);
    if (waiting.size > 0) this.#ownWaiting.set(hop, waiting);
    else this.#ownWaiting.delete(hop);
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

  /** Null once the next hop has the packet, a reason where it never will; else when to try. */
  async #post(
    record: ForwardRecord,
    held: Directory,
  ): Promise<{ readonly againAtMs: number } | string | null> {
    const { now, clientFor } = this.#options;
    if (now() > record.dueMs + held.traffic.expiryMs) return 'forward-expired';
    const hop = await this.#nextHop(record.next, held);
    if (hop === null) return 'unknown-next-hop';
    const { controllerUrl } = hop.node;
    const again = this.#links.enter(controllerUrl, now());
    if (again !== null) return again;
    let outcome: 'answered' | 'failed' = 'answered';
    try {
      await this.#departures.turn();
      await clientFor(controllerUrl).postMessage({
        endpointId: hop.endpointId,
        recipient: hop.node.peerId,
        text: toBase64url(record.packet),
        serial: this.#serial(record),
      });
      return null;
    } catch (thrown) {
      const error = asPanoramixError(thrown);
      if (error.code === 'controller-unreachable') outcome = 'failed';
      if (FINAL.includes(error.code)) return error.code;
      throw error;
    } finally {
      this.#links.leave(controllerUrl, now(), outcome);
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
