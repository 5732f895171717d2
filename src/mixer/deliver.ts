/**
 * Delivering: the [delivery] worker of an exit. A complete message, after its exit delay, is checked
 * and given to the mail server, recipient by recipient until each has an end: accepted, refused, or
 * expired. Nothing is given twice, nothing ends silently.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Primitives } from '../crypto/primitives.ts';
import { asPanoramixError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ArrivedMail, Deliver, DeliveryResult } from '../mail/envelope.ts';
import { assembleMail, type Assembled } from '../mixnet/assemble.ts';
import type { Envelope, Recipient } from '../mixnet/envelope.ts';
import { join } from '../mixnet/fragment.ts';
import { splitMail } from '../mixnet/prepare.ts';
import type { FragmentStore } from '../redis/fragment-store.ts';
import { backoffMs } from '../redis/jobs.ts';
import type { RunningJob } from '../redis/queues.ts';
import type { Bounces } from './bounces.ts';
import type { Counters } from './counters.ts';
import type { DeliveryProgress, RecipientOutcome } from './delivery-progress.ts';
import type { DirectorySource } from './directory-source.ts';
import type { DeliveryDelay, Failures } from './failures.ts';

/** How long, and how often, a worker tries to note what the mail server has said; then its job does, when it comes again. */
const SAVE_MS_MAX = 10_000;
const SAVE_AGAIN_MS = 100;

export interface DelivererOptions {
  readonly primitives: Primitives;
  /** Own peer id. */
  readonly me: string;
  readonly fragments: FragmentStore;
  readonly progress: DeliveryProgress;
  readonly directory: DirectorySource;
  readonly deliver: Deliver;
  /** Tells senders of what failed. */
  readonly failures: Pick<Failures, 'failed' | 'delayed' | 'isTold' | 'told' | 'isOwnReport'>;
  /** Remembers what may bounce. */
  readonly bounces: Pick<Bounces, 'remember'>;
  /** A sender is told after so long that a mail waits here; 0: never. */
  readonly delayWarningMs: number;
  /** The operator's wider policy: domains besides those of the directory. */
  readonly acceptsDomain: (domain: string) => boolean;
  readonly counters: Counters;
  readonly log: Log;
  readonly now: () => number;
  /** How long a worker waits for Redis with what the mail server has said, ms; default 10 s. */
  readonly saveMsMax?: number;
}

type Again = { readonly againAtMs: number };

export class Deliverer {
  readonly #options: DelivererOptions;
  /** How often each message has been tried since start. */
  readonly #attempts = new Map<string, number>();
  /** Under way: while Redis is away locks lapse, and a job comes again before its first run has ended. */
  readonly #underWay = new Set<string>();
  /** What the mail server has said and Redis could not take yet: asked again, it would deliver twice. */
  readonly #unsaved = new Map<string, ReadonlyMap<number, RecipientOutcome>>();

  constructor(options: DelivererOptions) {
    this.#options = options;
  }

  /** Works on one [delivery] job, whose id the fragment store gave. */
  async work({ id }: RunningJob): Promise<Again | void> {
    if (this.#underWay.has(id)) return this.#again(id, 'delivery-under-way');
    this.#underWay.add(id);
    try {
      return await this.#deliver(id);
    } finally {
      this.#underWay.delete(id);
    }
  }

  async #deliver(id: string): Promise<Again | void> {
    const { fragments, directory } = this.#options;
    if (await fragments.isDelivered(id)) return undefined;
    const parts = await fragments.load(id);
    if (parts === null) return undefined;
    const held = directory.current();
    if (!held.ok) return this.#again(id, held.reason);
    const { primitives, me, acceptsDomain, now } = this.#options;
    const view = { primitives, me, acceptsDomain, nowMs: now(), directory: held.directory };
    const mail = assembleMail(view, (messageId) => fragments.idOf(messageId) === id, parts);
    if (mail.kind === 'mail') return await this.#give(id, mail);
    if (mail.temporary) return this.#again(id, mail.reason, mail.envelope);
    const data = splitMail(join(parts))?.data ?? null;
    return await this.#refuse(id, mail.reason, mail.envelope, data);
  }

