/**
 * The input that is being run, in memory shared by worker and supervisor: what hangs or dies can no
 * longer say itself which input it was.
 */

const RUN = 0;
const LENGTH = 1;
const HEAD_BYTES = 8;

export class PresentInput {
  readonly buffer: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  /** @param buffer of another `PresentInput`, to look at it from another thread */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#head = new Int32Array(buffer, 0, HEAD_BYTES / 4);
    this.#bytes = new Uint8Array(buffer, HEAD_BYTES);
  }

  static ofLength(bytesMax: number): PresentInput {
    return new PresentInput(new SharedArrayBuffer(HEAD_BYTES + bytesMax));
  }

  /** Says what is run next. */
  set(input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, this.#bytes.length));
    this.#head[LENGTH] = Math.min(input.length, this.#bytes.length);
    Atomics.add(this.#head, RUN, 1);
  }

  /** Counts inputs: stands still while one is run. */
  get run(): number {
    return Atomics.load(this.#head, RUN);
  }

  get(): Uint8Array {
    return this.#bytes.slice(0, this.#head[LENGTH]);
  }
}
