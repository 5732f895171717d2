/**
 * How much of each sender's mail waits here until its exit has it. Storage is shared by all: who sends more
 * than leaves would fill it, and then everybody's mail would have to wait. So nobody may have more
 * waiting than there is room left for others (Choudhury and Hahne 1998): whoever fills it leaves
 * half, two of them leave a third, and so on.
 */
import { senderOf } from '../mail/limits.ts';

/** One fragment, or a mail that is not cut yet. */
interface Waiting {
  readonly sender: string;
  readonly bytes: number;
}

/**
 * In memory, and of what was taken in since the start: a sender whose mail waited before it begins anew. Of each
 * fragment its id and a number are kept, of a storage full of them some MB.
 */
export class Backlog {
  readonly #waiting = new Map<string, Waiting>();
  readonly #senders = new Map<string, number>();

  /**
   * Whether a sender has to wait with one more mail. Who has nothing waiting has not, however large it is.
   * @param roomBytes what may still be taken in; null where that has no limit
   */
  isOver(sender: string, bytes: number, roomBytes: number | null): boolean {
    const waiting = this.of(sender);
    return roomBytes !== null && waiting > 0 && waiting + bytes > roomBytes;
  }

  /** Bytes of a sender's that wait. */
  of(sender: string): number {
    return this.#senders.get(senderOf(sender)) ?? 0;
  }

  /** A mail was taken in. */
  add(messageId: string, sender: string, bytes: number): void {
    this.gone(messageId);
    const name = senderOf(sender);
    this.#waiting.set(messageId, { sender: name, bytes });
    this.#senders.set(name, (this.#senders.get(name) ?? 0) + bytes);
  }

  /** It was cut into these fragments, which wait in its stead. */
  cut(messageId: string, sender: string, bytes: number, fragmentIds: readonly string[]): void {
    this.gone(messageId);
    for (const id of fragmentIds) this.add(id, sender, bytes / fragmentIds.length);
  }

  /** A fragment waits no longer; nothing happens where it is not known. */
  gone(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    const { sender, bytes } = waiting;
    const left = (this.#senders.get(sender) ?? 0) - bytes;
    // Sums of fractions: less than a byte is nothing.
    if (left < 1) this.#senders.delete(sender);
    else this.#senders.set(sender, left);
  }
}
