/**
 * The part of a mail that passes: handed back to Postfix on 10036, each recipient once, also when the
 * client comes again because it never saw our answer, or saw 451 for another recipient's sake.
 */
import { asPanoramixError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import type { Reply } from '../src/mail/envelope.ts';
import type { MailIds } from './mail-ids.ts';
import type { OutgoingMail, OutgoingRecipient } from './smtp-client.ts';
import type { RecipientResult, Submitter } from './submit.ts';

/** Remembers what has been re-injected, for 14 days, across restarts. */
export interface PassedStore {
  has(id: string): Promise<boolean>;
  add(id: string): Promise<void>;
}

export interface ReinjectorOptions {
  readonly submitter: Pick<Submitter, 'send'>;
  readonly passed: PassedStore;
  readonly log: Log;
}

/** Enhanced status codes of refusals that Postfix would give without us too: address and size. */
const REFUSED_BY_RIGHT = /^5\.(?:1\.\d+|3\.4)\b/;

export class Reinjector {
  readonly #options: ReinjectorOptions;
  /** By passed id: sent, and no answer yet. A retry waits for it here instead of sending again. */
  readonly #underWay = new Map<string, Promise<RecipientResult>>();

  constructor(options: ReinjectorOptions) {
    this.#options = options;
  }

  /**
   * Re-injects the mail for those of its recipients that have not had it; the reply to each address.
   * Goes on when its caller has stopped waiting, and remembers what came of it.
   */
  async pass(mail: OutgoingMail, ids: MailIds): Promise<ReadonlyMap<string, Reply>> {
    const replies = new Map<string, Reply>();
    const unsent = new Map<string, OutgoingRecipient>();
    const awaited = new Map<string, Promise<RecipientResult>>();
    for (const recipient of mail.recipients) {
      const id = ids.passedId(recipient.address);
      const earlier = id === null ? undefined : this.#underWay.get(id);
      if (earlier) awaited.set(recipient.address, earlier);
      else if (id !== null && (await this.#options.passed.has(id))) {
        replies.set(recipient.address, { code: 250, text: '2.6.0 passed before' });
      } else unsent.set(recipient.address, recipient);
    }
    for (const [address, result] of this.#send(
      { ...mail, recipients: [...unsent.values()] },
      ids,
    )) {
      awaited.set(address, result);
    }
    for (const [address, result] of awaited) replies.set(address, replyFor(await result));
    return replies;
  }

  /** One transaction; a promise for each recipient, kept in `#underWay` until it is remembered. */
  #send(mail: OutgoingMail, ids: MailIds): ReadonlyMap<string, Promise<RecipientResult>> {
    const sent = new Map<string, Promise<RecipientResult>>();
    if (mail.recipients.length === 0) return sent;
    const all = this.#options.submitter.send(mail);
    for (const [i, { address }] of mail.recipients.entries()) {
      const id = ids.passedId(address);
      const result = this.#remember(id, all, i);
      sent.set(address, result);
      if (id !== null) this.#underWay.set(id, result);
      const forget = (): boolean => id !== null && this.#underWay.delete(id);
      // Handles a rejection too, for one whose caller has failed by another recipient's.
      result.then(forget, forget);
    }
    return sent;
  }

  async #remember(
    id: string | null,
    all: Promise<readonly RecipientResult[]>,
    index: number,
  ): Promise<RecipientResult> {
    const result = (await all)[index] as RecipientResult;
    if (result.outcome !== 'accepted' || id === null) return result;
    try {
      await this.#options.passed.add(id);
    } catch (error) {
      // The next server has it, so 250 is true; only a client that comes again would double it.
      this.#options.log.warn(
        { reason: asPanoramixError(error).code },
        're-injected mail could not be remembered',
      );
    }
    return result;
  }
}

/** What the client hears of a re-injection: 5xx only where the fault is the mail's, not our wiring's. */
function replyFor({ outcome, reply }: RecipientResult): Reply {
  if (outcome === 'accepted') return { code: 250, text: `2.6.0 passed: ${reply.text}` };
  if (outcome === 'refused' && REFUSED_BY_RIGHT.test(reply.text)) return reply;
  return { code: 451, text: `4.3.0 re-injection got ${reply.code} ${reply.text}` };
}
