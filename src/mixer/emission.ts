/**
 * How a packet of our own leaves, whichever it is: one write with the packet, what opens its reply and
 * when its fragment was sent, then a [mixing] job that is due now. Fragment, cover and loop take the same
 * steps in the same order with writes of the same sizes, so that no timing tells them apart. Packet and
 * record keep their names when a step is done again: twice is once.
 */
import type { Random } from '../crypto/primitives.ts';
import { afterSend, encodeSends, NEVER_SENT, type Sends } from '../mixnet/arq.ts';
import type { Traffic } from '../mixnet/directory.ts';
import type { PreparedPacket } from '../mixnet/prepare.ts';
import type { JobQueue } from '../redis/queues.ts';
import type { SentPacket, SentStore } from '../redis/sent-store.ts';
import type { Counters } from './counters.ts';
import type { LoopWatch } from './loop-watch.ts';

/** Owner of the records of packets that started here; sealed under the node's own storage key. */
export const TICKS_OWNER = 'ticks';

/**
 * After a packet was sent, before anything is done that depends on what it was: it is at the next hop's
 * door some 15 ms later.
 */
export const AFTER_SENDING_MS = 25;

/** A packet of our own that is ready to leave. */
export interface OwnPacket {
  readonly packet: Extract<PreparedPacket, { kind: 'packet' }>;
  readonly kind: SentPacket['kind'];
  /** Random, 32 hex digits: names its record and its job. */
  readonly recordId: string;
  /** Record and history of the fragment that it carries; null for cover and loops. */
  readonly fragment: { readonly id: string; readonly sends: Sends } | null;
}

export interface EmissionOptions {
  readonly random: Random;
  readonly now: () => number;
  readonly sent: Pick<SentStore, 'send'>;
  readonly mixing: Pick<JobQueue, 'add'>;
  readonly watch: Pick<LoopWatch, 'dueMs' | 'sent'>;
  readonly counters: Counters;
}

export class Emission {
  readonly #options: EmissionOptions;

  constructor(options: EmissionOptions) {
    this.#options = options;
  }

  /**
   * Sends a packet now.
   * @returns when its fragment may be sent again, ms since 1970
   * @throws PanoramixError `redis-unavailable`: it may have left or not; send the same again
   */
  async send(own: OwnPacket, traffic: Traffic): Promise<number> {
    const { random, now, sent, mixing, watch, counters } = this.#options;
    const { packet, kind, recordId, fragment } = own;
    const nowMs = now();
    const { delayMeanMs } = traffic;
    const dueMs = watch.dueMs(packet, nowMs, kind === 'loop' ? 0 : delayMeanMs);
    const tripDelayMs = packet.trip.delayMs;
    const sends = afterSend(random, fragment?.sends ?? NEVER_SENT, {
      nowMs,
      tripDelayMs,
      delayMeanMs,
    });
    await sent.send({
      record: {
        recordId,
        endpointId: TICKS_OWNER,
        next: packet.first.endpoint.address,
        dueMs: nowMs,
        packet: packet.packet,
      },
      replyId: packet.reply.id,
      sent: {
        kind,
        fragmentId: fragment?.id ?? null,
        keytuple: packet.reply.keytuple,
        nodes: packet.trip.nodes,
        sentMs: nowMs,
        dueMs,
      },
      // Of cover, too: it is sealed and travels to Redis, which keeps it where there is a fragment.
      sends: encodeSends(sends),
    });
    await mixing.add(recordId, nowMs);
    watch.sent(packet, nowMs, dueMs);
    counters.count(`sent-${kind}`);
    return sends.againAtMs;
  }
}
