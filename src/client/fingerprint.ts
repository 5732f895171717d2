/**
 * What two people read to each other over the telephone to know that they mean the same key: a controller
 * that shows an owner of its own making cannot make the words agree.
 */
import { fromHex, toHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';

/** 128 bits: nobody finds a second key with the same. */
const FINGERPRINT_DIGITS = 32;
const GROUP_DIGITS = 4;

/** The first 32 hex digits of SHA-256 of the peer id's bytes, in groups of 4. */
export function fingerprintOf(primitives: Primitives, peerId: string): string {
  const key = fromHex(peerId);
  if (!key) throw new RangeError('a peer id is hex');
  const digits = toHex(primitives.sha256(key)).slice(0, FINGERPRINT_DIGITS);
  return (digits.match(new RegExp(`.{${GROUP_DIGITS}}`, 'g')) ?? []).join(' ');
}
