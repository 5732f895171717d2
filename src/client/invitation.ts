/**
 * Invitations to a negotiation: `negotiation|token` (D4.2 §5.1), handed over outside the mixnet. The
 * token itself is never sent: who holds it proves so, bound to his own key, and the inviter proves the
 * same towards the invited, so that a controller can pose as neither.
 */
import {
  concat,
  equalBytes,
  fromBase64url,
  fromHex,
  fromUtf8,
  toBase64url,
  toHex,
} from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';

const TOKEN_BYTES = 32;

/** An invitation, parsed. */
export interface Invitation {
  readonly negotiationId: string;
  /** Base64url of 32 random bytes; serves one invitee. */
  readonly token: string;
}

/** A fresh token. */
export function createToken(primitives: Primitives): string {
  return toBase64url(primitives.random(TOKEN_BYTES));
}

/** What is handed over: `negotiation|token`. */
export function writeInvitation(invitation: Invitation): string {
  return `${invitation.negotiationId}|${invitation.token}`;
}

/** What `writeInvitation` wrote, spaces around it allowed; null for anything else. */
export function readInvitation(text: string): Invitation | null {
  const match = /^([A-Za-z0-9_-]{43})\|([A-Za-z0-9_-]{43})$/.exec(text.trim());
  if (!match) return null;
  const [, negotiationId, token] = match as unknown as [string, string, string];
  return fromBase64url(token)?.length === TOKEN_BYTES ? { negotiationId, token } : null;
}

/** `meta.invitation`: HMAC-SHA-256(token, negotiation id ‖ public key), in hex (design §7). */
export function proveInvitation(
  primitives: Primitives,
  invitation: Invitation,
  peerId: string,
): string {
  const token = fromBase64url(invitation.token);
  const key = fromHex(peerId);
  if (!token || !key) throw new RangeError('neither token nor peer id may be malformed here');
  // The negotiation id has one length, so no two inputs run together to the same bytes.
  return toHex(primitives.hmacSha256(token, concat(fromUtf8(invitation.negotiationId), key)));
}

/** Whether somebody with this key has proved that he holds the token. */
export function holdsInvitation(
  primitives: Primitives,
  invitation: Invitation,
  peerId: string,
  proof: unknown,
): boolean {
  const expected = fromUtf8(proveInvitation(primitives, invitation, peerId));
  return typeof proof === 'string' && equalBytes(fromUtf8(proof), expected);
}
