/** What the stores of messages share: how long an answer gets, and how long a repeat is known. */
import type { MessageData } from '../../src/api/message.ts';

/**
 * Messages that are gone and whose repeat is still recognised. At 100 messages/s these are 5 minutes, in
 * which a poster without an answer tries again; 130 bytes each, so 4 MB per busy endpoint. What is
 * repeated later meets the owner's replay tags.
 */
export const REMEMBERED = 32_768;
/** Bytes of an answer, about: a page of large messages is cut short, never empty. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

/** Messages for one answer. */
export class MessagePage {
  readonly messages: MessageData[] = [];
  readonly #limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a message; false where there is no more room, for this one or for any after it. */
  add(message: MessageData): boolean {
    this.#bytes += message.text.length;
    if (this.#bytes > PAGE_BYTES_MAX && this.messages.length > 0) return false;
    this.messages.push(message);
    return this.messages.length < this.#limit;
  }
}
