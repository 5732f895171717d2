/**
 * Forwarding: the [mixing] worker. A packet that is due is posted to the next hop's controller until
 * that has answered 201; only then its record goes. Packets of others, acks and own ones alike, but for
 * one thing: while too few of the own ones come back, others are held longer (loop-watch.ts).
 */
import { fromHex, fromUtf8, toBase64url, toHex } from '../bytes.ts';
import type { ControllerClient } from '../client/controller.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';
import { asPanoramixError, isUnreachable, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { dueAfterStop } from '../mixnet/delay.ts';
import { nodeByAddress, type Directory, type DirectoryNode } from '../mixnet/directory.ts';
import { drawHoldMs, NEVER_HELD, nextHolding, type Holding } from '../mixnet/hold.ts';
import type { RunningJob } from '../redis/queues.ts';
import type { ForwardRecord, Records } from '../redis/records.ts';
import type { StorageKeys } from '../redis/sealing.ts';
import type { Counters } from './counters.ts';
import { Departures } from './departures.ts';
import type { DirectorySource } from './directory-source.ts';
import { TICKS_OWNER } from './emission.ts';
import { Links } from './links.ts';
import { Rarely } from './rarely.ts';
import { Waiting } from './waiting.ts';

/** With these the next hop has said that it will never take this packet: its key is gone. */
const FINAL: readonly ErrorCode[] = ['endpoint-closed', 'endpoint-unknown'];
/**
 * Own packets that wait for one next hop that does not take them: 8 MB. At 2 ticks a second and three
 * mixes, one of them down, that is six minutes; without a limit cover would fill 800 MB in ten hours,
 * and in three where the network is away, and then mail would have no room.
 */
const OWN_WAITING_MAX = 256;
/**
 * Packets of others that wait for one next hop that does not take them, 34 MB: an eighth of all that may
 * wait here (commit.ts). Without a limit a single dead hop, at 4 packets a second, made a node of a larger
 * mixnet shed everything after half an hour, and so did each of its neighbours. What comes beyond
 * them ends, forwards and answers alike; its sender sends it again, on another route.
 */
const OTHERS_WAITING_MAX = 1024;
/**
 * How long a packet is tried after it was due: as long as its sender can read an answer to it. By then
 * the sender has sent again what it carried.
 */
const TRIED_MS_MAX = 2 * 3_600_000;
/** A job that comes so long before its packet is due comes by a clock that was set ahead. */
const EARLY_MS = 1000;
/** How long a packet that was committed waits for the first directory before its job looks again. */
const NO_DIRECTORY_MS = 1000;

export interface ForwarderOptions {
  readonly primitives: Primitives;
  readonly records: Pick<Records, 'load' | 'remove'>;
  readonly storageKeys: StorageKeys;
  readonly directory: Pick<DirectorySource, 'last'>;
  /** Looks for a newer directory, at most every few seconds however often it is asked. */
  readonly refreshDirectory: () => Promise<unknown>;
  /** The number of the alarm that is on, from 1; null where none is. */
  readonly alarm: () => number | null;
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
  #holding: Holding = NEVER_HELD;
  /** In which holding, by its beginning, each record that is here has been held last. */
  readonly #heldSince = new Map<string, number>();
  readonly #rarely = new Rarely();
  readonly #links: Links;
  readonly #waiting = new Waiting();

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
    if (record === null) {
      this.#forget(job.id);
      return undefined;
    }
    // No clock that jumps lets out at once all that is held here.
    if (record.dueMs > now() + EARLY_MS) return { againAtMs: record.dueMs };
    const held = directory.last();
    if (held === null) return { againAtMs: now() + NO_DIRECTORY_MS };
    const againAtMs = this.#afterStop(record, held) ?? this.#whileAlarmed(record, held);
    if (againAtMs !== null) return { againAtMs };
    const outcome = this.#mayWait(record) ? await this.#post(record, held) : 'next-hop-backed-up';
    if (outcome !== null && typeof outcome === 'object') return outcome;
    // What the record was for is done either way: the tag stays, and nothing else is kept.
    await records.remove(record.recordId);
    this.#forget(record.recordId);
    if (outcome === null) return undefined;
    counters.count(outcome);
    this.#rarely.say(outcome, () => {
      const fields = { event: 'forward-dropped', reason: outcome };
      log.warn(fields, 'Packets cannot be passed on; the counters say how many');
    });
    return undefined;
  }

  /** Whether so many of this node's own packets wait for a next hop that no more shall join them. */
  isBackedUp(address: Uint8Array): boolean {
    return this.#waiting.count('own', toHex(address)) >= OWN_WAITING_MAX;
  }

  /** Own packets are limited where they start: what was sent counts, and is never ended here. */
  #mayWait({ endpointId, next, recordId }: ForwardRecord): boolean {
    return endpointId === TICKS_OWNER
      ? this.#waiting.enter(recordId, 'own', toHex(next))
      : this.#waiting.enter(recordId, 'others', toHex(next), OTHERS_WAITING_MAX);
  }

  #forget(recordId: string): void {
    this.#redrawn.delete(recordId);
    this.#heldSince.delete(recordId);
    this.#waiting.leave(recordId);
  }

  /** When to come again, where the packet was overdue as this node started; null where it may go. */
  #afterStop(record: ForwardRecord, { traffic }: Directory): number | null {
    const { now, primitives } = this.#options;
    if (record.dueMs >= this.#startedMs || this.#redrawn.has(record.recordId)) return null;
    this.#redrawn.add(record.recordId);
    return dueAfterStop(primitives.random, {
      dueMs: record.dueMs,
      nowMs: now(),
      meanMs: traffic.delayMeanMs,
    });
  }

  /** When to come again, where the alarm is on and has not held this packet yet; null where it may go. */
  #whileAlarmed({ recordId, endpointId }: ForwardRecord, { traffic }: Directory): number | null {
    const { alarm: alarmNumber, now, primitives, counters } = this.#options;
    const alarm = alarmNumber();
    // Own packets are how we hear that it is over.
    if (alarm === null || endpointId === TICKS_OWNER) return null;
    const { delayMeanMs } = traffic;
    const nowMs = now();
    this.#holding = nextHolding(this.#holding, { alarm, nowMs, delayMeanMs });
    const { sinceMs } = this.#holding;
    if (this.#heldSince.get(recordId) === sinceMs) return null;
    const holdMs = drawHoldMs(primitives.random, this.#holding, { nowMs, delayMeanMs });
    if (holdMs === null) return null;
    this.#heldSince.set(recordId, sinceMs);
    counters.count('held');
    return nowMs + holdMs;
  }

  /** Null once the next hop has the packet, a reason where it never will; else when to try. */
  async #post(
    record: ForwardRecord,
    held: Directory,
  ): Promise<{ readonly againAtMs: number } | string | null> {
    const { now, clientFor } = this.#options;
    if (now() > record.dueMs + TRIED_MS_MAX) return 'forward-expired';
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
      if (isUnreachable(error.code)) outcome = 'failed';
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
      await this.#options.refreshDirectory();
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
