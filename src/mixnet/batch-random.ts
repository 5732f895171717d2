/**
 * Randomness of one batch cycle, drawn from a link's order key: the same cycle gives the same bytes. So a
 * mix that was killed half-way posts, after its restart, the same messages in the same order under the
 * same serials, and nothing that could link input to output is ever written down.
 */
import { concat, fromUtf8, writeUint } from '../bytes.ts';
import { LABELS, type Primitives, type Random } from '../crypto/primitives.ts';

/** What a stream serves for; each has a label of its own. */
export type BatchPurpose = 'batchOrder' | 'batchSerial' | 'batchDummy';

const COUNTER_BYTES = 6;

/**
 * An endless stream: HMAC-SHA-256(key, label ‖ SHA-256(context) ‖ counter), block after block. Without the
 * key nobody tells it from chance; label and hash have fixed lengths, so that no two streams run together.
 * @param key 32 bytes, the order key of a link
 * @param context what the stream is for, such as cycle and batch
 */
export function batchRandom(
  primitives: Primitives,
  key: Uint8Array,
  purpose: BatchPurpose,
  context: string,
): Random {
  const prefix = concat(fromUtf8(LABELS[purpose]), primitives.sha256(fromUtf8(context)));
  let counter = 0;
  let rest: Uint8Array = new Uint8Array(0);
  return (byteLength) => {
    const blocks = [rest];
    let bytes = rest.length;
    while (bytes < byteLength) {
      const block = primitives.hmacSha256(key, prefix, writeUint(counter++, COUNTER_BYTES));
      blocks.push(block);
      bytes += block.length;
    }
    const drawn = concat(...blocks);
    rest = drawn.slice(byteLength);
    return drawn.slice(0, byteLength);
  };
}
