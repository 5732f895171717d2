/**
 * Fields that several resources share, as zod schemas. Each bounds its length: what passes here goes
 * into Redis, into signatures and to other peers.
 */
import { z } from 'zod';

/** SHA-256 or Ed25519 public key: 64 lower-case hex digits. */
export const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

/** Peer id: the public key of a peer without owners, the hash of its founding text otherwise. */
export const peerId = hex64;

/** What `POST /negotiations` gives: 32 random bytes, base64url. */
export const negotiationId = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** Unique per controller (design §7). */
export const endpointId = z.string().regex(/^[a-z0-9_]{1,64}$/);

/** Ed25519 signature, base64url without padding. */
export const signature = z.string().regex(/^[A-Za-z0-9_-]{86}$/);

/** RFC 3339 in UTC, such as `2026-01-31T12:00:00.000Z`. */
export const timestamp = z.iso.datetime().max(32);

/**
 * Names and descriptions that people read, in terminals and logs: no control characters, and none that
 * turn the direction of writing, or a stranger's name could say something else than it is.
 */
export const title = z
  .string()
  .max(256)
  .regex(/^[^\p{Cc}\u2028-\u202e\u2066-\u2069]*$/u);

/** Where a repeated value would say something twice. */
export function isSortedSet(list: readonly string[]): boolean {
  return list.every((item, index) => index === 0 || (list[index - 1] as string) < item);
}
