/**
 * Fragments from accepted mail to their acks: cut by the [mail] worker, then in the queues of their
 * exit, from which ticks take the oldest. What waits is the fragment, not a packet: its route is drawn
 * when its tick is near. It stays stored until its exit has acked it or it has expired.
 */
import { concat, fromHex, toHex, writeUint } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import { decideSend, decodeSends, NEVER_SENT, type Sends } from '../mixnet/arq.ts';
import { verifyEnvelope } from '../mixnet/envelope.ts';
import { decodeFragment, encodeFragment, type Fragment } from '../mixnet/fragment.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import { fragmentMail } from '../mixnet/prepare.ts';
import type { MailStore } from '../redis/mail-store.ts';
import { PLACE_MAX } from '../redis/queues.ts';
import type { Records } from '../redis/records.ts';
import type { SentStore } from '../redis/sent-store.ts';
import type { TakenJob } from '../redis/taker.ts';
import type { Counters } from './counters.ts';
import { Backlog } from './backlog.ts';
import { FairPlaces } from './fair-places.ts';
import type { FragmentQueues, SendKind } from './fragment-queues.ts';

/** Owners of records whose name starts so hold fragments for the exit that follows. */
const OWNER = 'outbound-';
/** Mails of which the log has said that they expired: each once, for it may have 2048 fragments. */
const SAID_MAX = 1_000;
/** Fragments written between two looks at the event loop. */
const GROUP = 64;
const NOWHERE = new Uint8Array(16);

/** A fragment that may be sent now, taken from its queue. */
export interface TakenFragment {
  /** Of its record, its history and its job. */
  readonly id: string;
  readonly exit: string;
  readonly kind: SendKind;
  readonly fragment: Fragment;
  readonly sends: Sends;
  readonly job: TakenJob;
}

export interface OutboundOptions {
  readonly queues: FragmentQueues;
  readonly records: Pick<Records, 'put' | 'load' | 'remove' | 'pending' | 'recordId'>;
  readonly sent: Pick<SentStore, 'sends' | 'removeSends'>;
  readonly primitives: Primitives;
  /** Told of a mail before a part of it is given up; durable when it returns. */
  readonly onExpired: (messageId: string) => Promise<void>;
  readonly counters: Counters;
  readonly log: Log;
  readonly now: () => number;
}

