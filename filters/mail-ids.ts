/**
 * Names for a mail that come out the same when Postfix sends it again, so that a 451 and a retry
 * double nothing: keyed hashes of its queue id, its bytes as they came, and its recipients.
 */
import { concat, fromUtf8, toHex, writeUint } from '../src/bytes.ts';
import { LABELS, type Primitives } from '../src/crypto/primitives.ts';

/** 128 bits are enough that no two mails ever meet. */
const ID_BYTES = 16;

/** Hashes under one key of this gateway's, so that nobody else can tell what an id stands for. */
export class MailIds {
  readonly #primitives: Primitives;
  readonly #key: Uint8Array;
  readonly #queueId: string | null;
  readonly #digest: Uint8Array;

  /**
   * @param key 32 bytes, kept as long as ids are remembered
   * @param queueId Postfix's, null where it is not known: then ids are random
   * @param data the canonical mail with all that came with it
   */
  constructor(primitives: Primitives, key: Uint8Array, queueId: string | null, data: Uint8Array) {
    this.#primitives = primitives;
    this.#key = key;
    this.#queueId = queueId;
    this.#digest = primitives.sha256(data);
  }

  /** Id of the part of the mail that goes to one exit: 32 hex digits. */
  messageId(exit: string, addresses: readonly string[]): string {
    if (this.#queueId === null) return toHex(this.#primitives.random(ID_BYTES));
    return this.#hash(LABELS.mailId, [this.#queueId, exit, ...addresses.toSorted()]);
  }

  /** Id of "this mail has been re-injected for this recipient"; null without a queue id. */
  passedId(address: string): string | null {
    if (this.#queueId === null) return null;
    return this.#hash(LABELS.passedId, [this.#queueId, address]);
  }

  #hash(label: string, words: readonly string[]): string {
    const parts = words.flatMap((word) => {
      const bytes = fromUtf8(word);
      return [writeUint(bytes.length, 4), bytes];
    });
    const text = concat(fromUtf8(label), this.#digest, ...parts);
    return toHex(this.#primitives.hmacSha256(this.#key, text).subarray(0, ID_BYTES));
  }
}
