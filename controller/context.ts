/**
 * What every part of the controller is given: storage, primitives, clock, log, and who the nodes are.
 */
import type { Redis } from 'ioredis';
import type { Primitives } from '../src/crypto/primitives.ts';
import { type ErrorCode, PanoramixError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import type { Documents } from './documents.ts';
import type { Limits, Throttle } from './limits.ts';
import type { StrangersRoom } from './strangers.ts';

/** The part of `src/redis` that the controller uses. */
export interface ControllerStore {
  readonly redis: Redis;
  /** Hash tag and first part of every key. */
  readonly prefix: string;
  /** From `entry-closed` on no message is taken, from `settle-only` on nothing new at all. */
  pressure(): 'open' | 'entry-closed' | 'settle-only';
}

/** Peers that are nodes of the directory, as the program has verified it. */
export interface KnownNodes {
  has(peerId: string): boolean;
  /** Whether they are the nodes of this mixnet: of no other is a directory mirrored. Without it, of none. */
  isMixnet?(mixnetId: string): boolean;
}

/** What `createController` is given. */
export interface ControllerOptions {
  readonly store: ControllerStore;
  readonly primitives: Primitives;
  /** Under which peers reach this controller; part of every signature. */
  readonly catalogUrl: string;
  readonly log: Log;
  /** Clock, ms since 1970. */
  readonly now?: () => number;
  /** A clock that nobody sets, ms since whenever. */
  readonly elapsed?: () => number;
  /** Nodes may post to every endpoint. Without it nobody is a node. */
  readonly nodes?: KnownNodes;
  /** How fast it may be asked; else `LIMITS`. */
  readonly limits?: Limits;
  /** What wizards that create a mixnet here are to propose; shown by /health. */
  readonly proposal?: object;
}

/** What the resources share. */
export interface ControllerContext {
  readonly documents: Documents;
  readonly store: ControllerStore;
  readonly primitives: Primitives;
  readonly catalogUrl: string;
  readonly log: Log;
  readonly now: () => number;
  readonly elapsed: () => number;
  readonly nodes: KnownNodes;
  readonly strangers: StrangersRoom;
  readonly throttle: Throttle;
  readonly proposal: object | null;
}

/** A rule's answer: what shall be, or the reason why not. */
export type Ruled<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: ErrorCode };

/** What shall be. */
export function allow<T>(value: T): Ruled<T> {
  return { ok: true, value };
}

/** Why not. */
export function refuse<T>(reason: ErrorCode): Ruled<T> {
  return { ok: false, reason };
}

/** A rule's value; its reason becomes the answer to the request. */
export function ruled<T>(answer: Ruled<T>): T {
  if (answer.ok) return answer.value;
  throw new PanoramixError(answer.reason, 'refused by rule');
}
