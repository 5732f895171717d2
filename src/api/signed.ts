/**
 * Signed requests (design §7): Ed25519 over the canonical text of a request without
 * `meta.signature`. `meta` binds it to one controller and to five minutes; a repeat inside them is
 * harmless by the rules of each resource, so no nonce has to be remembered.
 */
import { z } from 'zod';
import { fromBase64url, fromHex, fromUtf8, toBase64url, toHex } from '../bytes.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { canonicalText } from './canonical.ts';
import { hex64, timestamp } from './fields.ts';

/** How far the clocks of two who work together may differ, either way (design §7). */
export const CLOCK_SKEW_MS = 5 * 60_000;
/**
 * How far a request's time may be from the controller's: on top of their clocks' difference what a request takes
 * on its way, at most 20 s (controller/app.ts), and what times lose where they are cut to whole seconds.
 */
export const STALE_MS = CLOCK_SKEW_MS + 30_000;
const NONCE_BYTES = 16;

/** What a request does to what; part of what a consensus agrees on. */
export const requestInfo = z.strictObject({
  resource: z.string().max(32),
  operation: z.string().max(32),
  /** Consensus id of the change before this one, where the change stands in a log. */
  on_last_consensus_id: hex64.optional(),
});
export type RequestInfo = z.output<typeof requestInfo>;

/** The decision that a request carries out (D4.2 §6.2). */
export const byConsensus = z.strictObject({
  consensus_id: hex64,
  consensus_type: z.literal('structural'),
  /** Which part, where the agreed text holds lists of `data` and `info`. */
  consensus_part: z.int().min(0).max(255).optional(),
});
export type ByConsensus = z.output<typeof byConsensus>;

// Strict on purpose: a contribution's text has the same outer shape, and its `meta` has other keys.
// So a peer that signs somebody's proposal can never have signed a request.
export const requestMeta = z.strictObject({
  key_data: hex64,
  time: timestamp,
  nonce: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
  catalog_url: z.string().max(1024),
  signature: z.string(),
});
export type RequestMeta = z.output<typeof requestMeta>;

const signedRequest = z.strictObject({
  data: z.unknown(),
  info: requestInfo,
  by_consensus: byConsensus.optional(),
  meta: requestMeta,
});

/** What a caller wants done. */
export interface RequestBody {
  readonly data: unknown;
  readonly info: RequestInfo;
  readonly by_consensus?: ByConsensus;
}

/** A request as it travels. */
export interface SignedRequest extends RequestBody {
  readonly meta: RequestMeta;
}

/** Whose clock and which controller a request is for. */
export interface RequestContext {
  readonly nowMs: number;
  /** Base URL of the controller as `catalogUrlOf` writes it. */
  readonly catalogUrl: string;
}

/** A request whose signature, time and controller are right; `data` is still unknown. */
export interface VerifiedRequest extends RequestBody {
  /** Public key in hex. */
  readonly signer: string;
  /** What was signed: equal for repeats of one request, different otherwise. */
  readonly text: string;
}

/** Why a request is not taken. */
export type RequestReason =
  | 'request-malformed'
  | 'signature-missing'
  | 'signature-invalid'
  | 'request-stale'
  | 'catalog-foreign';

/**
 * The base URL of a controller in one spelling: no `/panoramix`, one slash at the end (D4.2 §5.1).
 * Throws TypeError where the text is no URL.
 */
export function catalogUrlOf(url: string): string {
  const parsed = new URL(url);
  const path = parsed.pathname.replace(/\/+$/, '').replace(/\/panoramix$/, '');
  return `${parsed.origin}${path}/`;
}

/** Signs a request for one controller, now. */
export function signRequest(
  primitives: Primitives,
  identity: Identity,
  body: RequestBody,
  context: RequestContext,
): SignedRequest {
  const meta = {
    key_data: identity.peerId,
    time: new Date(context.nowMs).toISOString(),
    nonce: toBase64url(primitives.random(NONCE_BYTES)),
    catalog_url: context.catalogUrl,
  };
  const text = canonicalText({ ...body, meta });
  const signature = toBase64url(primitives.sign(identity.secret, fromUtf8(text)));
  return { ...body, meta: { ...meta, signature } };
}

/**
 * Checks a request as `parseStrict` read it: the signature first, on what was received, then shape,
 * time and controller.
 */
export function verifyRequest(
  primitives: Primitives,
  received: unknown,
  context: RequestContext,
):
  | { readonly ok: true; readonly request: VerifiedRequest }
  | { readonly ok: false; readonly reason: RequestReason } {
  if (!isRecord(received) || !isRecord(received['meta'])) {
    return { ok: false, reason: 'request-malformed' };
  }
  const { signature, ...meta } = received['meta'];
  if (typeof signature !== 'string' || typeof meta['key_data'] !== 'string') {
    return { ok: false, reason: 'signature-missing' };
  }
  const text = canonicalText({ ...received, meta });
  if (!verifyText(primitives, meta['key_data'], text, signature)) {
    return { ok: false, reason: 'signature-invalid' };
  }
  const parsed = signedRequest.safeParse(received);
  if (!parsed.success) return { ok: false, reason: 'request-malformed' };
  const { data, info, by_consensus, meta: checked } = parsed.data;
  if (Math.abs(context.nowMs - Date.parse(checked.time)) > STALE_MS) {
    return { ok: false, reason: 'request-stale' };
  }
  if (checked.catalog_url !== context.catalogUrl) return { ok: false, reason: 'catalog-foreign' };
  const consensus = by_consensus === undefined ? {} : { by_consensus };
  return { ok: true, request: { data, info, ...consensus, signer: checked.key_data, text } };
}

/** Signs the UTF-8 bytes of a text: base64url. */
export function signText(primitives: Primitives, identity: Identity, text: string): string {
  return toBase64url(primitives.sign(identity.secret, fromUtf8(text)));
}

/** Whether a key (64 hex digits) signed a text; false for whatever is malformed. */
export function verifyText(
  primitives: Primitives,
  keyData: string,
  text: string,
  signature: string,
): boolean {
  const key = fromHex(keyData);
  const bytes = fromBase64url(signature);
  if (key?.length !== 32 || bytes?.length !== 64) return false;
  return primitives.verify(key, fromUtf8(text), bytes);
}

/** SHA-256 of a text's UTF-8 bytes, in hex. */
export function hashText(primitives: Primitives, text: string): string {
  return toHex(primitives.sha256(fromUtf8(text)));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
