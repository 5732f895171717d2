/** Bytes that come in pieces and are taken in others: what a reader of a protocol keeps until enough is there. */

const BYTES_MIN = 4 * 1024;

/** Grows by doubling, so that a long value costs no more than its bytes. */
export class ByteQueue {
  #bytes = Buffer.allocUnsafe(BYTES_MIN);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The byte at a place, from 0; undefined beyond the end. */
  at(place: number): number | undefined {
    return place < this.length ? this.#bytes[this.#start + place] : undefined;
  }

  /** Where a text of one-byte characters begins, from a place on; -1 where it is not. */
  indexOf(text: string, from = 0): number {
    const all = this.#bytes.subarray(this.#start, this.#end);
    return all.indexOf(text, from, 'latin1');
  }

  /** As one-byte characters. */
  text(from: number, to: number): string {
    return this.#bytes.toString('latin1', this.#start + from, this.#start + to);
  }

  /** The first bytes, a copy; they are gone from here. */
  take(count: number): Buffer {
    if (count > this.length) throw new RangeError(`no ${count} bytes are there`);
    const taken = Buffer.from(this.#bytes.subarray(this.#start, this.#start + count));
    this.#start += count;
    return taken;
  }

  #makeRoom(more: number): void {
    const { length } = this;
    let size = this.#bytes.length;
    while (size < length + more) size *= 2;
    const target = size === this.#bytes.length ? this.#bytes : Buffer.allocUnsafe(size);
    this.#bytes.copy(target, 0, this.#start, this.#end);
    this.#bytes = target;
    this.#start = 0;
    this.#end = length;
  }
}
