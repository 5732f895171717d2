/**
 * At which place the fragments of a mail wait for the ticks of their exit, so that no mail waits behind a
 * large one: each sender's mails take turns with those of others, and with each other. It is fair
 * queueing in whole numbers (Demers, Keshav, Shenker 1989), with the front of the queue as its clock.
 */
import { senderOf } from '../mail/limits.ts';
import { PLACE_MAX } from '../redis/queues.ts';

/** A mail that is to be queued. */
export interface QueuedMail {
  readonly exit: string;
  /** MAIL FROM. */
  readonly sender: string;
  readonly messageId: string;
  readonly fragments: number;
}

/** The last places of a sender's mails that wait for one exit, by message id. */
type Waiting = Map<string, number>;

/**
 * Who waits where. In memory: after a restart the places of what waits stand in its queue still, but
 * not whose they are, so that a sender of many mails is once more taken for a sender of none.
 */
export class FairPlaces {
  readonly #exits = new Map<string, Map<string, Waiting>>();

  /**
   * Places of a mail's fragments, in order: as long as n - 1 mails of its sender wait beside it, each nth
   * place behind the front. A sender of many small mails, or of some large ones, so gets one place in a row
   * of all senders, or little more; and leaves none free, which would use up all that there are within
   * hours. Behind the front, not at it: who keeps coming would else keep it where it is.
   * @param front the lowest place that waits for this exit now; null where nothing does
   */
  take(mail: QueuedMail, front: number | null): readonly number[] {
    const { exit, messageId, fragments } = mail;
    const from = front ?? 0;
    const waiting = this.#waiting(exit, senderOf(mail.sender), front);
    // The same mail again, after Redis was away: it does not wait behind itself.
    waiting.delete(messageId);
    const lasts = [...waiting.values()].toSorted((a, b) => a - b);
    const places: number[] = [];
    let place = from;
    let ended = 0;
    while (places.length < fragments) {
      while ((lasts[ended] ?? place) < place) ended++;
      place = Math.min(place + lasts.length - ended + 1, PLACE_MAX);
      places.push(place);
    }
    waiting.set(messageId, places.at(-1) ?? from);
    return places;
  }

  /** A sender's mails of which anything can wait still: their last place is not before the front. */
  #waiting(exit: string, sender: string, front: number | null): Waiting {
    const senders = this.#exits.get(exit) ?? new Map<string, Waiting>();
    this.#exits.set(exit, senders);
    for (const [other, waiting] of senders) {
      for (const [messageId, last] of waiting) {
        if (front === null || last < front) waiting.delete(messageId);
      }
      if (waiting.size === 0) senders.delete(other);
    }
    const own = senders.get(sender) ?? new Map<string, number>();
    senders.set(sender, own);
    return own;
  }
}