  /** Gives the mail to those of our recipients that have no end yet. */
  async #give(id: string, mail: Extract<Assembled, { kind: 'mail' }>): Promise<Again | void> {
    const { deliver, failures, bounces, fragments, counters } = this.#options;
    const { envelope, ours } = mail;
    const before = await this.#outcomes(id);
    if (before.size === 0 && (await failures.isTold(envelope))) {
      counters.count('report-repeated');
      return await fragments.markDelivered(id);
    }
    const own = new Set(ours);
    const open = envelope.recipients.flatMap((recipient, place) =>
      before.has(place) || !own.has(recipient) ? [] : [{ recipient, place }],
    );
    const outcomes = new Map<number, RecipientOutcome>();
    let replies: ReadonlyMap<string, string> = new Map();
    if (open.length > 0) {
      await bounces.remember(envelope, mail.data);
      const recipients = open.map(({ recipient }) => recipient);
      const isOwnReport = await failures.isOwnReport(envelope, mail.data);
      const result = await deliver(arrivedMail(envelope, recipients, mail.data, isOwnReport));
      replies = new Map(result.refused.map(({ address, reply }) => [address, reply]));
      const said = outcomesOf(result);
      for (const { recipient, place } of open) {
        const outcome = said.get(recipient.address);
        if (outcome !== undefined) outcomes.set(place, outcome);
      }
      await this.#save(id, outcomes);
    }
    if (before.size + outcomes.size < envelope.recipients.length) {
      const reason = mail.foreign.length > 0 ? 'recipients-foreign' : 'delivery-deferred';
      const delays = envelope.recipients.flatMap(({ address }, place) =>
        before.has(place) || outcomes.has(place)
          ? []
          : [{ address, reply: replies.get(address) ?? '' }],
      );
      const warnAtMs = await this.#warnIfLate(id, envelope, mail.data, delays);
      const again = this.#again(id, reason, envelope);
      return { againAtMs: Math.min(again.againAtMs, warnAtMs ?? again.againAtMs) };
    }
    return await this.#finish(id, envelope, mail.data, new Map([...before, ...outcomes]));
  }

  /** Tells the sender once that his mail waits here; when that will be, or null where it was. */
  async #warnIfLate(
    id: string,
    envelope: Envelope,
    data: Uint8Array,
    delays: readonly DeliveryDelay[],
  ): Promise<number | null> {
    const { progress, failures, delayWarningMs, counters, now } = this.#options;
    if (delayWarningMs === 0) return null;
    const { sinceMs, isWarned } = await progress.waiting(id, now());
    if (isWarned) return null;
    const warnAtMs = sinceMs + delayWarningMs;
    if (now() < warnAtMs) return warnAtMs;
    counters.count('delivery-late');
    await failures.delayed(envelope, data, delays);
    await progress.warned(id);
    return null;
  }

  /** Outcomes so far, after those that could not be saved when they came. */
  async #outcomes(id: string): Promise<ReadonlyMap<number, RecipientOutcome>> {
    const unsaved = this.#unsaved.get(id);
    if (unsaved !== undefined) await this.#save(id, unsaved);
    return await this.#options.progress.load(id);
  }

  /** As soon as Redis takes it: until then nobody but this process knows, and its end would deliver twice. */
  async #save(id: string, outcomes: ReadonlyMap<number, RecipientOutcome>): Promise<void> {
    const { progress, saveMsMax = SAVE_MS_MAX } = this.#options;
    this.#unsaved.set(id, outcomes);
    for (const endMs = performance.now() + saveMsMax; ;) {
      try {
        await progress.save(id, outcomes);
        break;
      } catch (thrown) {
        const { code } = asPanoramixError(thrown);
        if (code !== 'redis-unavailable' || performance.now() >= endMs) throw thrown;
        await sleep(SAVE_AGAIN_MS);
      }
    }
    this.#unsaved.delete(id);
  }

  /** Ends a mail that this exit will never take: all who have no end yet have failed. */
  async #refuse(
    id: string,
    reason: string,
    envelope: Envelope | null,
    data: Uint8Array | null,
  ): Promise<void> {
    this.#options.counters.count(reason);
    const outcomes = new Map(await this.#outcomes(id));
    for (const place of envelope?.recipients.keys() ?? []) {
      if (!outcomes.has(place)) outcomes.set(place, { outcome: 'failed', reason, reply: '' });
    }
    await this.#finish(id, envelope, data, outcomes, reason);
  }

  async #finish(
    id: string,
    envelope: Envelope | null,
    data: Uint8Array | null,
    outcomes: ReadonlyMap<number, RecipientOutcome>,
    refusal?: string,
  ): Promise<void> {
    const { progress, fragments, counters, log } = this.#options;
    const failures = [...outcomes].flatMap(([place, outcome]) => {
      const address = envelope?.recipients[place]?.address;
      if (outcome.outcome === 'accepted' || address === undefined) return [];
      return [{ address, reason: outcome.reason, reply: outcome.reply }];
    });
    const accepted = outcomes.size - failures.length;
    // First what is told, then what led to it: after a crash in between it is told once more, as the same.
    if (envelope !== null && failures.length > 0) {
      await this.#options.failures.failed(envelope, data, failures);
    }
    if (envelope !== null && accepted > 0) await this.#options.failures.told(envelope);
    await fragments.markDelivered(id);
    await progress.remove(id);
    this.#attempts.delete(id);
    if (accepted > 0) counters.count('delivered');
    if (failures.length > 0) counters.count('recipient-failed', failures.length);
    const fields = {
      event: 'mail-finished',
      ...(envelope && { messageId: envelope.messageId, bytes: envelope.bytes }),
      accepted,
      failed: failures.length,
      ...(refusal !== undefined && { reason: refusal }),
    };
    if (failures.length > 0 || refusal !== undefined) {
      log.warn(fields, 'An arrived mail did not reach everybody');
    } else log.info(fields, 'An arrived mail reached its recipients');
  }

  /** Once more after a pause; at its expiry at the latest, so that the sender hears of it then. */
  #again(id: string, reason: string, envelope: Envelope | null = null): Again {
    const { counters, log, now } = this.#options;
    const attempt = (this.#attempts.get(id) ?? 0) + 1;
    this.#attempts.set(id, attempt);
    counters.count('delivery-deferred');
    log.info({ event: 'delivery-deferred', reason, attempt }, 'An arrived mail waits');
    const againAtMs = now() + backoffMs('delivery', attempt);
    return { againAtMs: Math.min(againAtMs, envelope?.expiryMs ?? againAtMs) };
  }
}

function arrivedMail(
  envelope: Envelope,
  recipients: readonly Recipient[],
  data: Uint8Array,
  isOwnReport: boolean,
): ArrivedMail {
  const { messageId, from, body, smtputf8, ret, sha256 } = envelope;
  return {
    messageId,
    from,
    recipients,
    body,
    smtputf8,
    ...(ret === undefined ? {} : { ret }),
    data,
    sha256,
    ...(isOwnReport ? { isOwnReport } : {}),
  };
}

/** The ends that recipients have found, by address; who is missing is to be tried again. */
function outcomesOf(result: DeliveryResult): ReadonlyMap<string, RecipientOutcome> {
  const outcomes = new Map<string, RecipientOutcome>();
  for (const { address, permanent, reply } of result.refused) {
    if (permanent) outcomes.set(address, { outcome: 'failed', reason: 'refused', reply });
  }
  for (const address of result.accepted) outcomes.set(address, { outcome: 'accepted' });
  return outcomes;
}
