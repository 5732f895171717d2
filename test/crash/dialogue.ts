/** A connection as a proxy reads it: requests and replies in their order, each taken from bytes that come in pieces. */
import type { Frame } from './step.ts';

/** What a client has sent: one request, or a piece of something long that belongs to the request after it. */
export interface Request {
  readonly bytes: Buffer;
  /** Null for a piece: it passes at once. */
  readonly frame: Frame | null;
}

export interface Reply {
  readonly bytes: Buffer;
  /** Which request it answers, counted from 0; null for a greeting, or what comes beside a reply. */
  readonly answers: number | null;
}

/** One connection of one protocol. Both throw for what is none of it. */
export interface Dialogue {
  requests(chunk: Buffer): Request[];
  replies(chunk: Buffer): Reply[];
}
