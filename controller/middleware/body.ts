/**
 * Reads a request's body up to a limit. How long it may take is the server's `requestTimeout`.
 */
import type { IncomingMessage } from 'node:http';
import { PanoramixError } from '../../src/errors.ts';

/** A contribution's text of 512 kB, escaped as a JSON string, and what is around it. */
export const BODY_BYTES_MAX = 2 * 1024 * 1024;

/** A message and what is around it; what says to be longer, or does not say, waits in the other lane. */
const SHORT_BYTES_MAX = 136 * 1024;
/**
 * Bytes of bodies that are arriving, of all connections: those as long as a message (5000 packets), and
 * longer ones. Else a thousand slow senders could fill the memory of the process.
 */
const ARRIVING_MAX = { short: 256 * 1024 * 1024, long: 128 * 1024 * 1024 };
const arriving = { short: 0, long: 0 };

/** The whole body; throws `requests-too-many`, `body-too-large`, or `request-malformed` where it does not come to its end. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) throw new PanoramixError('body-too-large', 'announced too much');
  const parts: Buffer[] = [];
  const lane = announced > 0 && announced <= SHORT_BYTES_MAX ? 'short' : 'long';
  let total = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      total += part.length;
      arriving[lane] += part.length;
      if (total > bytesMax) break;
      if (arriving[lane] > ARRIVING_MAX[lane]) {
        throw new PanoramixError('requests-too-many', `${lane} bodies at once`);
      }
      parts.push(part);
    }
  } catch (error) {
    if (error instanceof PanoramixError) throw error;
    throw new PanoramixError('request-malformed', 'the body broke off', error);
  } finally {
    arriving[lane] -= total;
  }
  if (total > bytesMax) throw new PanoramixError('body-too-large', 'sent too much');
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, total);
}