/** Fragments that wait for a tick or for their ack, by exit. */
export class Outbound {
  readonly #options: OutboundOptions;
  /** Exits of fragments that have been taken since the start, so that an ack finds their jobs. */
  readonly #exits = new Map<string, string>();
  readonly #said = new Set<string>();
  readonly #places = new FairPlaces();
  /** What waits here of whose mail. */
  readonly backlog = new Backlog();
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
    const { primitives, queues, counters, log } = this.#options;
    const mail = await mails.load(messageId);
    if (mail === null) return;
    const verified = verifyEnvelope(primitives, mail.envelope);
    if (!verified.ok) {
      // Ours, and unsealed: only a bug makes it unreadable. It stays for a repaired version.
      throw new PanoramixError('unexpected', `stored mail: ${verified.reason}`);
    }
    const { envelope } = verified;
    const fragments = fragmentMail(envelope, mail.envelope, mail.data, geometry);
    const queue = await queues.queue(envelope.exit, 'first');
    const { exit, from: sender } = envelope;
    const about = { exit, sender, messageId, fragments: fragments.length };
    let places: readonly number[] = [];
    // Before the first of them can be acked.
    const allIds = fragments.map((fragment) => this.#idOf(exit, fragment));
    this.backlog.cut(messageId, sender, fragments.length * geometry.messageBytes, allIds);
    for (let from = 0; from < fragments.length; from += GROUP) {
      const group = fragments.slice(from, from + GROUP);
      const ids = allIds.slice(from, from + GROUP);
      for (const [i, fragment] of group.entries()) {
        await this.#options.records.put({
          recordId: ids[i] as string,
          endpointId: OWNER + envelope.exit,
          next: NOWHERE,
          dueMs: 0,
          packet: encodeFragment(fragment, geometry),
        });
      }
      // Not sooner: where the queue becomes empty meanwhile, those who come then begin at its first places.
      if (from === 0) places = this.#places.take(about, await queue.firstPlace());
      await queue.addMany(ids.map((id, i) => ({ id, place: places[from + i] as number })));
    }
    await mails.remove(messageId);
    counters.count('mail-prepared');
    log.info(
      { event: 'mail-prepared', messageId, packets: fragments.length },
      'Mail is on its way',
    );
    this.onQueued(envelope.exit);
  }

  /**
   * The next fragment for an exit that may be sent now; null where none is. What is acked, has expired
   * or stands in the wrong queue after a crash is put right on the way.
   */
  async take(exit: string, kind: SendKind, geometry: Geometry): Promise<TakenFragment | null> {
    const taker = await this.#options.queues.taker(exit, kind);
    for (;;) {
      const job = await taker.take();
      if (job === null) return null;
      const taken = await this.#look(job, exit, kind, geometry);
      if (taken === null) {
        await this.discard(job);
        continue;
      }
      const { sends, fragment } = taken;
      const decision = decideSend(sends, this.#options.now(), fragment.expiryMs);
      if (decision.kind === 'expired') {
        await this.expire(taken);
      } else if (decision.kind === 'wait' || (kind === 'first' && sends.count > 0)) {
        await this.putOff(taken, decision.kind === 'wait' ? decision.untilMs : sends.againAtMs);
      } else {
        this.#exits.set(job.id, exit);
        return taken;
      }
    }
  }

  /** It was sent, or is not to be sent yet: it waits for its ack, and from a time on for a tick. */
  async putOff({ id, exit, kind, job }: TakenFragment, untilMs: number): Promise<void> {
    if (kind === 'resend') {
      await job.again(untilMs);
      return;
    }
    try {
      // Next first: a crash in between leaves it in both queues, where its history says what to do.
      const queue = await this.#options.queues.queue(exit, 'resend');
      await queue.add(id, untilMs);
    } catch (thrown) {
      await job.giveBack().catch(() => undefined);
      throw thrown;
    }
    await job.settle();
  }

  /** Gives a fragment up whose exit may have forgotten its message by now. */
  async expire({ job, fragment }: Pick<TakenFragment, 'job' | 'fragment'>): Promise<void> {
    try {
      await this.#options.onExpired(toHex(fragment.messageId));
    } catch (thrown) {
      // Where Redis fails, the job does not stay with us, taken and forgotten.
      await job.giveBack().catch(() => undefined);
      throw thrown;
    }
    await this.discard(job);
    this.#sayExpired(fragment);
  }

  /** Lets go of a fragment that is acked or has expired, and of its job. */
  async discard(job: TakenJob): Promise<void> {
    const { records, sent } = this.#options;
    this.#exits.delete(job.id);
    this.backlog.gone(job.id);
    await records.remove(job.id);
    await sent.removeSends(job.id);
    await job.settle();
  }

  /** Takes an acked fragment's jobs out; one that is missed does nothing, since its record is gone. */
  async settle(id: string): Promise<void> {
    this.backlog.gone(id);
    const exit = this.#exits.get(id);
    this.#exits.delete(id);
    if (exit === undefined) return;
    for (const kind of ['first', 'resend'] as const) {
      await (await this.#options.queues.queue(exit, kind)).remove(id);
    }
  }

  /**
   * Gives each fragment that waits its job again: at start, in case a crash came between the two. No tick
   * takes from the queues of an exit that has left the mixnet: what has expired there ends here.
   * @param left whether an exit has left, and how its fragments are read; null before the first directory
   */
  async resume(
    left: { readonly has: (exit: string) => boolean; readonly geometry: Geometry } | null,
  ): Promise<void> {
    const { records, queues } = this.#options;
    const places = new Map<string, number>();
    for await (const { recordId, endpointId } of records.pending()) {
      if (!isOutbound(endpointId)) continue;
      const exit = endpointId.slice(OWNER.length);
      if (left?.has(exit) === true && (await this.#hasEnded(recordId, exit, left.geometry)))
        continue;
      const { count, againAtMs } = await this.#sends(recordId);
      if (count === 0) await this.#repair(recordId, exit, places);
      else await (await queues.queue(exit, 'resend')).add(recordId, againAtMs);
    }
  }

  /** Gives a fragment its job, if it has none, one place behind the last that was repaired for its exit. */
  async #repair(id: string, exit: string, places: Map<string, number>): Promise<void> {
    const queue = await this.#options.queues.queue(exit, 'first');
    if (await queue.has(id)) return;
    const place = Math.min((places.get(exit) ?? (await queue.firstPlace()) ?? 0) + 1, PLACE_MAX);
    places.set(exit, place);
    await queue.addMany([{ id, place }]);
  }

  /** Ends a fragment that has expired, without its turn; whether it had. */
  async #hasEnded(id: string, exit: string, geometry: Geometry): Promise<boolean> {
    const { records, sent, queues, now } = this.#options;
    const record = await records.load(id);
    const fragment = record && decodeFragment(record.packet, geometry);
    if (fragment === null || fragment.expiryMs > now()) return false;
    await this.#options.onExpired(toHex(fragment.messageId));
    await records.remove(id);
    await sent.removeSends(id);
    for (const kind of ['first', 'resend'] as const) {
      await (await queues.queue(exit, kind)).remove(id);
    }
    this.#exits.delete(id);
    this.backlog.gone(id);
    this.#sayExpired(fragment);
    return true;
  }

  #sayExpired({ messageId }: Fragment): void {
    const { counters, log } = this.#options;
    counters.count('fragment-expired');
    const mail = toHex(messageId);
    if (this.#said.has(mail)) return;
    if (this.#said.size >= SAID_MAX) this.#said.clear();
    this.#said.add(mail);
    const fields = { event: 'mail-expired', messageId: mail };
    log.warn(fields, 'Mail expired before its exit had acked all of it');
  }

  /** What a job leads to; null where its fragment is gone. */
  async #look(
    job: TakenJob,
    exit: string,
    kind: SendKind,
    geometry: Geometry,
  ): Promise<TakenFragment | null> {
    try {
      const record = await this.#options.records.load(job.id);
      const fragment = record && decodeFragment(record.packet, geometry);
      if (fragment === null) return null;
      return { id: job.id, exit, kind, fragment, sends: await this.#sends(job.id), job };
    } catch (thrown) {
      // Where Redis fails, the job does not stay with us, taken and forgotten.
      await job.giveBack().catch(() => undefined);
      throw thrown;
    }
  }

  async #sends(id: string): Promise<Sends> {
    const bytes = await this.#options.sent.sends(id);
    return (bytes && decodeSends(bytes)) ?? NEVER_SENT;
  }

  /** The records of a mail's fragments, in order; those that its exit has acked are gone. */
  fragmentIds(exit: string, messageId: string, total: number): string[] {
    const id = fromHex(messageId) as Uint8Array;
    return Array.from({ length: total }, (_, index) => this.#idOf(exit, { messageId: id, index }));
  }

  #idOf(exit: string, { messageId, index }: Pick<Fragment, 'messageId' | 'index'>): string {
    const name = concat(messageId, writeUint(index, 4));
    return this.#options.records.recordId(OWNER + exit, name);
  }
}

/** Whether a record holds a fragment that waits for a tick, rather than a packet to pass on. */
export function isOutbound(endpointId: string): boolean {
  return endpointId.startsWith(OWNER);
}
