/**
 * Reads a request's body up to a limit. How long it may take is the server's `requestTimeout`.
 */
import type { IncomingMessage } from 'node:http';
import { PanoramixError } from '../../src/errors.ts';

/** A contribution's text of 512 kB, escaped as a JSON string, and what is around it. */
export const BODY_BYTES_MAX = 2 * 1024 * 1024;

/** The whole body; throws `body-too-large`, or `request-malformed` where it does not come to its end. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesMax) throw new PanoramixError('body-too-large', 'announced too much');
  const parts: Buffer[] = [];
  let total = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      total += part.length;
      if (total > bytesMax) break;
      parts.push(part);
    }
  } catch (error) {
    throw new PanoramixError('request-malformed', 'the body broke off', error);
  }
  if (total > bytesMax) throw new PanoramixError('body-too-large', 'sent too much');
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, total);
}
