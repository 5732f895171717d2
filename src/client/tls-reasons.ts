/**
 * Why a controller's certificate is not believed, out of what fetch throws: a browser tells nobody, Node
 * puts OpenSSL's word into the error underneath.
 */
import type { ErrorCode } from '../errors.ts';

/** A named reason, and what its operator or we can do about it. */
export interface TlsTrouble {
  readonly reason: Extract<ErrorCode, 'tls-expired' | 'tls-name-mismatch' | 'tls-untrusted'>;
  readonly remedy: string;
}

const EXPIRED: TlsTrouble = {
  reason: 'tls-expired',
  remedy: 'its certificate has expired: its operator has to renew it (or the clock here is wrong)',
};
const EARLY: TlsTrouble = {
  reason: 'tls-expired',
  remedy: 'its certificate is not valid yet: is the clock here right?',
};
const OTHER_NAME: TlsTrouble = {
  reason: 'tls-name-mismatch',
  remedy:
    'its certificate is for another name: its operator has to get one for the host of this URL, or the URL is wrong',
};
const UNTRUSTED: TlsTrouble = {
  reason: 'tls-untrusted',
  remedy:
    'nobody whom this machine knows has signed its certificate: where its authority is your own, name its file in tls_ca',
};

/** OpenSSL's words (X509_V_ERR_) as Node spells them; whatever else it says of a chain is `UNTRUSTED`. */
const TROUBLES: Readonly<Record<string, TlsTrouble>> = {
  CERT_HAS_EXPIRED: EXPIRED,
  CERT_NOT_YET_VALID: EARLY,
  ERR_TLS_CERT_ALTNAME_INVALID: OTHER_NAME,
  HOSTNAME_MISMATCH: OTHER_NAME,
  ...Object.fromEntries(
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
      'CERT_SIGNATURE_FAILURE',
      'CERT_CHAIN_TOO_LONG',
      'CERT_UNTRUSTED',
      'CERT_REJECTED',
      'CERT_REVOKED',
      'INVALID_CA',
      'INVALID_PURPOSE',
      'PATH_LENGTH_EXCEEDED',
    ].map((code) => [code, UNTRUSTED]),
  ),
};

/** What is wrong with the certificate, or null where an exchange failed for another reason. */
export function tlsTroubleOf(thrown: unknown): TlsTrouble | null {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code } = error as { readonly code?: unknown };
    const trouble = typeof code === 'string' ? TROUBLES[code] : undefined;
    if (trouble !== undefined) return trouble;
  }
  return null;
}
