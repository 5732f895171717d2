/**
 * Reads DATA: finds the one end there is, CRLF.CRLF, and takes the stuffed dots away (RFC 5321
 * §4.5.2). Replaces smtp-server's reader, which costs a turn of the event loop for each stuffed dot
 * (4.4 MB of dots: 500 ms against 60) and takes dots away after a bare LF too, which is not exact.
 */
/* eslint-disable no-underscore-dangle -- the seams of smtp-server are named so */
import type { SMTPServerDataStream } from 'smtp-server';
import { SMTPStream } from 'smtp-server/lib/smtp-stream';

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/** Where in a line the reader stands; `dot…` are lines of which nothing but a dot has been seen. */
type Place = 'start' | 'middle' | 'cr' | 'dot' | 'dot-cr';

/** smtp-server's command parser with our reader of DATA. */
export class DataParser extends SMTPStream {
  #place: Place = 'start';

  override startDataMode(bytesMax?: number): SMTPServerDataStream {
    this.#place = 'start';
    return super.startDataMode(bytesMax);
  }

  /**
   * smtp-server forgets its callback after calling it; where the call already read the next mail out of
   * the same segment, that forgets the next mail's, and the connection hangs. So: forget, then call.
   */
  override continue(): void {
    const resume = this._continueCallback;
    this._continueCallback = typeof resume !== 'function';
    if (typeof resume === 'function') resume();
  }

  /** The seam: called with each chunk of the socket while in DATA. */
  override _feedDataStream(chunk: Buffer, done: (error?: Error | null) => void): void {
    const stream = this._dataStream as SMTPServerDataStream;
    const content = Buffer.allocUnsafe(chunk.length + 1);
    let length = 0;
    let place = this.#place;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (place === 'start' && byte === DOT) {
        place = 'dot';
        continue;
      }
      if (place === 'dot' && byte === CR) {
        place = 'dot-cr';
        continue;
      }
      if (place === 'dot-cr') {
        if (byte === LF) {
          this._countDataBytes(length);
          this._endDataMode(content.subarray(0, length), chunk.subarray(i + 1), done);
          return;
        }
        // ".<CR>" and then no LF: the dot was stuffing, the CR is content.
        content[length++] = CR;
        place = 'cr';
      }
      content[length++] = byte;
      place = byte === CR ? 'cr' : byte === LF && place === 'cr' ? 'start' : 'middle';
    }
    this.#place = place;
    this._countDataBytes(length);
    if (length === 0 || !stream.writable || stream.write(content.subarray(0, length))) {
      done();
      return;
    }
    const resume = (): void => {
      stream.off('drain', resume);
      stream.off('close', resume);
      done();
    };
    stream.once('drain', resume);
    stream.once('close', resume);
  }
}
