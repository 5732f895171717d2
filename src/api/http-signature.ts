/**
 * Signed reading: HTTP Message Signatures (RFC 9421) with Ed25519, for requests that have no body to
 * sign. Covered are method, authority, path and query; the authority is that of the catalog URL, so
 * that a signature serves one controller also behind proxies that rewrite Host.
 */
import { fromBase64url, fromHex, fromUtf8, toBase64url } from '../bytes.ts';
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { type RequestContext, STALE_MS } from './signed.ts';

const COVERED = ['@method', '@authority', '@path', '@query'] as const;
const TAG = 'panoramix';
const NONCE_BYTES = 16;
const HEADER_LENGTH_MAX = 1024;

/** The request line that is signed. */
export interface ReadTarget {
  readonly method: string;
  /** As sent, such as `/panoramix/messages`. */
  readonly path: string;
  /** With its question mark; `?` where there is none (RFC 9421 §2.2.7). */
  readonly query: string;
}

/** The two header fields of RFC 9421 §4. */
export interface SignatureFields {
  readonly signatureInput: string;
  readonly signature: string;
}

/** Why signed reading is refused. */
export type ReadReason = 'signature-missing' | 'signature-invalid' | 'request-stale';

/** Signs a request without a body. */
export function signRead(
  primitives: Primitives,
  identity: Identity,
  target: ReadTarget,
  context: RequestContext,
): SignatureFields {
  const components = COVERED.map((name) => `"${name}"`).join(' ');
  const nonce = toBase64url(primitives.random(NONCE_BYTES));
  const parameters =
    `(${components});created=${Math.floor(context.nowMs / 1000)};keyid="${identity.peerId}"` +
    `;alg="ed25519";nonce="${nonce}";tag="${TAG}"`;
  const base = signatureBase(COVERED, target, parameters, context);
  const bytes = primitives.sign(identity.secret, fromUtf8(base));
  return { signatureInput: `sig1=${parameters}`, signature: `sig1=:${toBase64(bytes)}:` };
}

/** Checks the two fields of a request; gives the key that signed. */
export function verifyRead(
  primitives: Primitives,
  target: ReadTarget,
  fields: SignatureFields,
  context: RequestContext,
):
  | { readonly ok: true; readonly signer: string }
  | { readonly ok: false; readonly reason: ReadReason } {
  const input = parseInput(fields.signatureInput);
  if (input === null) return { ok: false, reason: 'signature-missing' };
  const signature = signatureUnder(input.label, fields.signature);
  const key = fromHex(input.keyid);
  if (signature === null || key?.length !== 32) return { ok: false, reason: 'signature-missing' };
  const base = signatureBase(input.covered, target, input.parameters, context);
  if (!primitives.verify(key, fromUtf8(base), signature)) {
    return { ok: false, reason: 'signature-invalid' };
  }
  if (Math.abs(context.nowMs - input.createdMs) > STALE_MS) {
    return { ok: false, reason: 'request-stale' };
  }
  return { ok: true, signer: input.keyid };
}

interface Input {
  readonly label: string;
  readonly covered: readonly string[];
  /** The field's value after the label, exactly as received: it is part of what was signed. */
  readonly parameters: string;
  readonly keyid: string;
  readonly createdMs: number;
}

/** Signature-Input with one label that covers all four components; null for anything else. */
function parseInput(field: string): Input | null {
  if (field.length > HEADER_LENGTH_MAX) return null;
  const match = /^([a-z][a-z0-9_-]{0,31})=(\(([^()]*)\)((?:;[a-z]+=(?:\d+|"[^"\\]*"))+))$/.exec(
    field,
  );
  if (match === null) return null;
  const [, label = '', parameters = '', list = '', rest = ''] = match;
  const covered = list.split(' ').map((name) => name.replace(/^"(.*)"$/, '$1'));
  if (covered.length !== COVERED.length || !COVERED.every((name) => covered.includes(name))) {
    return null;
  }
  const named = new Map<string, string>();
  for (const [, name = '', value = ''] of rest.matchAll(/;([a-z]+)=(\d+|"[^"]*")/g)) {
    if (named.has(name)) return null;
    named.set(name, value.replaceAll('"', ''));
  }
  const keyid = named.get('keyid') ?? '';
  const created = named.get('created') ?? '';
  const ours = (named.get('alg') ?? 'ed25519') === 'ed25519' && named.get('tag') === TAG;
  if (!ours || !/^[0-9a-f]{64}$/.test(keyid) || !/^\d{1,12}$/.test(created)) return null;
  return { label, covered, parameters, keyid, createdMs: Number(created) * 1000 };
}

function signatureUnder(label: string, field: string): Uint8Array | null {
  const match = /^([a-z][a-z0-9_-]*)=:([A-Za-z0-9+/]{86})==:$/.exec(field);
  if (match?.[1] !== label) return null;
  return fromBase64url((match[2] ?? '').replaceAll('+', '-').replaceAll('/', '_'));
}

/** RFC 9421 §2.5. */
function signatureBase(
  covered: readonly string[],
  target: ReadTarget,
  parameters: string,
  context: RequestContext,
): string {
  const values: Readonly<Record<string, string>> = {
    '@method': target.method,
    '@authority': new URL(context.catalogUrl).host,
    '@path': target.path,
    '@query': target.query,
  };
  const lines = covered.map((name) => `"${name}": ${values[name] ?? ''}`);
  return [...lines, `"@signature-params": ${parameters}`].join('\n');
}

function toBase64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text + '='.repeat((4 - (text.length % 4)) % 4);
}
