/**
 * Fragments on their way to a tick: from the [mail] worker, which cuts accepted mail, to the queues
 * [outbound-EXIT], from which ticks take the oldest. What waits is the fragment, not a packet: its
 * route is drawn when its tick is near, so that no change of the directory makes it worthless.
 */
import { concat, writeUint } from '../bytes.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { verifyEnvelope } from '../mixnet/envelope.ts';
import { decodeFragment, encodeFragment, type Fragment } from '../mixnet/fragment.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import { fragmentMail } from '../mixnet/prepare.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Store } from '../redis/embedded.ts';
import type { MailStore } from '../redis/mail-store.ts';
import { openQueue, type JobQueue } from '../redis/queues.ts';
import type { Records } from '../redis/records.ts';
import type { Counters } from './counters.ts';

/** Owners of records whose name starts so hold fragments for the exit that follows. */
const OWNER = 'outbound-';
/** Fragments written between two looks at the event loop. */
const GROUP = 64;
const NOWHERE = new Uint8Array(16);

export interface OutboundOptions {
  readonly store: Store;
  readonly records: Records;
  readonly primitives: Primitives;
  readonly counters: Counters;
  readonly log: Log;
}

/** Fragments that wait for a tick, by exit. */
export class Outbound {
  readonly #options: OutboundOptions;
  readonly #queues = new Map<string, Promise<JobQueue>>();
  /** Told of the exit when something new waits for it. */
  onQueued: (exit: string) => void = () => undefined;

  constructor(options: OutboundOptions) {
    this.#options = options;
  }

  /**
   * Cuts an accepted mail and queues its fragments, then forgets the mail. The same mail gives the
   * same fragments under the same ids, so that doing it twice is harmless.
   */
  async prepare(mails: MailStore, messageId: string, geometry: Geometry): Promise<void> {
    const { primitives, counters, log } = this.#options;
    const mail = await mails.load(messageId);
    if (mail === null) return;
    const verified = verifyEnvelope(primitives, mail.envelope);
    if (!verified.ok) {
      // Ours, and unsealed: only a bug makes it unreadable. It stays for a repaired version.
      throw new PanoramixError('unexpected', `stored mail: ${verified.reason}`);
    }
    const { envelope } = verified;
    const fragments = fragmentMail(envelope, mail.envelope, mail.data, geometry);
    const queue = await this.#queue(envelope.exit);
    for (let from = 0; from < fragments.length; from += GROUP) {
      const group = fragments.slice(from, from + GROUP);
      const ids = group.map((fragment) => this.#idOf(envelope.exit, fragment));
      for (const [i, fragment] of group.entries()) {
        await this.#options.records.put({
          recordId: ids[i] as string,
          endpointId: OWNER + envelope.exit,
          next: NOWHERE,
          dueMs: 0,
          packet: encodeFragment(fragment, geometry),
        });
      }
      await queue.addMany(ids.map((id) => ({ id })));
    }
    await mails.remove(messageId);
    counters.count('mail-prepared');
    log.info(
      { event: 'mail-prepared', messageId, packets: fragments.length },
      'Mail is on its way',
    );
    this.onQueued(envelope.exit);
  }

  /** The fragment of an outbound job; null where it is gone. */
  async load(id: string, geometry: Geometry): Promise<Fragment | null> {
    const record = await this.#options.records.load(id);
    return record && decodeFragment(record.packet, geometry);
  }

  /** Gives each fragment that waits its job again: at start, in case a crash came between the two. */
  async resume(): Promise<void> {
    for await (const { recordId, endpointId } of this.#options.records.pending()) {
      if (!endpointId.startsWith(OWNER)) continue;
      await (await this.#queue(endpointId.slice(OWNER.length))).add(recordId);
    }
  }

  async #queue(exit: string): Promise<JobQueue> {
    const known = this.#queues.get(exit);
    if (known !== undefined) return await known;
    const opening = openQueue(this.#options.store, `outbound-${exit}`);
    this.#queues.set(exit, opening);
    // A failure must not stick: the next mail opens it again.
    opening.catch(() => this.#queues.delete(exit));
    return await opening;
  }

  #idOf(exit: string, { messageId, index }: Fragment): string {
    const name = concat(messageId, writeUint(index, 4));
    return this.#options.records.recordId(OWNER + exit, name);
  }
}

/** Whether a record holds a fragment that waits for a tick, rather than a packet to pass on. */
export function isOutbound(endpointId: string): boolean {
  return endpointId.startsWith(OWNER);
}
